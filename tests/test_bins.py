"""Counts over the reference's bins are sums that add up, however the values come."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevo.bins import SCORE, Bins, merged
from relevo.digest import canonical
from relevo.profile import profile


@dataclass
class Feature:
    name: str
    type: str


FEATURES: Any = (Feature("hour", "integer"), Feature("airline", "text"), Feature("holiday", "boolean"))
HOURS = [*range(24)] * 10
AIRLINES = ["LAN"] * 160 + ["SKU"] * 78 + [None, None]
HOLIDAYS = [True] * 24 + [False] * 216


def _reference(pairs: Any = ()) -> dict[str, Any]:
    columns = {
        "hour": np.array(HOURS),
        "airline": np.ma.masked_array([a or "" for a in AIRLINES], [a is None for a in AIRLINES]),
        "holiday": np.array(HOLIDAYS),
    }
    return profile(FEATURES, columns, np.linspace(0, 1, 240), pairs)


ROWS = [(3, "LAN", True), (None, "XYZ", None), (99, None, False), (23, "SKU", True)]
SCORES = [0.1, 0.5, 0.9, 0.95]


def test_each_value_is_counted_in_a_cell_or_as_missing_and_what_is_new_as_strange() -> None:
    bins = Bins(_reference())
    counts = bins.rows(ROWS, SCORES)
    by_name = {signal.name: signal for signal in bins.signals}
    for name, missing, strange in (("hour", 1, 1), ("airline", 1, 1), ("holiday", 1, 0), (SCORE, 0, 0)):
        signal = by_name[name]
        assert signal.of(counts).sum() == 4 - missing
        assert (counts[signal.missing], counts[signal.strange]) == (missing, strange)
    airline = by_name["airline"]
    assert airline.cells == ("LAN", "SKU", "…")
    assert airline.of(counts).tolist() == [1, 1, 1]


def test_a_level_outside_the_top_is_not_strange_when_it_was_learned_from() -> None:
    bins = Bins(_reference(), {"airline": {"LAN": 1.0, "SKU": 2.0, "XYZ": 3.0, None: 0.0}})
    counts = bins.rows(ROWS, SCORES)
    airline = next(signal for signal in bins.signals if signal.name == "airline")
    assert (counts[airline.strange], airline.of(counts)[-1]) == (0, 1)


def test_columns_count_as_rows_do() -> None:
    bins = Bins(_reference([("hour", "airline")]))
    hour, airline, holiday = (list(column) for column in zip(*ROWS, strict=True))
    masked = {
        "hour": np.ma.masked_array([h or 0 for h in hour], [h is None for h in hour]),
        "airline": airline,
        "holiday": np.ma.masked_array([bool(h) for h in holiday], [h is None for h in holiday]),
    }
    assert bins.columns(masked, np.array(SCORES)).tolist() == bins.rows(ROWS, SCORES).tolist()


def test_the_profiles_own_counts_are_those_of_its_rows() -> None:
    reference = _reference()
    bins = Bins(reference)
    rows = list(zip(HOURS, AIRLINES, HOLIDAYS, strict=True))
    assert bins.reference(reference).tolist() == bins.rows(rows, np.linspace(0, 1, 240).tolist()).tolist()


def test_a_pair_is_counted_once_for_each_row() -> None:
    bins = Bins(_reference([("hour", "airline")]))
    counts = bins.rows(ROWS, SCORES)
    pair = bins.signals[-1]
    assert pair.kind == "pair"
    assert pair.of(counts).sum() == len(ROWS)


def test_other_bins_have_another_digest() -> None:
    assert Bins(_reference()).digest == Bins(_reference()).digest
    assert Bins(_reference()).digest != Bins(_reference([("hour", "airline")])).digest


def test_no_rows_count_nothing() -> None:
    bins = Bins(_reference([("hour", "airline")]))
    assert not bins.rows([], []).any()


VALUES = st.tuples(
    st.none() | st.integers(-(2**2000), 2**2000) | st.floats(),
    st.none() | st.sampled_from(["LAN", "SKU", "", "…", "x"]),
    st.none() | st.booleans(),
)


@pytest.mark.filterwarnings("error")
@given(st.lists(st.tuples(VALUES, st.floats(0, 1)), max_size=20), st.integers(0, 20))
def test_parts_add_up_to_the_whole(rows: list[Any], cut: int) -> None:
    bins = Bins(_reference([("hour", "airline")]))

    def count(part: list[Any]) -> Any:
        return bins.rows([row for row, _ in part], [score for _, score in part])

    assert merged([count(rows[:cut]), count(rows[cut:])], bins.size).tolist() == count(rows).tolist()


def test_a_reference_read_from_a_package_is_cut_as_the_one_that_was_written() -> None:
    """Canonical JSON sorts its keys, so it keeps neither the features' order nor that of the levels."""
    reference = _reference([("hour", "airline")])
    read = json.loads(canonical(reference))
    bins, again = Bins(reference), Bins(read, order=["hour", "airline", "holiday"])
    assert again.digest == bins.digest
    assert again.rows(ROWS, SCORES).tolist() == bins.rows(ROWS, SCORES).tolist()
    assert next(s for s in again.signals if s.name == "airline").cells == ("LAN", "SKU", "…")
    assert again.reference(read).tolist() == bins.reference(reference).tolist()


def test_the_ends_of_the_range_are_not_strange_and_what_lies_beyond_is_counted_in_the_outer_cells() -> None:
    bins = Bins(_reference())
    hour = next(signal for signal in bins.signals if signal.name == "hour")
    values = [0, 23, -0.5, 23.5, float("inf"), float("-inf"), float("nan")]
    counts = bins.rows([(value, "LAN", True) for value in values], [0.5] * len(values))
    assert (counts[hour.strange], counts[hour.missing]) == (4, 1)
    assert (hour.of(counts)[0], hour.of(counts)[-1], hour.of(counts).sum()) == (3, 3, 6)


def test_a_reference_without_a_range_knows_no_strange_numbers() -> None:
    reference = _reference()
    del reference["features"]["hour"]["min"], reference["features"]["hour"]["max"]
    bins = Bins(reference)
    hour = next(signal for signal in bins.signals if signal.name == "hour")
    counts = bins.rows([(float("inf"), "LAN", True), (float("-inf"), "LAN", True)], [0.5, 0.5])
    assert (counts[hour.strange], hour.of(counts).sum()) == (0, 2)


def test_cells_between_close_edges_have_names_of_their_own() -> None:
    columns = {
        "hour": np.array([1000.1, 1000.2, 1000.3, 1000.4] * 60),
        "airline": np.array([airline or "LAN" for airline in AIRLINES]),
        "holiday": np.array(HOLIDAYS),
    }
    bins = Bins(profile(FEATURES, columns, np.linspace(0, 1, 240)))
    hour = next(signal for signal in bins.signals if signal.name == "hour")
    assert len(set(hour.cells)) == len(hour.cells) > 2
