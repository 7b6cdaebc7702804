"""Counts of many workers, hours and periods are sums, and over other bins they are no one's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest

from relevo import counted
from relevo.bins import RECOMMENDATIONS, REQUESTS, Bins
from relevo.collect import collect
from relevo.counted import Counted, Hours
from relevo.ids import uuid7
from relevo.journal import COUNTS, Journal
from relevo.package import ModelPackage
from relevo.spans import spans
from relevo.workspace import Workspace
from support import planted, small

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 3, 28, 22, tzinfo=UTC)
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RELEVO_THREADS", "1")
    return Workspace.open(tmp_path)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("package")
    small.write(folder, reference=planted.reference())
    return ModelPackage.load(folder)


@pytest.fixture
def bins(package: ModelPackage) -> Bins:
    found = Bins.of(package)
    assert found is not None
    return found


def a_line(counted_over: Bins, cells: dict[int, int], at: datetime = START, **changes: Any) -> bytes:
    values = {
        "id": uuid7(),
        "project": "flights",
        "source": REQUESTS,
        "version": "1.0.0",
        "digest": "d" * 64,
        "bins": counted_over.digest,
        "size": counted_over.size,
        "hour": at.isoformat(),
        "rows": 3,
        "refused": 2,
        "failed": 1,
        "places": [*cells],
        "counts": [*cells.values()],
    }
    return orjson.dumps(values | changes) + b"\n"


def write(workspace: Workspace, *lines: bytes) -> None:
    """One segment, as of one worker."""
    journal = Journal.open(workspace.logs, COUNTS)
    for line in lines:
        journal.write(line)
    journal.close()


def read(workspace: Workspace, bins: Bins | None, version: str = "1.0.0", **more: Any) -> Hours:
    since, until = more.pop("span", ALWAYS)
    return counted.read(workspace.lake, "flights", version, since, until, bins=bins, **more)


def shown(one: Counted) -> tuple[int, int, int, dict[int, int]]:
    cells = {int(place): int(one.counts[place]) for place in np.flatnonzero(one.counts)}
    return one.rows, one.refused, one.failed, cells


def test_nothing_was_counted_yet(workspace: Workspace, bins: Bins) -> None:
    assert read(workspace, bins) == Hours({}, 0)
    assert counted.periods(workspace.lake, "flights", "1.0.0", bins=bins) == {}


def test_flushes_workers_and_hours_add_up(workspace: Workspace, bins: Bins) -> None:
    later = START + timedelta(hours=1)
    write(workspace, a_line(bins, {0: 1, 7: 2}), a_line(bins, {7: 5}), a_line(bins, {1: 1}, later))
    write(workspace, a_line(bins, {0: 4}), a_line(bins, {}, rows=0))
    assert collect(workspace, COUNTS) == 3  # of each segment's hours one row
    found = read(workspace, bins)
    assert found.left_out == 0
    assert {hour: shown(one) for hour, one in found.hours.items()} == {
        START: (9, 8, 4, {0: 5, 7: 7}),
        later: (3, 2, 1, {1: 1}),
    }
    assert [*read(workspace, bins, span=(later, ALWAYS[1])).hours] == [later]
    assert [*read(workspace, bins, span=(ALWAYS[0], later)).hours] == [START]


def test_counts_of_others_are_not_mixed_in(workspace: Workspace, bins: Bins) -> None:
    write(
        workspace,
        a_line(bins, {0: 1}),
        a_line(bins, {0: 10}, project="other"),
        a_line(bins, {0: 100}, version="1.0.1"),
        a_line(bins, {0: 1000}, source=RECOMMENDATIONS),
        a_line(bins, {0: 10_000}, bins="older", rows=17),
    )
    collect(workspace, COUNTS)
    found = read(workspace, bins)
    assert [shown(one)[3] for one in found.hours.values()] == [{0: 1}]
    assert found.left_out == 17
    both = read(workspace, bins, sources=(REQUESTS, RECOMMENDATIONS))
    assert [shown(one)[3] for one in both.hours.values()] == [{0: 1001}]
    assert [shown(one)[3] for one in read(workspace, bins, "1.0.1").hours.values()] == [{0: 100}]


def test_without_a_reference_there_are_numbers_and_no_cells(workspace: Workspace, bins: Bins) -> None:
    write(workspace, a_line(bins, {}, bins="", size=0))
    collect(workspace, COUNTS)
    found = read(workspace, None)
    assert [shown(one) for one in found.hours.values()] == [(3, 2, 1, {})]
    assert [len(one.counts) for one in found.hours.values()] == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"places": [1, 2], "counts": [1]},
        {"places": [10**6], "counts": [1]},
        {"places": [-1], "counts": [1]},
        {"places": None},
        {"counts": [None], "places": [0]},
        {"counts": ["x"], "places": [0]},
        {"rows": -1},
        {"rows": None},
        {"hour": "yesterday"},
        {"bins": None},
    ],
)
def test_a_damaged_line_is_kept_aside(workspace: Workspace, bins: Bins, changes: dict[str, Any]) -> None:
    damaged = a_line(bins, {}, **changes)
    write(workspace, a_line(bins, {0: 1}), damaged)
    said: list[str] = []
    assert collect(workspace, COUNTS, report=said.append) == 1
    assert len(said) == 1
    assert [path.read_bytes() for path in workspace.logs.glob("*.damaged")] == [damaged]


def test_a_segment_collected_twice_counts_once(workspace: Workspace, bins: Bins) -> None:
    """As after a collector that was killed when the lake had the rows and the segment was not removed yet."""
    write(workspace, a_line(bins, {0: 1}))
    (segment,) = workspace.logs.glob("counts-*.jsonl")
    copy = segment.read_bytes()
    collect(workspace, COUNTS)
    segment.write_bytes(copy)
    collect(workspace, COUNTS)
    assert [shown(one)[3] for one in read(workspace, bins).hours.values()] == [{0: 1}]
    assert list(workspace.logs.iterdir()) == []


def an_hour(rows: int) -> Counted:
    return Counted(rows, 0, 0, np.array([rows]))


def names(hours: dict[datetime, Counted], unit: str, zone: str) -> dict[str, int]:
    """Rows by the window's name."""
    return {span.name: one.rows for span, one in counted.windows(hours, unit, zone).items()}


