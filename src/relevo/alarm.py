"""An alarm: an alert with all that happened to it, and what follows from that.

It is open until somebody acknowledges or resolves it. One that is acknowledged is open again when it gets worse;
one that is resolved, when it comes again within a day: later it is an alert of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.findings import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.records import Alert, AlertEvent, Delivery

OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"
EVIDENCE = frozenset({"opened", "again", "escalated"})
"""Events that say that it is there; their evidence may hold a ``severity``."""


def worse(one: str, other: str) -> bool:
    """Whether the severity ``one`` is worse than the other."""
    return SEVERITIES.index(one) < SEVERITIES.index(other)


@dataclass(frozen=True)
class Alarm:
    """An alert and its events, oldest first; there is at least the one that opened it."""

    alert: Alert
    events: tuple[AlertEvent, ...]

    @cached_property
    def state(self) -> str:
        """``open``, ``acknowledged`` or ``resolved``."""
        return self._now.state

    @cached_property
    def severity(self) -> str:
        """How bad it is, or was at last; it may have got worse since it opened."""
        return self._now.severity

    @property
    def since(self) -> str:
        """Since when it is there; before that it was resolved."""
        return self._now.since

    @property
    def unanswered(self) -> tuple[AlertEvent, ...]:
        """The events since it waits for somebody to acknowledge it; empty when it does not."""
        return self.events[self._now.asked :] if self.state == OPEN else ()

    @cached_property
    def lately(self) -> tuple[AlertEvent, ...]:
        """The events since it last opened, that one included."""
        return self.events[self._now.first :]

    def last(self, **facts: Any) -> AlertEvent | None:
        """The newest event whose evidence says these facts."""
        found = (e for e in reversed(self.events) if facts.items() <= dict(e.evidence).items())
        return next(found, None)

    def having(self, event: AlertEvent) -> Alarm:
        """The alarm after one more event, which gets its number."""
        return Alarm(self.alert, (*self.events, replace(event, number=len(self.events) + 1)))

    @cached_property
    def _now(self) -> _Now:
        now = _Now(RESOLVED, self.alert.severity, "", 0, 0)
        for place, event in enumerate(self.events):
            now = _after(now, event, place)
        return now


class _Now(NamedTuple):
    state: str
    severity: str
    since: str
    first: int
    asked: int


def _after(now: _Now, event: AlertEvent, place: int) -> _Now:
    severity = event.evidence.get("severity", now.severity)
    if event.event in EVIDENCE and now.state == RESOLVED:
        return _Now(OPEN, severity, event.at, place, place)
    if event.event == "escalated" and worse(severity, now.severity):
        return now._replace(state=OPEN, severity=severity, asked=place)
    if event.event in {ACKNOWLEDGED, RESOLVED}:
        return now._replace(state=event.event)
    return now


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to happen to a project's alerts, all at one moment.

    ``alarms`` are as they are to be: new ones, and known ones with more events. ``deliveries`` are to be carried
    then; the ledger gives them their ids.
    """

    alarms: tuple[Alarm, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


def opening(known: Alarm | None, alert: Alert, event: AlertEvent) -> Alarm:
    """The alarm after ``alert`` was seen: a new one, or the one known of its signal ``again``, or ``escalated``.

    ``event`` says who saw it when, with what evidence; its name and its alert are filled in.
    """
    event = replace(event, evidence={**event.evidence, "severity": alert.severity})
    if known is None:
        return Alarm(alert, ()).having(replace(event, alert=alert.id, event="opened"))
    grown = known.state != RESOLVED and worse(alert.severity, known.severity)
    return known.having(replace(event, alert=known.alert.id, event="escalated" if grown else "again"))


def current(alarms: Mapping[str, Alarm], signal: str) -> Alarm | None:
    """The alarm of a signal, if it is there and not resolved."""
    found = alarms.get(signal)
    return found if found is not None and found.state != RESOLVED else None
