"""What the ledger knows of a project, read once: what hangs together is found in it, and then told in detail."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from relevo.alerting import signal_of
from relevo.findings import Finding
from relevo.records import CHAMPION, WITHDRAW, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.alarm import Alarm
    from relevo.ledger import Ledger
    from relevo.records import Decision, Delivery, ModelVersion, Release, Run, Snapshot, Step, Trial, Window
    from relevo.why.chain import Chain

_ALL = 100_000


@dataclass(frozen=True, kw_only=True)
class Known:
    """The records that refer to each other; each sequence is the ledger's own, releases the oldest first."""

    project: str
    at: str
    runs: Sequence[Run] = ()
    versions: Sequence[ModelVersion] = ()
    releases: Sequence[Release] = ()
    decisions: Sequence[Decision] = ()
    alarms: Sequence[Alarm] = ()

    @classmethod
    def read(cls, ledger: Ledger, project: str) -> Known:
        """Read all that there is of a project."""
        return cls(
            project=project,
            at=now(),
            runs=ledger.runs(project, limit=_ALL),
            versions=ledger.versions(project),
            releases=ledger.releases(project),
            decisions=ledger.watch.decisions(project, limit=_ALL),
            alarms=ledger.alerts.all(project, resolved=True, limit=_ALL),
        )

    @cached_property
    def run(self) -> Mapping[str, Run]:
        """Runs by id."""
        return {one.id: one for one in self.runs}

    @cached_property
    def version(self) -> Mapping[str, ModelVersion]:
        """Versions by number."""
        return {one.version: one for one in self.versions}

    @cached_property
    def release(self) -> Mapping[int, Release]:
        """Releases by number."""
        return {one.number: one for one in self.releases}

    @cached_property
    def decision(self) -> Mapping[str, Decision]:
        """Decisions by id."""
        return {one.id: one for one in self.decisions}

    @cached_property
    def alarm(self) -> Mapping[str, Alarm]:
        """Alerts with their events by id."""
        return {one.alert.id: one for one in self.alarms}

    @cached_property
    def begun(self) -> Mapping[str, Sequence[Run]]:
        """The runs that a decision led to, by its id, the oldest first."""
        found: defaultdict[str, list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda one: one.started_at):
            found[str(run.plan.get("because") or "")].append(run)
        return found

    @property
    def champion(self) -> str:
        """The version that answers; empty when none does."""
        moved = [one for one in self.releases if one.alias == CHAMPION]
        return moved[-1].version if moved and moved[-1].act != WITHDRAW else ""


@dataclass(frozen=True, kw_only=True)
class Details:
    """What is told at length: by the number or id of what it belongs to."""

    windows: Mapping[int, Window] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    trials: Mapping[str, Sequence[Trial]] = field(default_factory=dict)
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    deliveries: Mapping[str, Sequence[Delivery]] = field(default_factory=dict)


def details(ledger: Ledger, known: Known, chain: Chain) -> Details:
    """Read what a story tells at length."""
    windows = {number: ledger.watch.window(known.project, number) for number in chain.windows}
    steps = {run: ledger.steps(run) for run in chain.runs}
    raw = {
        identity
        for run in chain.told
        for step in steps.get(run, ())
        if step.name == "ingest"
        for identity in step.output.get("snapshots", {}).values()
    }
    snapshots = {identity: ledger.snapshot(identity, project=known.project) for identity in raw}
    return Details(
        windows={number: found for number, found in windows.items() if found is not None},
        steps=steps,
        trials={run: ledger.trials(run) for run in chain.told},
        snapshots={identity: found for identity, found in snapshots.items() if found is not None},
        deliveries={
            alert: ledger.outbox.all(known.project, alert=alert, limit=_ALL) for alert in chain.spoken
        },
    )


def findings(decision: Decision) -> list[Finding]:
    """The findings that a decision rests on."""
    return [Finding.of_json(one) for one in decision.evidence.get("findings", ())]


def signals(decision: Decision) -> set[str]:
    """The signals of the findings that a decision rests on."""
    return {signal_of(one.signal) for one in findings(decision)}


def windows(decision: Decision) -> set[int]:
    """The windows that a decision rests on."""
    return {int(number) for number in decision.evidence.get("windows", ())}


def seen_in(alarm: Alarm) -> set[int]:
    """The windows in which what an alert is about was seen."""
    return {
        int(event.evidence["window"])
        for event in alarm.events
        if "finding" in event.evidence and event.evidence.get("window")
    }
