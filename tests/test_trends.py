"""Costs from run to run: lines, regressions with the error rate they promise, and forecasts with their intervals."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from scipy import stats

from relevo import clock, trends
from relevo.ledger import Ledger
from relevo.slopes import _rank, shift, theil_sen
from relevo.trends import BYTES, CPU, DISK, MEMORY, PEAK, RUN, TABLES, TIMEOUT, WALL, Limit, Point, Trend
from relevo.workspace import Workspace
from support import tale

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)


def points(
    count: int,
    noise: Callable[[random.Random], float],
    *,
    seed: int = 0,
    rows: Callable[[int], int] = lambda place: 1000,  # noqa: ARG005
    late: float = 1.0,
    daily: float = 0.0,
) -> list[Point]:
    """Runs of a step that takes 2 s and 3 ms a row, with noise; the newest four ``late`` times that."""
    rng = random.Random(seed)
    found = []
    for place in range(count):
        factor = noise(rng) * (late if place >= count - trends.NEWEST else 1.0)
        seconds = (2 + 0.003 * rows(place) + daily * place) * factor
        found.append(
            Point(
                at=START + timedelta(days=place), rows=rows(place), wall_seconds=3 * seconds, cpu_seconds=seconds,
                peak_rss_bytes=int(3e8 * factor), bytes=1000 * rows(place),
            )
        )  # fmt: skip
    return found


def even(rng: random.Random) -> float:
    return math.exp(rng.gauss(0, 0.2))


def wild(rng: random.Random) -> float:
    return math.exp(rng.gauss(0, 0.05)) * (5 if rng.random() < 0.1 else 1)


def heavy(rng: random.Random) -> float:
    return math.exp(0.15 * rng.gauss(0, 1) / math.sqrt(rng.gammavariate(1, 1)))


def constant(place: int) -> int:
    return 1000


def growing(place: int) -> int:
    return 1000 + 200 * place


def leaping(place: int) -> int:
    return (500, 1000, 4000)[place % 3]


def judged(found: list[Point], measure: str = WALL, **limits: float) -> Trend:
    bounds = {name: Limit(name, value) for name, value in limits.items()}
    return next(one for one in trends.judge({RUN: found}, bounds) if one.measure == measure)


def test_a_line_is_that_of_scipy() -> None:
    rng = random.Random(1)
    for n in (5, 12, 40):
        x = [float(rng.randrange(20)) for _ in range(n)]
        y = [2 * a + rng.gauss(0, 3) for a in x]
        ours, theirs = theil_sen(x, y), stats.theilslopes(y, x, 0.95)
        assert ours is not None
        assert ours.slope == pytest.approx(theirs.slope)
        assert ours.low <= theirs.low_slope + 1e-9
        assert ours.high >= theirs.high_slope - 1e-9
        assert ours.low == pytest.approx(theirs.low_slope, abs=0.6)


def test_the_interval_of_a_line_holds() -> None:
    rng = random.Random(2)
    held = 0
    for _ in range(400):
        line = theil_sen(list(range(15)), [0.5 * x + rng.gauss(0, 2) for x in range(15)])
        assert line is not None
        held += line.low <= 0.5 <= line.high
    assert held >= 0.93 * 400


def test_there_is_no_line_where_nothing_differs() -> None:
    assert theil_sen([1.0] * 9, [float(n) for n in range(9)]) is None
    assert theil_sen([1.0, 2.0], [1.0, 2.0]) is None


@pytest.mark.parametrize(("new", "old"), [(2, 3), (3, 4), (4, 5)])
def test_the_rank_of_the_limit_is_exact(new: int, old: int) -> None:
    """Against every order there is."""
    places = range(new + old)
    every = [
        sum(1 for a in chosen for b in places if b not in chosen and a > b)
        for chosen in combinations(places, new)
    ]
    for alpha in (0.01, 0.05, 0.2, 0.5):
        wanted = max(u for u in range(-1, new * old + 1) if sum(e <= u for e in every) <= alpha * len(every))
        assert _rank(new, old, alpha) == wanted


def test_a_shift_is_the_middle_of_all_ratios_with_a_lower_limit() -> None:
    ratio, low = shift([2.0, 2.2, 1.8, 2.0], [1.0] * 6 + [0.9, 1.1, 1.0, 1.0], 0.001)
    assert ratio == 2.0
    assert low == pytest.approx(1.8 / 1.1)
    assert shift([2.0], [1.0], 0.001) == (2.0, 0.0)


@pytest.mark.parametrize("noise", [even, wild, heavy])
@pytest.mark.parametrize("rows", [constant, growing, leaping])
def test_with_nothing_changed_hardly_anything_is_flagged(
    noise: Callable[[random.Random], float], rows: Callable[[int], int]
) -> None:
    """``ALPHA`` promises at most 0.005 a look, 1.5 of 300; and it must surely be a tenth dearer."""
    flagged = sum(
        judged(points(14 + seed % 20, noise, seed=seed, rows=rows)).regression is not None
        for seed in range(300)
    )
    assert flagged <= 2


@pytest.mark.parametrize(("rows", "least"), [(constant, 0.95), (growing, 0.8), (leaping, 0.7)])
def test_what_takes_twice_as_long_is_mostly_flagged(rows: Callable[[int], int], least: float) -> None:
    found = [judged(points(30, even, seed=seed, rows=rows, late=2.0)).regression for seed in range(100)]
    flagged = [one for one in found if one is not None]
    assert len(flagged) >= least * 100
    assert all(one.low >= trends.DEARER for one in flagged)
    ratios = sorted(one.ratio for one in flagged)
    assert 1.8 < ratios[len(ratios) // 2] < 2.4


def test_more_rows_are_no_regression() -> None:
    def late(place: int) -> int:
        return 1000 + 100 * (place % 10) if place < 26 else 2800

    def exact(rng: random.Random) -> float:
        return 1 + rng.random() / 100

    found = points(30, exact, rows=late)
    assert found[-1].wall_seconds > 1.5 * found[-5].wall_seconds
    assert judged(found).regression is None
    assert judged(points(30, exact, rows=late, late=1.5)).regression is not None


def test_what_nobody_cares_about_and_what_is_too_new_is_not_flagged() -> None:
    small = [replace(one, wall_seconds=one.wall_seconds / 100) for one in points(30, even, late=3.0)]
    assert judged(small).regression is None
    assert judged(points(13, even, late=3.0)).regression is None
    assert judged(points(30, even, late=0.3)).regression is None
    far = points(30, even, rows=lambda place: 1000 if place < 26 else 9000)
    assert judged(far).regression is None


def test_a_limit_that_will_be_passed_is_forecast_with_an_interval() -> None:
    found = judged(points(40, lambda rng: 1 + rng.random() / 50, daily=0.1), timeout=60.0)
    assert found.forecast is not None
    today, rise = 1.01 * 3 * (5 + 0.1 * 39), 1.01 * 0.3  # the noise adds one in a hundred
    assert found.forecast.earliest < (60 - today) / rise < found.forecast.latest
    assert found.forecast.earliest <= found.forecast.days <= found.forecast.latest
    passed = judged(points(40, lambda rng: 1 + rng.random() / 50, daily=0.1), timeout=20.0)
    assert passed.forecast is not None
    assert passed.forecast.days == 0


@pytest.mark.parametrize("noise", [even, wild, heavy])
def test_without_a_sure_trend_nothing_is_forecast(noise: Callable[[random.Random], float]) -> None:
    """A rise is sure with 97.5 %: of 200 at most one in 40 is said to rise, give or take."""
    said = sum(judged(points(30, noise, seed=seed), timeout=40.0).forecast is not None for seed in range(200))
    assert said <= 12


def test_a_limit_in_the_far_future_is_not_told() -> None:
    slow = points(40, lambda rng: 1 + rng.random() / 1000, daily=0.01)
    assert judged(slow, timeout=21600.0).forecast is None
    assert judged(slow).forecast is None


def test_the_disk_is_judged_by_all_tables_and_memory_by_the_peak() -> None:
    grown = points(30, lambda rng: 1 + rng.random() / 100, rows=lambda place: 10**6 * (place + 1))
    room = {DISK: Limit(DISK, 5e9), MEMORY: Limit(MEMORY, 1e9), TIMEOUT: Limit(TIMEOUT, 1e12)}
    (disk,) = (one.forecast for one in trends.judge({TABLES: grown}, room) if one.forecast)
    assert disk.limit == DISK
    assert disk.days == pytest.approx(5, rel=0.01)  # a gigabyte a day
    rising = [
        replace(one, peak_rss_bytes=10**8 + 2 * 10**7 * place) for place, one in enumerate(points(30, even))
    ]
    (memory,) = (one.forecast for one in trends.judge({RUN: rising}, room) if one.forecast)
    assert (memory.limit, round(memory.days)) == (MEMORY, 16)


def test_the_ledgers_runs_become_series(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for day in range(1, 16):
        with tale.at(f"2026-11-{day:02d}T06:00:00"):
            seconds = 20.0 if day > 11 else 2.0 + day / 100
            tale.a_run(ledger, f"1.{day}.0", bytes_out=day << 20, wall_seconds=seconds)
    until = datetime(2026, 11, 16, tzinfo=UTC)
    found = {(one.step, one.measure): one for one in trends.of(ledger, tale.PROJECT, until=until)}
    assert found["ingest", WALL].runs == 15
    regression = found["ingest", WALL].regression
    assert regression is not None
    assert regression.ratio == pytest.approx(9.7, abs=0.2)
    assert found[RUN, WALL].newest == 100.0
    assert found[TABLES, BYTES].newest == 13 << 20
    assert found["ingest", PEAK].regression is None
    assert found["ingest", CPU].per_day is not None
    before = datetime(2026, 11, 5, tzinfo=UTC)
    assert {one.runs for one in trends.of(ledger, tale.PROJECT, until=before)} == {4}
    assert trends.of(ledger, "another", until=until) == []


def test_limits_are_those_of_the_settings_and_the_disk(tmp_path: Path) -> None:
    (tmp_path / "relevo.toml").write_text('[up]\nmemory_limit = "4GB"\ntimeout = "2h"\n')
    found = trends.limits(Workspace.open(tmp_path))
    assert (found[MEMORY].value, found[TIMEOUT].value) == (4e9, 7200)
    assert found[DISK].value > 0
    assert clock.pace is None
