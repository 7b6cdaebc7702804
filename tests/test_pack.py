from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from relevo import Costs, pack
from relevo.asof import Asked
from support import small, stores

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> stores.Made:
    return stores.make(tmp_path_factory.mktemp("made"), rows=800)


def test_the_package_answers_as_the_fit_and_carries_its_look_ups(made: stores.Made, tmp_path: Path) -> None:
    package = made.package(tmp_path / "p")
    assert package.threshold == made.fit.threshold
    assert package.labels == ("on time", "late")
    assert list(package.lookups) == ["holidays"]
    assert set(package.lookups["holidays"]) == set(small.HOLIDAYS)


def test_costs_fix_the_threshold_of_the_package_and_the_audit_agrees(
    made: stores.Made, tmp_path: Path
) -> None:
    costs = Costs(false_positive=1, false_negative=4)
    project = replace(made.definition.project, decision=costs)
    package = replace(made, definition=replace(made.definition, project=project)).package(tmp_path / "p")
    assert package.threshold == costs.threshold == 0.2
    assert package.manifest.decision["rule"] == "costs"
    answers = package.predict([small.request(random.Random(place)) for place in range(50)])
    assert {answer.decision for answer in answers} == {True, False}
    assert all(answer.decision == (answer.probability >= 0.2) for answer in answers)


def test_packing_twice_gives_the_same_digest(made: stores.Made, tmp_path: Path) -> None:
    assert made.package(tmp_path / "one").digest == made.package(tmp_path / "two").digest


def test_other_clean_rows_of_a_look_up_give_another_digest(made: stores.Made, tmp_path: Path) -> None:
    connection = made.lake.connect()
    rows = connection.sql("select 'h' as _id, date '2017-02-02' as day, 'x' as name")
    version = made.lake.replace("clean/holidays", rows, transaction="another")
    connection.close()
    holidays = replace(made.clean["holidays"], version=version)
    other = replace(made, clean={**made.clean, "holidays": holidays})
    assert other.package(tmp_path / "two").digest != made.package(tmp_path / "one").digest


def test_golden_rows_are_what_the_package_answers(made: stores.Made, tmp_path: Path) -> None:
    package = made.package(tmp_path / "p")
    rng = random.Random(1)
    requests = [small.request(rng) for _ in range(100)]
    requests[3]["destination"] = "no airport"  # what the contract refuses is no example
    golden = pack.golden_rows(package, [Asked(request) for request in requests])
    assert len(golden) == pack.GOLDEN_ROWS
    answers = package.predict([r for place, r in enumerate(requests) if place != 3])
    assert [row["probability"] for row in golden] == [a.probability for a in answers[: pack.GOLDEN_ROWS]]
    assert golden[0]["request"] == small.body(requests[0])
    sealed = made.package(tmp_path / "sealed", golden=golden)
    sealed.replay()


def test_the_libraries_that_made_it_are_named() -> None:
    found = pack.libraries("lightgbm")
    assert {"python", "lightgbm", "onnx", "onnxruntime", "duckdb", "numpy"} <= set(found)
    assert "scikit-learn" not in found
    assert "scikit-learn" in pack.libraries("logistic")
    assert {"xgboost", "xgboost-cpu"} & set(pack.libraries("xgboost"))
