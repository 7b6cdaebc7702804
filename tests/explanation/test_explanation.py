"""Explanations of real packages: additive, the same as TreeSHAP's, of the request's own fields."""

from __future__ import annotations

import math
import random
from datetime import datetime
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import ModelPackage, explain, pack
from relevo.asof import Asked
from relevo.errors import DataError, PackageError, RequestError
from relevo.explanation import Explanation, Reference, of, steps
from relevo.explanation.reference import MOST_STEP
from relevo.online import FeatureError
from relevo.package import probability
from support import histories, numbers, small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def contributions(found: Explanation) -> dict[str, float]:
    return {share.field.name: share.contribution for share in found.shares}


def log_odds(found: Explanation) -> dict[str, float]:
    return {share.field.name: share.log_odds for share in found.shares}


def by_definition(
    package: ModelPackage, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> dict[str, float]:
    """Interventional Shapley values over every order of the fields, each composition asked like a request."""
    found = dict.fromkeys(fields, 0.0)
    orders = list(permutations(fields))
    asked = []
    for one in rows:
        for order in orders:
            asked += [{**one, **{name: row[name] for name in order[:k]}} for k in range(len(order) + 1)]
    answers = iter([answer.probability for answer in package.predict(asked)])
    for _ in rows:
        for order in orders:
            before = next(answers)
            for name in order:
                after = next(answers)
                found[name] += (after - before) / len(orders) / len(rows)
                before = after
    return found


def flights(folder: Path, rows: int = 20, **changes: Any) -> ModelPackage:
    """The small package with a background."""
    rng = random.Random(1)
    small.write(folder, background=[small.body(small.request(rng)) for _ in range(rows)], **changes)
    return ModelPackage.load(folder)


def shop(folder: Path) -> ModelPackage:
    """A package with look-ups and histories; of some customers and products nothing is known."""
    rng = random.Random(2)
    asked = [{"customer": rng.randrange(95, 131), "product": rng.randrange(42)} for _ in range(40)]
    histories.write(folder, background=asked)
    package = ModelPackage.load(folder)
    package.bind(histories.newest(4))
    return package


@pytest.mark.parametrize("seed", range(5))
def test_contributions_and_base_add_up_to_the_answer(tmp_path: Path, seed: int) -> None:
    package = flights(tmp_path / "p")
    request = small.request(random.Random(seed))
    found = explain(package, small.body(request))
    assert found.probability == package.predict([request])[0].probability
    assert found.base + math.fsum(contributions(found).values()) == pytest.approx(found.probability, abs=1e-9)
    assert found.base_log_odds + math.fsum(log_odds(found).values()) == pytest.approx(
        found.log_odds, abs=1e-9
    )
    base = np.mean([answer.probability for answer in package.predict(package.background)])
    assert found.base == pytest.approx(base, abs=1e-9)


def test_few_fields_are_explained_exactly(tmp_path: Path) -> None:
    package = flights(tmp_path / "p")
    request = small.request(random.Random(7))
    found = explain(package, small.body(request))
    wanted = by_definition(package, request, package.background, package.request.names)
    assert (found.exact, found.rows) == (True, 20)
    assert contributions(found) == pytest.approx(wanted, abs=1e-9)


def test_histories_and_look_ups_are_those_of_the_composed_request(tmp_path: Path) -> None:
    """What a pair of customer and product is known for is neither the customer's nor the product's alone."""
    package = shop(tmp_path / "p")
    for customer, product in ((103, 7), (110, 3), (5, 5), (100, 41)):
        request = {"customer_id": customer, "product_id": product}
        found = explain(package, request)
        wanted = by_definition(package, request, package.background, package.request.names)
        assert contributions(found) == pytest.approx(wanted, abs=1e-9)
        assert found.exact


def test_many_fields_add_up_too(tmp_path: Path) -> None:
    package = numbers.package(tmp_path / "p", 20)
    for request in numbers.requests(numbers.drawn(20, 5, seed=4)):
        found = explain(package, request)
        assert not found.exact
        assert found.evaluations <= 1250
        assert found.base + sum(contributions(found).values()) == pytest.approx(found.probability, abs=1e-9)


def treeshap(package: ModelPackage, request: Mapping[str, Any], rows: int) -> dict[str, float]:
    """TreeSHAP's interventional values of LightGBM's own model, against the same background, in log-odds."""
    shap = pytest.importorskip("shap")
    names = package.request.names
    background = np.array([[row[name] for name in names] for row in package.background[:rows]])
    explainer = shap.TreeExplainer(
        numbers.booster(len(names)), background, feature_perturbation="interventional", model_output="raw"
    )
    values = explainer.shap_values(np.array([[request[name] for name in names]]))
    return dict(zip(names, values[0].tolist(), strict=True))


def test_the_values_are_treeshap_s(tmp_path: Path) -> None:
    package = numbers.package(tmp_path / "p", 8)
    for request in numbers.requests(numbers.drawn(8, 5, seed=5)):
        found = explain(package, request, evaluations=64 * 254)
        assert (found.exact, found.rows) == (True, 64)
        assert log_odds(found) == pytest.approx(treeshap(package, request, 64), abs=1e-5)


def test_the_values_converge_to_treeshap_s(tmp_path: Path) -> None:
    """Sixteen times the evaluations, a quarter of the error: orders are drawn independently."""
    package = numbers.package(tmp_path / "p", 20, background=_asked(numbers.drawn(20, 16, seed=3)))
    off = []
    for evaluations in (16 * 38, 16 * 38 * 16, 16 * 38 * 256):
        squares: list[float] = []
        for request in numbers.requests(numbers.drawn(20, 4, seed=6)):
            found = explain(package, request, evaluations=evaluations)
            assert (found.exact, found.rows) == (False, 16)
            wanted = treeshap(package, request, 16)
            squares += [(value - wanted[name]) ** 2 for name, value in log_odds(found).items()]
        off.append(math.sqrt(sum(squares) / len(squares)))
    assert off[0] > 2.5 * off[1] > 6 * off[2]
    assert off[2] < 0.005


def _asked(matrix: Any) -> list[dict[str, Any]]:
    return [{name.upper(): value for name, value in row.items()} for row in numbers.requests(matrix)]


def test_errors_tell_how_far_off_the_values_are(tmp_path: Path) -> None:
    """Contributions against a few rows are about a standard error away from those against many."""
    package = numbers.package(tmp_path / "p", 8, background=_asked(numbers.drawn(8, 300, seed=8)))
    away = []
    for request in numbers.requests(numbers.drawn(8, 6, seed=9)):
        wanted = contributions(explain(package, request, evaluations=300 * 254))
        for share in explain(package, request).shares:
            assert share.error is not None
            away.append((share.contribution - wanted[share.field.name]) / share.error)
    assert 0.4 < np.std(away) < 1.3


def test_composed_matrices_are_those_of_composed_requests(tmp_path: Path) -> None:
    """Features of one field are taken over rather than computed; the model must not see a difference."""
    several = "x1 / x2 as ratio, x3 * x0 + x4 as three"
    query = f"select x0, {several}, coalesce(x1, 0.0) as one, 1.5 as constant, x5 from request"
    package = numbers.package(tmp_path / "p", 7, query=query)
    reference = Reference(package)
    assert reference.players == ("x0", "x1", "x2", "x3", "x4", "x5")
    request: dict[str, Any] = {**numbers.requests(numbers.drawn(7, 1, seed=9))[0], "x1": None, "x2": 0.0}
    taken = np.random.default_rng(0).random((200, 6)) < 0.5
    rows = np.random.default_rng(1).integers(0, len(reference.rows), 200)
    encoded = package.matrix([package.features(request)])
    matrix, failed = reference.composed(request, encoded, taken, rows)
    wanted = []
    for row, own in zip(rows, taken, strict=True):
        names = [reference.players[place] for place in np.flatnonzero(own)]
        wanted.append(package.features({**reference.rows[row], **{name: request[name] for name in names}}))
    assert not failed.any()
    np.testing.assert_array_equal(matrix, package.matrix(wanted))


def test_a_field_that_no_feature_reads_costs_and_adds_nothing(tmp_path: Path) -> None:
    package = numbers.package(
        tmp_path / "p", 6, query="select x0, x1, x3 + x4 as sum, x0 * 2 as twice from request"
    )
    found = explain(package, numbers.requests(numbers.drawn(6, 1, seed=1))[0])
    by_name = {share.field.name: share for share in found.shares}
    unread = {name for name, share in by_name.items() if not share.read}
    assert unread == {"x2", "x5"}
    assert [(by_name[n].contribution, by_name[n].error, by_name[n].log_odds) for n in unread] == [
        (0, 0, 0)
    ] * 2
    assert found.evaluations <= 64 * 14


def test_a_model_that_reads_nothing_has_nothing_to_explain(tmp_path: Path) -> None:
    package = numbers.package(
        tmp_path / "p", 2, query="select 1.5 as a, 2.5 as b, 3.5 as c, 4.5 as d from request"
    )
    found = explain(package, {"X0": 1, "X1": 2})
    assert set(contributions(found).values()) == {0.0}
    assert found.base == pytest.approx(found.probability)
    assert found.evaluations == 0


def test_the_same_request_has_the_same_explanation(tmp_path: Path) -> None:
    package = numbers.package(tmp_path / "p", 20)
    request = numbers.requests(numbers.drawn(20, 1, seed=2))[0]
    other = numbers.requests(numbers.drawn(20, 1, seed=3))[0]
    reference = Reference(package)
    first = of(reference, request, package.features(request))
    of(reference, other, package.features(other))
    assert of(reference, request, package.features(request)) == first == explain(package, request)


def test_nulls_and_unseen_categories_have_a_part(tmp_path: Path) -> None:
    package = flights(tmp_path / "p")
    unseen = {"flight": None, "destination": "ZZZZ", "airline": "ZZ"}
    request = {"scheduled_at": datetime(2017, 7, 1, 22), "flight_type": "I", **unseen}
    found = explain(package, small.body(request))
    wanted = by_definition(package, request, package.background, package.request.names)
    assert contributions(found) == pytest.approx(wanted, abs=1e-9)
    assert {share.field.name: share.value for share in found.shares} == request


def test_a_row_that_cannot_be_composed_is_left_out(tmp_path: Path) -> None:
    """An integer that overflows only together with the request's other number."""
    query = "select x0, x1, x2, cast(x3 * x4 as bigint) as product from request"
    rows = _asked(numbers.drawn(5, 12, seed=1))
    rows[4]["X3"] = 1e18
    encoders = ["double", "double", "double", "integer"]
    package = _with_types(tmp_path / "p", query, encoders, rows)
    request = {"x0": 1.0, "x1": 0.5, "x2": -1.0, "x3": 2.0, "x4": 50.0}
    found = explain(package, request)
    assert found.rows == 11
    kept = [row for row in package.background if row["x3"] != 1e18]
    assert contributions(found) == pytest.approx(
        by_definition(package, request, kept, list(request)), abs=1e-9
    )
    with pytest.raises(FeatureError):
        explain(package, {**request, "x3": 1e18})


def _with_types(folder: Path, query: str, types: list[str], rows: list[dict[str, Any]]) -> ModelPackage:
    from relevo.encoding import Encoder

    names = ["x0", "x1", "x2", "product"]
    encoders = [Encoder(name, kind) for name, kind in zip(names, types, strict=True)]
    return numbers.package(folder, 5, query=query, encoders=encoders, background=rows)


def test_there_must_be_something_to_compare_with(tmp_path: Path) -> None:
    small.write(tmp_path / "none")
    with pytest.raises(DataError, match="nothing to compare"):
        explain(ModelPackage.load(tmp_path / "none"), small.body(small.request(random.Random(1))))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_out_of_all_range_adds_up_too(tmp_path: Path, sign: int) -> None:
    package = shop(tmp_path / "p")
    known = histories.newest(4)
    key = next(iter(known["pairs"]))
    row = tuple(sign * math.inf if isinstance(cell, float) else cell for cell in known["pairs"][key])
    package.bind({**known, "pairs": {**known["pairs"], key: row}})
    request = {"customer_id": key[0], "product_id": key[1]}
    found = explain(package, request)
    total = found.base + sum(contributions(found).values())
    assert total == pytest.approx(package.predict([request])[0].probability, abs=1e-9)
    assert all(math.isfinite(value) for value in log_odds(found).values())


def test_a_request_without_a_probability_is_refused(tmp_path: Path) -> None:
    package = flights(tmp_path / "p")
    reference = Reference(package)
    row = small.request(random.Random(1))
    package._run = lambda *_: [
        np.full((1, 1), np.nan, np.float32)
    ]  # as an infinite feature makes of some models
    with pytest.raises(DataError, match="no probability"):
        of(reference, row, package.features(row))


def test_a_single_row_has_no_error(tmp_path: Path) -> None:
    package = numbers.package(tmp_path / "p", 4, background=_asked(numbers.drawn(4, 1)))
    found = explain(package, numbers.requests(numbers.drawn(4, 1, seed=1))[0])
    assert {share.error for share in found.shares} == {None}
    assert found.base + sum(contributions(found).values()) == pytest.approx(found.probability, abs=1e-9)


def test_a_package_of_before_is_explained_against_its_golden_rows(tmp_path: Path) -> None:
    small.write(tmp_path / "draft")
    draft = ModelPackage.load(tmp_path / "draft")
    rng = random.Random(3)
    requests = [small.request(rng) for _ in range(10)]
    small.write(tmp_path / "p", golden=pack.golden_rows(draft, [Asked(request) for request in requests]))
    package = ModelPackage.load(tmp_path / "p")
    found = explain(package, small.body(requests[0]))
    assert found.rows == 10
    assert found.base == pytest.approx(np.mean([a.probability for a in package.predict(requests)]))


def test_what_breaks_the_contract_is_not_explained(tmp_path: Path) -> None:
    package = flights(tmp_path / "p")
    with pytest.raises(RequestError, match="Des-I"):
        explain(package, {**small.body(small.request(random.Random(1))), "Des-I": "nowhere"})


def test_histories_that_are_not_at_hand_are_missed(tmp_path: Path) -> None:
    histories.write(tmp_path / "p", background=[{"customer": 100, "product": 1}])
    with pytest.raises(PackageError, match="not at hand"):
        explain(ModelPackage.load(tmp_path / "p"), {"customer": 100, "product": 1})


def test_the_work_comes_in_small_steps(tmp_path: Path) -> None:
    package = numbers.package(tmp_path / "p", 20)
    request = numbers.requests(numbers.drawn(20, 1, seed=2))[0]
    reference = Reference(package)
    whole = of(reference, request, package.features(request))
    assert reference.step <= MOST_STEP < whole.evaluations
    for size in (1, 50, MOST_STEP):
        reference.step = size
        assert (
            sum(1 for _ in steps(reference, request, package.features(request))) >= whole.evaluations // size
        )
        assert of(reference, request, package.features(request)) == whole


def test_probabilities_are_the_package_s_own(tmp_path: Path) -> None:
    package = flights(tmp_path / "p", calibration={"a": 0.7, "b": -0.3})
    matrix = package.matrix([package.features(row) for row in package.background])
    assert probability(package.log_odds(matrix)).tolist() == package.score_matrix(matrix).tolist()
