"""The cross-checks of how a project is watched and renewed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from relevo import durations
from relevo.definition.check import FILE
from relevo.definition.near import near
from relevo.errors import Mistake
from relevo.gate import METRICS
from relevo.monitoring import CHANGE, UNITS
from relevo.split import RepeatedStratifiedSplit
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.contract import Contract
    from relevo.project import Project

COSTS = ("false_positive", "false_negative")
_CRON = 5  # fields of a cron expression


def check(
    project: Project, request: Contract, features: Sequence[str], event_time: str | None
) -> list[Mistake]:
    """Every name that ``Monitor`` and ``Retrain`` say is one, and every number makes sense."""
    return [*_monitor(project, request, features), *_retrain(project, event_time)]


def _monitor(project: Project, request: Contract, features: Sequence[str]) -> list[Mistake]:
    monitor = project.monitor
    found = _known("Monitor.windows", monitor.windows, UNITS)
    found += _known("Monitor.metric", [monitor.metric], METRICS)
    found += _known("Monitor.slices", monitor.slices, request.names)
    found += _known("Monitor.pairs", [name for pair in monitor.pairs for name in pair], features)
    found += _known("Monitor.cost", list(monitor.cost), COSTS)
    if not monitor.windows:
        found.append(_wrong("Monitor.windows", t("there is none."), 'windows=("day", "week")'))
    if any(len(set(pair)) != 2 for pair in monitor.pairs):  # noqa: PLR2004 - a pair
        found.append(_wrong("Monitor.pairs", t("a pair is two features."), 'pairs=[("hour", "weekday")]'))
    for name, low, high in (("drift", 0.0, 1.0), ("loss", 0.0, 1.0), ("false_alarms", 0.0, 1000.0)):
        value = getattr(monitor, name)
        if not low <= value <= high or (name == "false_alarms" and value == 0):
            found.append(
                _wrong(
                    f"Monitor.{name}",
                    t("{value} is not between {low} and {high}.", value=value, low=low, high=high),
                )
            )
    if monitor.minimum_rows < 1:
        found.append(_wrong("Monitor.minimum_rows", t("at least one row is needed.")))
    if not all(math.isfinite(cost) for cost in monitor.cost.values()):
        found.append(_wrong("Monitor.cost", t("a cost is a finite number.")))
    try:
        ZoneInfo(monitor.timezone)
    except (OSError, ValueError):
        problem = t("there is no time zone “{name}”.", name=monitor.timezone)
        found.append(_wrong("Monitor.timezone", problem, t("Write one such as America/Santiago, or UTC.")))
    return found + _duration("Monitor.label_delay", monitor.label_delay)


def _retrain(project: Project, event_time: str | None) -> list[Mistake]:
    retrain = project.retrain
    if retrain is None:
        return []
    found = []
    for name in ("cooldown", "watch", *(["window"] if retrain.window not in ("", CHANGE) else [])):
        found += _duration(f"Retrain.{name}", getattr(retrain, name))
    if retrain.window and event_time is None:
        problem = t("the rows have no time, so there are no last ones.")
        found.append(_wrong("Retrain.window", problem, t("Leave it out, or name the Table's event_time.")))
    if retrain.window and isinstance(project.split, RepeatedStratifiedSplit):
        problem = t("RepeatedStratifiedSplit judges every row, of whatever time.")
        found.append(_wrong("Retrain.window", problem, t("Leave it out, or write TimeSplit(…).")))
    if retrain.schedule and len(retrain.schedule.split()) != _CRON:
        problem = t("“{text}” is not a cron expression.", text=retrain.schedule)
        remedy = t("Write minute, hour, day, month and weekday: 0 3 * * 1 is Mondays at three.")
        found.append(_wrong("Retrain.schedule", problem, remedy))
    if retrain.most < 1 or not retrain.most_hours > 0:
        found.append(_wrong("Retrain", t("at least one run and some processor time are needed.")))
    return found


def _known(place: str, names: Sequence[str], known: Sequence[str]) -> list[Mistake]:
    return [
        _wrong(place, t("there is no “{name}”.", name=name), near(name, known))
        for name in names
        if name not in known
    ]


def _duration(place: str, text: str) -> list[Mistake]:
    try:
        durations.parse(text)
    except ValueError as error:
        return [_wrong(place, str(error))]
    return []


def _wrong(place: str, problem: str, remedy: str = "") -> Mistake:
    return Mistake(FILE, place, problem, remedy)
