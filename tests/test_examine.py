"""A window's counts against the baseline: what is told of it, and of what it is silent."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from relevo.baseline import Baseline
from relevo.bins import Bins
from relevo.budget import KINDS, LEAST, SOURCES, Purse, risks, spending
from relevo.examine import examine, phases
from relevo.findings import NOTE, WARN
from relevo.profile import profile


class Feature(NamedTuple):
    name: str
    type: str


FEATURES: Any = (Feature("load", "double"), Feature("airline", "text"), Feature("empty", "double"))
DAYS = 60


def _day(seed: int, rows: int = 800) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    load = draw.normal(0, 1, rows)
    airline = np.array(["LAN", "SKU", "AAL"], object)[draw.choice(3, rows, p=[0.6, 0.3, 0.1])]
    return {"load": load, "airline": airline, "empty": np.full(rows, np.nan)}


def _score(day: dict[str, Any]) -> Any:
    return 1 / (1 + np.exp(-day["load"]))


@pytest.fixture(scope="module")
def watched() -> tuple[Bins, Baseline]:
    days = [_day(seed) for seed in range(DAYS)]
    whole = {name: np.concatenate([day[name] for day in days]) for name in days[0]}
    whole["empty"] = np.ma.masked_invalid(whole["empty"])
    bins = Bins(profile(FEATURES, whole, np.concatenate([_score(day) for day in days])))
    counts = np.stack([bins.columns(day, _score(day)) for day in days])
    return bins, Baseline(bins.digest, "day", counts, np.arange(DAYS) % 7)


def _found(watched: tuple[Bins, Baseline], day: dict[str, Any]) -> list[tuple[str, str]]:
    bins, baseline = watched
    share = risks(1.0, ("day", "week"), "day")
    found = examine(bins, baseline, bins.columns(day, _score(day)), phase=0, risks=share, drift=0.05)
    return [(one.signal, one.severity) for one in found.findings]


def test_a_day_like_the_others_is_silent(watched: tuple[Bins, Baseline]) -> None:
    assert [_found(watched, _day(seed)) for seed in range(1000, 1020)] == [[]] * 20


def test_the_reference_itself_is_silent(watched: tuple[Bins, Baseline]) -> None:
    bins, baseline = watched
    whole = baseline.counts.sum(axis=0)
    found = examine(bins, baseline, whole, phase=0, risks=risks(1.0, ("day",), "day"), drift=0.0)
    assert found.findings == []


def test_a_moved_number_moves_the_score_too(watched: tuple[Bins, Baseline]) -> None:
    day = _day(7)
    day["load"] = day["load"] + 0.8
    assert {signal for signal, _ in _found(watched, day)} == {"drift:load", "score"}


def test_what_is_missing_is_told_as_missing_and_not_as_drift(watched: tuple[Bins, Baseline]) -> None:
    day = _day(8)
    day["airline"] = np.where(np.arange(800) % 5 == 0, None, day["airline"])
    assert _found(watched, day) == [("nulls:airline", WARN)]


def test_a_column_that_was_always_empty_and_is_not_is_told_of(watched: tuple[Bins, Baseline]) -> None:
    day = _day(9)
    day["empty"] = np.ones(800)
    assert ("nulls:empty", WARN) in _found(watched, day)


def test_a_new_category_and_another_unit_are_strange(watched: tuple[Bins, Baseline]) -> None:
    day = _day(10)
    day["airline"] = np.where(np.arange(800) % 20 == 0, "NEW", day["airline"])
    assert _found(watched, day) == [("unseen:airline", WARN)]
    day = _day(10)
    day["load"] = day["load"] * 100
    assert ("range:load", WARN) in _found(watched, day)


def test_a_change_that_concerns_few_rows_is_not_told_of_however_certain_it_is(
    watched: tuple[Bins, Baseline],
) -> None:
    day = _day(11, rows=200_000)
    day["load"] = day["load"] + 0.05
    assert _found(watched, day) == []


def test_what_is_told_names_the_cells(watched: tuple[Bins, Baseline]) -> None:
    bins, baseline = watched
    day = _day(12)
    day["airline"] = np.array(["AAL"] * 800, object)
    counts = bins.columns(day, _score(day))
    found = examine(bins, baseline, counts, phase=0, risks=risks(1.0, ("day",), "day"), drift=0.05).findings
    assert [one.severity for one in found] == [NOTE]
    assert "AAL: 10." in found[0].told()
    assert "→ 100.0%" in found[0].told()


def test_a_number_that_is_nearly_always_zero_is_seen_to_move() -> None:
    """Visits in the year before, say: nearly all deciles are zero, and what is left is what counts."""
    draw = np.random.default_rng(3)

    def visits(rows: int, share: float) -> dict[str, Any]:
        return {"visits": np.where(draw.random(rows) < share, draw.poisson(2, rows) + 1, 0)}

    days = [visits(800, 0.06) for _ in range(DAYS)]
    features: Any = (Feature("visits", "integer"),)
    bins = Bins(
        profile(features, {"visits": np.concatenate([day["visits"] for day in days])}, np.full(2, 0.5))
    )
    counts = np.stack([bins.columns(day, []) for day in days])
    baseline = Baseline(bins.digest, "day", counts, np.arange(DAYS) % 7)
    share = risks(1.0, ("day",), "day")
    for rate, wanted in ((0.06, []), (0.15, ["drift:visits"])):
        day = bins.columns(visits(800, rate), [])
        found = examine(bins, baseline, day, phase=0, risks=share, drift=0.05).findings
        assert [one.signal for one in found] == wanted


def test_phases_are_hours_weekdays_or_none() -> None:
    times = np.array(["2026-11-21T05:00", "2026-11-23T23:00"], "datetime64[h]")  # a Saturday and a Monday
    assert phases("day", times).tolist() == [5, 0]
    assert phases("hour", times).tolist() == [5, 23]
    assert phases("week", times).tolist() == [0, 0]


def test_a_month_of_windows_spends_the_budget_and_no_more() -> None:
    assert sum(KINDS.values()) == pytest.approx(1)
    units = ("hour", "day", "week")
    month = {"hour": 720, "day": 30, "week": 30 / 7}
    assert sum(risks(1.0, units, unit).window * month[unit] for unit in units) == pytest.approx(1)


def test_all_that_is_watched_spends_the_budget_and_no_more() -> None:
    """Each source is looked at with the kinds of signals that it has, by days and weeks."""
    units, month = ("day", "week"), {"day": 30, "week": 30 / 7}
    for sources in (["files", "arrivals"], ["files", "arrivals", "requests", "labels"], list(SOURCES)):
        spent = sum(
            risks(1.0, units, unit, spending=spending(sources)).of(kind) * month[unit]
            for source in sources
            for kind in SOURCES[source]
            for unit in units
        )
        assert spent == pytest.approx(1)


@pytest.mark.parametrize(("every", "count"), [(24, 1), (24, 24), (1, 1), (24 * 7, 7), (24 * 7, 168)])
def test_pieces_spend_no_more_than_the_budget_however_many_come(every: int, count: int) -> None:
    """So many come at once ``every`` so many hours; after two months none is left with next to nothing."""
    month, spent = 24 * 30, list[float]()  # by the hour
    parts = []
    for hour in range(5 * month):
        if hour % every:
            spent.append(0.0)
            continue
        before = [one for one in spent[-month + 1 :] if one]
        purse = Purse(1.0 - sum(before), len(before) * count)
        risk = [purse.take(count - place).window for place in range(count)]
        assert risk == pytest.approx([risk[0]] * count)
        spent.append(sum(risk))
        parts.append(risk[0])
    assert max(sum(spent[hour : hour + month]) for hour in range(0, 4 * month, 24)) <= 1 + LEAST * month
    even = 1 / max(count * month / every, 30)
    assert min(parts[2 * len(parts) // 5 :]) > even / 4
