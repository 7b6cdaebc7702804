"""Trends: what each step costs from run to run, whether it became dearer beyond noise, and when a limit will be passed.

Three questions, each answered without assuming a distribution of the noise, and each silent when unsure:

- *How does it go?* A line through the costs over time, and one over the rows, by the median of the slopes between all
  pairs of points (Theil 1950; Sen 1968), with Sen's interval from Kendall's S.
- *Is it dearer than it was?* The newest runs against the ones before at equal rows, by the shift of Hodges and Lehmann
  (1963) and its exact one-sided limit from the Mann-Whitney distribution (Hollander, Wolfe & Chicken 2014, section
  4.3). With nothing changed a step's measure is flagged with probability at most ``ALPHA`` each time one looks.
- *When will a limit be passed?* Where the line over time meets it; its interval is that of the slope.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import durations
from relevo.slopes import Line, shift, theil_sen
from relevo.upkeep import bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relevo.ledger import Ledger
    from relevo.records import Step
    from relevo.workspace import Workspace

NEWEST, EARLIER = 4, 10
"""Runs that are compared, and the least that they are compared with."""
ALPHA = 0.005
DEARER = 1.1
"""The ratio to the earlier runs that it must surely reach."""
FEWEST = 8
"""Points of a line over time."""
FARTHEST = timedelta(days=365)
BEYOND = 1.5
"""How many times the rows of the earlier runs the newest may have: farther, the line over the rows is a guess."""
WALL, CPU, PEAK, ROWS, BYTES = "wall_seconds", "cpu_seconds", "peak_rss_bytes", "rows", "bytes"
MEASURES = (WALL, CPU, PEAK, ROWS, BYTES)
LEAST: Mapping[str, float] = {WALL: 1.0, CPU: 1.0, PEAK: 32 << 20}
"""What is judged, and what less of a difference nobody cares about."""
RUN, TABLES = "run", "tables"
"""Beside the steps: the whole of a run, and all that the tables hold after it."""
_TABLES = frozenset({"ingest", "clean", "history", "examples"})
_LAST = "release"
MOST = 100
"""The newest points of a step that count."""
MEMORY, TIMEOUT, DISK = "memory", "timeout", "disk"


class Limit(NamedTuple):
    """A bound on a measure; on ``disk`` it is what the tables may grow to."""

    name: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """One time that a step was done."""

    at: datetime
    rows: int
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    bytes: int

    def of(self, measure: str) -> float:
        """One of its figures."""
        return float(getattr(self, measure))


@dataclass(frozen=True, kw_only=True)
class Regression:
    """The newest runs cost ``ratio`` times what earlier ones did at equal rows, surely at least ``low`` times."""

    ratio: float
    low: float
    runs: int
    earlier: int


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A limit that will be passed, in so many days: expected, at the earliest and at the latest."""

    limit: str
    value: float
    days: float
    earliest: float
    latest: float


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A measure of a step over ``runs`` runs: the newest's median, lines over days and over rows, and what follows."""

    step: str
    measure: str
    runs: int
    newest: float
    per_day: Line | None
    per_row: Line | None
    regression: Regression | None = None
    forecast: Forecast | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def of(
    ledger: Ledger, project: str, *, until: datetime, limits: Mapping[str, Limit] | None = None
) -> list[Trend]:
    """The trends of a project's steps up to a time, by step and measure; ``limits`` by what they bound."""
    return judge(series(ledger.costs(project, until=until)), limits or {})


def limits(workspace: Workspace) -> dict[str, Limit]:
    """What a workspace's settings and disk allow: the memory and the time of a job, and room for the tables."""
    settings = workspace.settings.up
    found = {
        TIMEOUT: Limit(TIMEOUT, durations.parse(settings.timeout).total_seconds()),
        DISK: Limit(DISK, float(shutil.disk_usage(workspace.root).free)),
    }
    if settings.memory_limit:
        found[MEMORY] = Limit(MEMORY, float(bytes_of(settings.memory_limit)))
    return found


def series(steps: Iterable[Step]) -> dict[str, list[Point]]:
    """The points of each step, oldest first; of whole runs that went on to a release; and of all tables together."""
    found: defaultdict[str, list[Point]] = defaultdict(list)
    runs: defaultdict[str, list[Step]] = defaultdict(list)
    for step in steps:
        runs[step.run].append(step)
        found[step.name].append(_point(step))
    tables: dict[str, int] = {}
    for done in runs.values():
        tables |= {step.name: step.bytes_out for step in done if step.name in _TABLES}
        whole = _whole(done)
        found[TABLES].append(replace(whole, bytes=sum(tables.values())))
        if any(step.name == _LAST for step in done):
            found[RUN].append(whole)
    return {name: sorted(points, key=lambda one: one.at)[-MOST:] for name, points in found.items()}


