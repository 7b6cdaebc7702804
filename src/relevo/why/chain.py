"""What belongs to a story: from its subject back to what led to it, and on to what followed.

Windows lead to alerts and decisions, decisions to runs and rollbacks, runs to versions, and versions to releases and
to the windows that watch them. Backwards a story ends at windows, else it would tell of every version there was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relevo.why.known import seen_in, signals, windows
from relevo.why.subject import ALERT, DECISION, RUN, VERSION, WINDOW

if TYPE_CHECKING:
    from relevo.records import Decision, Run
    from relevo.why.known import Known
    from relevo.why.subject import Subject

FRESH, GIVE_BACK = "fresh version", "give back"
_MADE = ("released", "refused")


@dataclass
class Chain:
    """The numbers and ids of what is told. ``told`` are runs told step by step, ``spoken`` alerts event by event."""

    windows: set[int] = field(default_factory=set)
    alerts: set[str] = field(default_factory=set)
    decisions: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    releases: set[int] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    spoken: set[str] = field(default_factory=set)


def follow(known: Known, subject: Subject) -> Chain:
    """Find what led to the subject, and what it led to."""
    chain = Chain()
    starts = {VERSION: _version, RUN: _run, ALERT: _alert, DECISION: _decision, WINDOW: _window}
    starts[subject.kind](known, chain, subject.id)
    return chain


def _version(known: Known, chain: Chain, number: str) -> None:
    run = known.run.get(known.version[number].run)
    if run is not None:
        _run(known, chain, run.id)
    _became(known, chain, number)
    for decision in known.decisions:  # what was decided while it answered
        if decision.version == number:
            _back(known, chain, decision)
            _forth(known, chain, decision)
    about = {"version": number}
    chain.alerts |= {one.alert.id for one in known.alarms if one.last(**about) is not None}


def _run(known: Known, chain: Chain, identity: str) -> None:
    run = known.run[identity]
    decision = known.decision.get(str(run.plan.get("because") or ""))
    if decision is not None:
        _back(known, chain, decision)
    _ended(known, chain, run)
    chain.told.add(identity)


def _alert(known: Known, chain: Chain, identity: str) -> None:
    alarm = known.alarm[identity]
    chain.alerts.add(identity)
    chain.spoken.add(identity)
    seen = seen_in(alarm)
    for decision in known.decisions:
        if identity == decision.alert or (
            alarm.alert.signal in signals(decision) and seen & windows(decision)
        ):
            _forth(known, chain, decision)


def _decision(known: Known, chain: Chain, identity: str) -> None:
    _back(known, chain, known.decision[identity])
    _forth(known, chain, known.decision[identity])


def _window(known: Known, chain: Chain, number: str) -> None:
    chain.windows.add(int(number))
    chain.alerts |= {one.alert.id for one in known.alarms if int(number) in seen_in(one)}
    for decision in known.decisions:
        if int(number) in windows(decision):
            _forth(known, chain, decision)


def _back(known: Known, chain: Chain, decision: Decision) -> None:
    """A decision, the windows that it rests on, and the alerts about what was seen in them."""
    chain.decisions.add(decision.id)
    rests, about = windows(decision), signals(decision)
    chain.windows |= rests
    chain.alerts |= {
        one.alert.id for one in known.alarms if one.alert.signal in about and rests & seen_in(one)
    }
    if decision.cause == FRESH and decision.evidence.get("release") in known.release:
        chain.releases.add(int(decision.evidence["release"]))


def _forth(known: Known, chain: Chain, decision: Decision) -> None:
    """A decision, the runs and rollbacks that it led to, and whether a person undid it."""
    chain.decisions.add(decision.id)
    for run in known.begun.get(decision.id, ()):
        _ended(known, chain, run)
    chain.releases |= {one.number for one in known.releases if one.facts.get("decision") == decision.id}
    pieces = set(decision.evidence.get("pieces", ()))
    chain.decisions |= {
        one.id
        for one in known.decisions
        if one.action == GIVE_BACK and pieces & set(one.evidence.get("pieces", ())) and one.at >= decision.at
    }


def _ended(known: Known, chain: Chain, run: Run) -> None:
    """A run, and the version that it made."""
    chain.runs.add(run.id)
    if run.status in _MADE and run.version in known.version and known.version[run.version].run == run.id:
        _became(known, chain, run.version)


def _became(known: Known, chain: Chain, number: str) -> None:
    """A version, every release that moved an alias to it or from it, and whether its trial failed."""
    chain.versions.add(number)
    chain.releases |= {one.number for one in known.releases if number in {one.version, one.previous}}
    chain.decisions |= {one.id for one in known.decisions if one.cause == FRESH and one.version == number}
