"""Renew: alert about what windows showed, decide what follows from it, and do it.

A decision is recorded when the alerts are; what is decided and not done yet is done by whoever comes next. So one that
dies at any point is taken up where it was, and the story ends the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from relevo import alerting, clock, durations, lifecycle, withheld
from relevo.findings import SPOILING, Finding
from relevo.records import CHAMPION, now
from relevo.renewal import trial
from relevo.renewal.decide import ROLL_BACK, WITHHOLD, Situation, decide
from relevo.renewal.judged import judged
from relevo.renewal.pending import ENDED, pending, waits
from relevo.split import TimeSplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relevo.definition import Definition
    from relevo.ledger import Ledger
    from relevo.lifecycle import Event
    from relevo.records import Decision, Release, Run, Window
    from relevo.workspace import Workspace

_MONTH = timedelta(days=30)
_SEVERAL = 10_000
WHO = "relevo"


def renew(definition: Definition, workspace: Workspace, looked: Sequence[Window] = ()) -> list[Decision]:
    """Alert and decide about the windows in which something was found and nothing decided yet.

    Gives the decisions made now; ``carry_out`` does what was decided. Of the windows just ``looked`` at those
    without a finding tell open alerts that it is quiet; if that is lost, the next ones do.
    """
    ledger, project = workspace.ledger, definition.name
    champion = ledger.champion(project)
    if champion is None:
        return []
    windows = undecided(ledger, project, champion.version)
    for window in (*windows, *(one for one in looked if not one.findings)):
        _alert(definition, workspace, window)
    made: list[Decision] = []
    if windows:
        known = situation(definition, workspace, champion.version)
        made = decide(windows, definition.project.retrain, known)
    broken = {piece for one in made if one.action == WITHHOLD for piece in one.evidence["pieces"]}
    fresh = trial.judge(definition, workspace, broken.union(withheld.withheld(ledger, project)))
    if fresh is not None:  # then nothing else follows from how bad it was
        last = max((window.number for window in windows), default=0)
        return [ledger.watch.decide(replace(fresh, window=last))]
    return ledger.watch.decide_all(made)


def undecided(ledger: Ledger, project: str, version: str) -> list[Window]:
    """The windows of a version with findings, looked at after the last one that something was decided about."""
    last = max((one.window for one in ledger.watch.decisions(project, limit=_SEVERAL)), default=0)
    found = ledger.watch.windows(project, version=version, after=last, found=True, limit=_SEVERAL)
    return sorted(found, key=lambda one: one.number)


def _alert(definition: Definition, workspace: Workspace, window: Window) -> None:
    project, settings = definition.name, workspace.settings.alerts
    findings = [Finding.of_json(one) for one in window.findings]
    if findings:
        alerting.raise_findings(workspace.ledger, project, findings, window=window.number, settings=settings)
    signals = workspace.ledger.alerts.signals(project)
    alerting.quiet(
        workspace.ledger,
        project,
        window=window.number,
        seen=judged(window, signals, minimum_rows=definition.project.monitor.minimum_rows),
        found={one.signal for one in findings},
        settings=settings,
    )


def situation(definition: Definition, workspace: Workspace, version: str) -> Situation:
    """What a decision hangs on now."""
    ledger, project = workspace.ledger, definition.name
    runs = ledger.led_to(project)
    lately = [run for run in runs if clock.now() - datetime.fromisoformat(run.started_at) < _MONTH]
    hours = sum(step.cpu_seconds for run in lately for step in ledger.steps(run.id)) / 3600
    decisions = ledger.watch.decisions(project, limit=_SEVERAL)
    back = {
        piece for one in decisions if one.action == withheld.GIVE_BACK for piece in one.evidence["pieces"]
    }
    return Situation(
        project=project,
        version=version,
        at=now(),
        runs=[run.finished_at for run in lately if run.status in ENDED],
        hours=hours,
        newest=_newest(definition, workspace),
        judging=_judging(definition),
        lost=_lost(ledger, project, version),
        withheld=withheld.withheld(ledger, project),
        given_back=frozenset(back),
        pending=bool(pending(ledger, project)),
    )


def _newest(definition: Definition, workspace: Workspace) -> datetime | None:
    """The time of the newest example, which is local in the monitor's zone."""
    snapshot = workspace.ledger.newest_snapshot(f"examples/{definition.name}", project=definition.name)
    if snapshot is None or definition.examples.event_time is None:
        return None
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, snapshot.table, as_="examples", version=snapshot.version)
        ((found,),) = connection.execute("select max(_time) from examples").fetchall()
    zone = ZoneInfo(definition.project.monitor.timezone)
    return found.replace(tzinfo=zone) if found is not None else None


def _judging(definition: Definition) -> timedelta:
    split = definition.project.split
    if not isinstance(split, TimeSplit):
        return timedelta(0)
    return durations.parse(split.test) + durations.parse(split.gap)


def _lost(ledger: Ledger, project: str, version: str) -> list[Window]:
    """The version's windows that showed a loss that nothing in them explains."""
    windows = ledger.watch.windows(project, version=version, found=True, limit=_SEVERAL)
    kinds = [{str(one["kind"]) for one in window.findings} for window in windows]
    return [
        one for one, found in zip(windows, kinds, strict=True) if "loss" in found and not found & SPOILING
    ]


def carry_out(
    definition: Definition,
    workspace: Workspace,
    *,
    sets: Mapping[str, str] | None = None,
    runs: bool = True,
    listen: Callable[[Event], None] | None = None,
) -> list[Run | Release]:
    """Do what was decided and is not done yet; gives the runs and releases that it led to.

    Without ``runs`` those are left to an orchestrator, whom ``waiting_runs`` tells. A run's own error is raised after
    it is recorded; it is tried again next time, up to ``TRIES`` times.
    """
    ledger, project = workspace.ledger, definition.name
    decisions = ledger.watch.decisions(project, limit=_SEVERAL)
    back = [_roll_back(ledger, one) for one in reversed(decisions) if one.action == ROLL_BACK]
    done: list[Run | Release] = [release for release in back if release is not None]
    for decision in pending(ledger, project) if runs else ():
        if waits(ledger, decision):  # not when the one before it ended
            more = {"listen": listen} if listen else {}
            window = str(decision.evidence.get("window", ""))
            done.append(
                lifecycle.run(definition, workspace, sets=sets, window=window, because=decision.id, **more)
            )
    return done


def _roll_back(ledger: Ledger, decision: Decision) -> Release | None:
    """Take a fresh version back, if it is the champion still."""
    standing = ledger.standing(decision.project, CHAMPION)
    if standing is None or standing.number != decision.evidence["release"]:
        return None
    return ledger.end(
        standing,
        who=WHO,
        why=decision.text,
        to=str(decision.evidence["to"]),
        facts={"decision": decision.id, "trial": decision.evidence["trial"]},
    )