def test_windows_are_of_local_time_and_weeks_begin_on_monday() -> None:
    """On 29 March 2026, a Sunday, Madrid skips the hour from two to three; on 25 October it has it twice."""
    spring = {START + timedelta(hours=n): an_hour(1) for n in range(48)}
    days = {"2026-03-28": 1, "2026-03-29": 23, "2026-03-30": 24}
    assert names(spring, "day", "Europe/Madrid") == days
    assert names(spring, "week", "Europe/Madrid") == {"2026-03-23": 24, "2026-03-30": 24}
    autumn = {datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(hours=n): an_hour(1) for n in range(25)}
    assert names(autumn, "day", "Europe/Madrid") == {"2026-10-25": 25}
    hours = names(autumn, "hour", "Europe/Madrid")
    assert (len(hours), set(hours.values())) == (25, {1})


@pytest.mark.parametrize("zone", ["America/Santiago", "Asia/Kolkata", "Asia/Kathmandu"])
@pytest.mark.parametrize("unit", ["hour", "day", "week"])
def test_windows_are_the_spans_that_predictions_lie_in(zone: str, unit: str) -> None:
    """On 6 September 2026 Santiago has no midnight: the day begins at one."""
    hours = {datetime(2026, 9, 4, tzinfo=UTC) + timedelta(hours=n): an_hour(1) for n in range(96)}
    found = counted.windows(hours, unit, zone)
    assert sum(one.rows for one in found.values()) == len(hours)
    for lies, one in found.items():
        assert one.rows == sum(lies.began_at <= hour < lies.ended_at for hour in hours)
    assert set(found) <= set(spans(unit, zone, min(hours), max(hours) + timedelta(hours=1)))


def test_a_period_scored_again_counts_as_scored_last(
    workspace: Workspace, package: ModelPackage, bins: Bins
) -> None:
    def score(version: str, period: str, rows: int, place: int) -> None:
        counts = np.zeros(bins.size, np.int64)
        counts[place] = rows
        of = counted.Period("flights", version, package, period, datetime(2026, 1, 5))
        with workspace.lake.connect() as connection:
            counted.record(workspace.lake, connection, of, Counted(rows, 1, 0, counts))

    score("1.0.0", "2026-01-05", 10, 3)
    score("1.0.0", "2026-01-12", 20, 3)
    score("1.0.1", "2026-01-05", 40, 3)
    score("1.0.0", "2026-01-05", 30, 4)
    write(workspace, a_line(bins, {0: 1}))
    collect(workspace, COUNTS)
    found = counted.periods(workspace.lake, "flights", "1.0.0", bins=bins)
    assert {period: shown(one) for period, one in found.items()} == {
        "2026-01-05": (30, 1, 0, {4: 30}),
        "2026-01-12": (20, 1, 0, {3: 20}),
    }
    assert [*read(workspace, bins).hours] == [START]