def _whole(steps: Sequence[Step]) -> Point:
    return Point(
        at=min(datetime.fromisoformat(step.started_at) for step in steps),
        rows=max(max(step.rows_in, step.rows_out) for step in steps),
        wall_seconds=sum(step.wall_seconds for step in steps),
        cpu_seconds=sum(step.cpu_seconds for step in steps),
        peak_rss_bytes=max(step.peak_rss_bytes for step in steps),
        bytes=sum(step.bytes_out for step in steps),
    )


def _point(step: Step) -> Point:
    return Point(
        at=datetime.fromisoformat(step.started_at),
        rows=max(step.rows_in, step.rows_out),
        wall_seconds=step.wall_seconds,
        cpu_seconds=step.cpu_seconds,
        peak_rss_bytes=step.peak_rss_bytes,
        bytes=step.bytes_out,
    )


def judge(points: Mapping[str, Sequence[Point]], limits: Mapping[str, Limit]) -> list[Trend]:
    """Judge each step's measures; the whole run is the first."""
    order = sorted(points, key=lambda name: (name not in {RUN, TABLES}, points[name][0].at, name))
    return [
        _trend(name, measure, points[name], limits)
        for name in order
        for measure in ((BYTES,) if name == TABLES else MEASURES)
    ]


def _trend(name: str, measure: str, points: Sequence[Point], limits: Mapping[str, Limit]) -> Trend:
    values = [one.of(measure) for one in points]
    first = points[0].at
    days = [(one.at - first) / timedelta(days=1) for one in points]
    rows = [float(one.rows) for one in points]
    per_day = theil_sen(days, values) if len(points) >= FEWEST else None
    per_row = theil_sen(rows, values) if len(points) >= FEWEST and measure in LEAST else None
    return Trend(
        step=name,
        measure=measure,
        runs=len(points),
        newest=sorted(values[-NEWEST:])[(len(values[-NEWEST:]) - 1) // 2],
        per_day=per_day,
        per_row=per_row,
        regression=_regression(measure, rows, values) if measure in LEAST else None,
        forecast=_forecast(name, measure, per_day, days, limits),
    )


def _regression(measure: str, rows: Sequence[float], values: Sequence[float]) -> Regression | None:
    """Whether the newest runs are surely dearer than the earlier ones at equal rows."""
    earlier = len(values) - NEWEST
    if earlier < EARLIER or max(rows[-NEWEST:]) > BEYOND * max(rows[:-NEWEST]):
        return None
    line = theil_sen(rows[:-NEWEST], values[:-NEWEST])
    found: list[tuple[float, float]] = []
    for slope in (line.low, line.slope, line.high) if line is not None else (0.0,):
        ratios = _ratios(max(slope, 0.0), rows, values)
        if ratios is None:
            return None
        found.append(shift(ratios[-NEWEST:], ratios[:-NEWEST], ALPHA))
    low = min(low for _, low in found)
    ratio = found[len(found) // 2][0]
    known = sorted(values[-NEWEST:])[(NEWEST - 1) // 2]
    if low < DEARER or known - known / ratio < LEAST[measure]:
        return None
    return Regression(ratio=ratio, low=low, runs=NEWEST, earlier=earlier)


def _ratios(slope: float, rows: Sequence[float], values: Sequence[float]) -> list[float] | None:
    """Each run's cost to that of the line of this slope through the earlier ones; None where that gives no cost."""
    rests = sorted(
        value - slope * count for value, count in zip(values[:-NEWEST], rows[:-NEWEST], strict=True)
    )
    middle = rests[len(rests) // 2]
    usual = [middle + slope * count for count in rows]
    if min(usual) <= 0 or min(values) <= 0:
        return None
    return [value / one for value, one in zip(values, usual, strict=True)]


_BOUNDED = {(RUN, WALL): TIMEOUT, (RUN, PEAK): MEMORY, (TABLES, BYTES): DISK}


def _forecast(
    name: str, measure: str, line: Line | None, days: Sequence[float], limits: Mapping[str, Limit]
) -> Forecast | None:
    """When the line over time passes its limit; None when it surely does not rise, or not within a year."""
    limit = limits.get(_BOUNDED.get((name, measure), ""))
    if limit is None or line is None or not line.low > 0:
        return None
    level = line.at(days[-1])
    room = limit.value if limit.name == DISK else limit.value - level
    expected, earliest, latest = (max(room, 0.0) / slope for slope in (line.slope, line.high, line.low))
    if expected > FARTHEST / timedelta(days=1):
        return None
    return Forecast(limit=limit.name, value=limit.value, days=expected, earliest=earliest, latest=latest)
