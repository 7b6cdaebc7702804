"""Drift of a feature: what is told of it, and answers where there is next to nothing to compare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from relevo.drift import BOOLEAN, NUMBER, SCORE, TEXT, TIME, Binning, Shift, shift, shifts
from relevo.errors import DataError
from relevo.texts import speaking

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIRLINES = Binning(name="airline", kind=TEXT, levels=("MC", "HM"))
EDGES = tuple(np.linspace(-1.5, 1.5, 9).tolist())
AGE = Binning(name="age", kind=NUMBER, edges=EDGES)


def of_numbers(values: NDArray[np.float64]) -> list[int]:
    counted = np.bincount(np.searchsorted(EDGES, values, side="right"), minlength=len(EDGES) + 1)
    return [*counted.tolist(), 0]


def test_what_moved_is_told_in_words() -> None:
    found = shift(AIRLINES, [2010, 3990, 0, 0, 4000], [32, 178, 0, 0, 790])
    assert found.moved == "“null” 40.0% → 79.0%; “HM” 39.9% → 17.8%; “MC” 20.1% → 3.2%"
    assert (found.null, found.reference_null, found.rows, found.reference_rows) == (0.79, 0.4, 1000, 10_000)
    assert found.p < 1e-9
    assert found.tv.low > 0.35
    with speaking("es"):
        assert "“otros” 0.0% → 37.5%" in shift(AIRLINES, [50, 50, 0, 0, 0], [10, 10, 30, 30, 0]).moved
        assert "nulo" in shift(AIRLINES, [2010, 3990, 0, 0, 4000], [32, 178, 0, 0, 790]).moved


def test_small_shares_are_told_with_the_digits_in_which_they_differ() -> None:
    found = shift(AIRLINES, [99_900_000, 100_000, 0, 0, 0], [9_989_500, 10_500, 0, 0, 0])
    assert found.moved == "“HM” 0.100% → 0.105%; “MC” 99.90% → 99.89%"


def test_what_chance_does_is_not_told() -> None:
    generator = np.random.default_rng(1)
    before, after = ([of_numbers(generator.normal(size=rows)) for _ in range(40)] for rows in (50_000, 200))
    told = [found.moved for found in shifts([AGE] * 40, before, after)]
    assert np.mean([not text for text in told]) > 0.5
    assert shift(AIRLINES, [50, 50, 0, 0, 0], [5, 5, 0, 0, 0]).moved == ""


@pytest.mark.parametrize(
    ("binning", "place", "label"),
    [
        (AGE, 0, "below -1.5"),
        (AGE, 1, "-1.5 to -1.125"),
        (AGE, 9, "1.5 or more"),
        (AGE, 10, "null"),
        (Binning(name="n", kind=NUMBER, edges=(0.0, 5e-324, 12_345.0), bounded=True), 1, "0"),
        (Binning(name="n", kind=NUMBER, edges=(0.0, 12_345.0), bounded=True), 2, "above 12,345"),
        (Binning(name="n", kind=NUMBER), 0, "not null"),
        (Binning(name="t", kind=TIME, edges=(0.0, 86_400.0 * 366, 1e20)), 1, "1970-01-01 to 1971-01-02"),
        (Binning(name="t", kind=TIME, edges=(90_061.0,)), 0, "below 1970-01-02 01:01"),
        (Binning(name="t", kind=TIME, edges=(1e20,)), 0, "below 1.000e+20 s"),
        (AIRLINES, 1, "HM"),
        (AIRLINES, 2, "other"),
        (AIRLINES, 3, "never seen before"),
    ],
)
def test_bins_have_names(binning: Binning, place: int, label: str) -> None:
    assert binning.label(place) == label


def test_wasserstein_is_in_units_of_the_references_spread() -> None:
    """A normal variable moved by half a standard deviation moves by half, as far as edges from -1.5 to 1.5 see it."""
    generator = np.random.default_rng(2)
    reference = of_numbers(generator.normal(size=200_000))
    found = shift(AGE, reference, of_numbers(generator.normal(0.5, 1, 200_000)))
    assert found.wasserstein is not None
    assert found.wasserstein.value == pytest.approx(0.42, abs=0.03)
    assert shift(AIRLINES, [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]).wasserstein is None


def test_one_far_value_does_not_decide_wassersteins_distance() -> None:
    near = Binning(name="x", kind=NUMBER, edges=(-1.0, 0.0, 1.0, 2.0), bounded=True)
    far = Binning(name="x", kind=NUMBER, edges=(-1.0, 0.0, 1.0, 2e9), bounded=True)
    counts = [0, 300, 400, 300, 0, 0], [0, 300, 390, 310, 0, 0]
    values = [shift(binning, *counts).wasserstein for binning in (near, far)]
    assert values[0] is not None
    assert values[1] is not None
    assert values[1].value <= 3 * values[0].value + 0.01


def test_what_the_reference_does_not_have_is_unseen() -> None:
    assert shift(AIRLINES, [5, 5, 0, 0, 0], [4, 4, 0, 2, 0]).unseen == 0.2
    bounded = Binning(name="x", kind=NUMBER, edges=(0.0, 1.0), bounded=True)
    assert shift(bounded, [0, 10, 0, 0], [1, 7, 2, 0]).unseen == pytest.approx(0.3)
    assert shift(AGE, of_numbers(np.zeros(9)), of_numbers(np.full(9, 99.0))).unseen == 0


EMPTY = [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([500, 0, 0, 0, 0], [20, 0, 0, 0, 0]),  # constant
        ([0, 0, 0, 0, 500], [0, 0, 0, 0, 20]),  # nothing but nulls
        ([250, 250, 0, 0, 0], EMPTY),
        (EMPTY, [250, 250, 0, 0, 0]),
        (EMPTY, EMPTY),
        ([250, 250, 0, 0, 0], [0, 1, 0, 0, 0]),  # one row
        ([1, 0, 0, 0, 0], [0, 1, 0, 0, 0]),
    ],
)
def test_no_drift_comes_of_nothing(reference: list[int], current: list[int]) -> None:
    found = shift(AIRLINES, reference, current)
    assert (found.tv.low, found.psi.low, round(found.js.low, 1)) == (0, 0, 0)
    assert found.p > 0.3
    assert found.tv.high <= 1
    json.dumps(found.to_json(), allow_nan=False)


def test_numbers_without_bins_of_their_own() -> None:
    """All null before, with values now."""
    found = shift(Binning(name="x", kind=NUMBER, bounded=True), [0, 500], [500, 0])
    assert found.moved == "“not null” 0.0% → 100.0%; “null” 100.0% → 0.0%"
    assert (found.tv.value, found.wasserstein) == (1, None)


def test_many_features_are_compared_as_each_by_itself() -> None:
    generator = np.random.default_rng(3)
    binnings = [AIRLINES, AGE, Binning(name="paid", kind=BOOLEAN, levels=("false", "true"))]
    counts = [
        [generator.multinomial(rows, np.full(one.count, 1 / one.count)) for one in binnings]
        for rows in (5_000, 300)
    ]
    together = shifts(binnings, *counts)
    alone = [shift(one, r, c) for one, r, c in zip(binnings, *counts, strict=True)]
    for found, by_itself in zip(together, alone, strict=True):
        assert found.tv.value == pytest.approx(by_itself.tv.value, abs=1e-6)
        assert found.psi.high == pytest.approx(by_itself.psi.high, abs=1e-6)
        assert found.p == pytest.approx(by_itself.p)
        assert found.moved == by_itself.moved
    assert shifts([], [], []) == []


def test_a_shift_as_json_is_a_windows_signal() -> None:
    found = shift(
        Binning(name="score", kind=SCORE, edges=(0.2, 0.8)), [50, 30, 20, 0], [5, 3, 2, 0]
    ).to_json()
    assert set(found) >= {"kind", "tv", "psi", "js", "wasserstein", "null", "unseen", "p", "moved"}
    assert found["kind"] == "score"
    assert set(found["tv"]) == {"value", "low", "high"}


@pytest.mark.parametrize("counts", [[1, 2, 3], [1, 2, 3, 4, -1], [[1, 2, 3, 4, 5]]])
def test_counts_of_other_bins_are_refused(counts: list[int]) -> None:
    with pytest.raises(DataError, match=r"airline: its counts are .* 5 bins"):
        shift(AIRLINES, counts, [1, 1, 1, 1, 1])


def test_bins_can_be_kept() -> None:
    for one in (AIRLINES, AGE):
        assert Binning.of_json(json.loads(json.dumps(one.to_json()))) == one


def test_shifts_are_facts() -> None:
    found = shift(AIRLINES, [1, 1, 0, 0, 0], [1, 1, 0, 0, 0])
    assert isinstance(found, Shift)
    with pytest.raises(AttributeError):
        found.p = 0.5  # type: ignore[misc]
