"""``report`` and ``trends``: a week in plain words, and what steps cost from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import clock
from relevo import trends as trending
from relevo.cli.output import document, say, table
from relevo.cli.trying import opened
from relevo.errors import RequestError
from relevo.report import parts
from relevo.texts import LANGUAGES, language, t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relevo.slopes import Line
    from relevo.trends import Trend
    from relevo.workspace import Workspace


def report(folder: Path, week: str, lang: str | None, out: Path | None, *, json: bool) -> None:
    """Write a week's report, and say where it is and what to look at."""
    from relevo.definition import load
    from relevo.report import report as write
    from relevo.workspace import Workspace

    if lang is not None and lang not in LANGUAGES:
        raise RequestError([{"field": "lang", "problem": t("“{lang}” is neither en nor es.", lang=lang)}])
    workspace = Workspace.open(folder)
    done = write(load(folder), workspace, week=week, language=lang or _language(workspace), out=out)
    if json:
        found: dict[str, Any] = {
            "week": done.facts.week.name,
            "over": done.facts.over,
            "look": list(done.look),
            "html": str(done.html),
            "markdown": str(done.markdown),
            "unread": list(done.facts.unread),
        }
        document(found)
        return
    for one in done.look:
        say(f"- {one}")
    say(t("The report of {week} is in {path}.", week=done.facts.week.name, path=done.html))


def _language(workspace: Workspace) -> str:
    """The language of alerts, if one was chosen, else that in force."""
    settings = workspace.settings.alerts
    return settings.language if "language" in settings.model_fields_set else language()


def trends(folder: Path, *, json: bool) -> None:
    """Show what each step costs, how that goes, what became dearer, and which limit comes near."""
    workspace, name = opened(folder)
    found = trending.of(workspace.ledger, name, until=clock.now(), limits=trending.limits(workspace))
    if json:
        document([one.to_json() for one in found])
        return
    if not found:
        say(t("No run was measured yet."))
        return
    _show(found)


def _show(found: list[Trend]) -> None:
    """A line for each step, and what is to be said of some."""
    steps: dict[str, dict[str, Trend]] = {}
    for trend in found:
        steps.setdefault(trend.step, {})[trend.measure] = trend
    columns = (
        t("step"),
        t("runs"),
        t("took"),
        "CPU",
        t("memory"),
        t("rows"),
        t("bytes"),
        t("time, a week"),
        t("time, a million rows"),
    )
    table(columns, [_row(name, measures) for name, measures in steps.items()])
    said = [parts.dearer(one) for one in found if one.regression is not None]
    said += [parts.passed(one) for one in found if one.forecast is not None]
    for line in said or [t("No step became dearer beyond chance, and no limit comes near.")]:
        say(line)


def _row(name: str, measures: Mapping[str, Trend]) -> tuple[str, ...]:
    newest = [
        _amount(measure, measures[measure].newest) if measure in measures else ""
        for measure in trending.MEASURES
    ]
    time = measures.get(trending.WALL)
    lines = (None, None) if time is None else (time.per_day, time.per_row)
    runs = next(iter(measures.values())).runs
    return (name, str(runs), *newest, _slope(lines[0], 7), _slope(lines[1], 1e6))


def _slope(line: Line | None, times: float) -> str:
    """The seconds that are added, where that is surely something."""
    return f"{line.slope * times:+,.2f} s" if line is not None and line.sure else ""


def _amount(measure: str, value: float) -> str:
    if measure in {trending.WALL, trending.CPU}:
        return f"{value:,.2f} s"
    return f"{value / (1 << 20):,.1f} MiB" if measure != trending.ROWS else f"{value:,.0f}"
