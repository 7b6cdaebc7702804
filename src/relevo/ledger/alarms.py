"""Alerts and what happens to them, in the ledger, together with the messages about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from relevo.alarm import ACKNOWLEDGED, RESOLVED, Alarm, Changes, current, opening
from relevo.errors import LedgerError
from relevo.ledger import outbox, rows
from relevo.ledger.database import one_at_a_time
from relevo.ledger.tables import alert_events, alerts
from relevo.records import Alert, AlertEvent, Delivery, now
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from relevo.ledger.database import Database

    Judge = Callable[[Mapping[str, Alarm]], Changes]
    Tell = Callable[[Alarm], Sequence[Delivery]]

_CHUNK = 500  # ids in one query
_last = (
    select(func.max(alert_events.c.number))
    .where(alert_events.c.alert == alerts.c.id)
    .correlate(alerts)
    .scalar_subquery()
)
_state = (
    select(alert_events.c.event)
    .where(alert_events.c.alert == alerts.c.id, alert_events.c.number == _last)
    .correlate(alerts)
    .scalar_subquery()
)
"""What happened last to an alert: ``resolved``, or it is there."""


def _nothing(_: Alarm) -> Sequence[Delivery]:
    return ()


class Alarms:
    """Alerts are opened, and events added to them.

    The ledger's laws hold, and these:

    - Of each signal of a project one alert at most is not resolved.
    - What happens, and the messages that it gives rise to, are one transaction.
    - Of one project's changes each sees what the ones before it did.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(self, project: str, judge: Judge, *, signals: Collection[str] = ()) -> dict[str, Alarm]:
        """Do what ``judge`` says; it is given the alarms that are not resolved, by signal.

        Of ``signals`` it is given the newest alarm, even one that is resolved. It may be called once only, must not
        use the ledger, and every other change waits for it. Gives the alarms that it changed, by signal.
        """
        with self._database.writing() as connection:
            one_at_a_time(connection, project, "alerts")
            known = _known(connection, project, signals)
            changes = judge(known)
            _write(connection, known, changes.alarms)
            outbox.queue(connection, project, changes.deliveries)
        return {alarm.alert.signal: alarm for alarm in changes.alarms}

    def open(
        self,
        alert: Alert,
        *,
        who: str = "relevo",
        evidence: Mapping[str, Any] | None = None,
        tell: Tell = _nothing,
    ) -> Alarm:
        """Open an alert; if one of its signal is there, add ``again`` to that, or ``escalated`` when this is worse.

        ``tell`` gives the messages about what the alarm is then.
        """

        def judge(known: Mapping[str, Alarm]) -> Changes:
            event = AlertEvent(
                alert=alert.id, number=0, at=now(), event="", who=who, text=alert.text,
                evidence=alert.evidence if evidence is None else evidence,
            )  # fmt: skip
            alarm = opening(current(known, alert.signal), alert, event)
            return Changes(alarms=(alarm,), deliveries=tuple(tell(alarm)))

        return self.change(alert.project, judge)[alert.signal]

    def acknowledge(self, project: str, alert: str, *, who: str, text: str) -> Alarm:
        """Note that somebody has taken an alert on; raises ``LedgerError`` when it is so, or resolved, already."""
        return self._settle(project, alert, ACKNOWLEDGED, who, text, _nothing)

    def resolve(self, project: str, alert: str, *, who: str, text: str, tell: Tell = _nothing) -> Alarm:
        """Note that an alert is over; raises ``LedgerError`` when it is already."""
        return self._settle(project, alert, RESOLVED, who, text, tell)

    def find(self, project: str, alert: str) -> Alarm:
        """Read an alert by its id or the first characters of it; raises ``LedgerError`` when it is not one."""
        with self._database.reading() as connection:
            return _find(connection, project, alert)

    def all(self, project: str, *, resolved: bool = False, limit: int | None = None) -> list[Alarm]:
        """List the alerts that are not resolved, newest first; with ``resolved`` those too."""
        wanted = [alerts.c.project == project]
        wanted += [] if resolved else [_state != RESOLVED]
        with self._database.reading() as connection:
            return list(_alarms(connection, *wanted, limit=limit))

    def signals(self, project: str) -> set[str]:
        """The signals of the alerts that are not resolved, without reading what happened to them."""
        query = select(alerts.c.signal).where(alerts.c.project == project, _state != RESOLVED)
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def _settle(self, project: str, alert: str, event: str, who: str, text: str, tell: Tell) -> Alarm:
        with self._database.writing() as connection:
            one_at_a_time(connection, project, "alerts")
            found = _find(connection, project, alert)
            _refuse(found, event)
            alarm = found.having(
                AlertEvent(alert=found.alert.id, number=0, at=now(), event=event, who=who, text=text)
            )
            _write(connection, {found.alert.signal: found}, (alarm,))
            outbox.queue(connection, project, tuple(tell(alarm)))
        return alarm


def _refuse(found: Alarm, event: str) -> None:
    """Raise ``LedgerError`` when the event can not happen to an alarm that is as it is."""
    if found.state not in {RESOLVED, event}:
        return
    last = next(e for e in reversed(found.events) if e.event == found.state)
    template = (
        t("Alert {id} was resolved by {who} at {time}; there is nothing left to do.")
        if found.state == RESOLVED
        else t("Alert {id} was acknowledged by {who} at {time} already.")
    )
    raise LedgerError(template.format(id=found.alert.id, who=last.who, time=last.at[:19]))


def _write(connection: Connection, known: Mapping[str, Alarm], alarms: Sequence[Alarm]) -> None:
    """Add what alarms have more than those that are known of their signals, if they are the same alerts."""
    there = dict(known)
    opened: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    for alarm in alarms:
        alert, before = alarm.alert, there.get(alarm.alert.signal)
        same = before is not None and before.alert.id == alert.id
        if before is not None and not same and before.state != RESOLVED:
            raise LedgerError(
                t(
                    "{project}: the alert {id} about {signal} is open; there is no second one at a time.",
                    project=alert.project,
                    id=before.alert.id,
                    signal=alert.signal,
                )
            )
        if not same:
            opened.append(rows.to_row(alert))
        added = alarm.events[len(before.events) if same and before is not None else 0 :]
        happened += [rows.to_row(replace(event, alert=alert.id)) for event in added]
        there[alert.signal] = alarm
    if opened:
        connection.execute(insert(alerts), opened)
    if happened:
        connection.execute(insert(alert_events), happened)


def _known(connection: Connection, project: str, signals: Collection[str]) -> dict[str, Alarm]:
    """The alarms that are not resolved, and the newest of each of ``signals``, by signal."""
    found = {a.alert.signal: a for a in _alarms(connection, alerts.c.project == project, _state != RESOLVED)}
    missing = sorted(set(signals) - found.keys())
    for start in range(0, len(missing), _CHUNK):
        asked = missing[start : start + _CHUNK]
        past = list(_alarms(connection, alerts.c.project == project, alerts.c.signal.in_(asked)))
        for alarm in sorted(past, key=lambda alarm: alarm.events[-1].at):
            found[alarm.alert.signal] = alarm
    return found


def _find(connection: Connection, project: str, alert: str) -> Alarm:
    begun = alerts.c.id.startswith(alert, autoescape=True)
    found = list(_alarms(connection, alerts.c.project == project, begun, limit=2)) if alert else []
    exact = [one for one in found if one.alert.id == alert]
    if len(exact or found) == 1:
        return (exact or found)[0]
    problem = (
        t("{project} has several alerts whose id begins with “{id}”.", project=project, id=alert)
        if found
        else t("{project} has no alert “{id}”.", project=project, id=alert)
    )
    raise LedgerError(problem + " " + t("`relevo alerts --all` shows those there are."))


def _alarms(
    connection: Connection, *wanted: ColumnElement[bool], limit: int | None = None
) -> Iterator[Alarm]:
    """Read alerts with their events, newest first."""
    query = select(alerts).where(*wanted).order_by(alerts.c.opened_at.desc(), alerts.c.id).limit(limit)
    found = [rows.alert(row) for row in connection.execute(query).mappings()]
    events: dict[str, list[AlertEvent]] = {alert.id: [] for alert in found}
    ids = list(events)
    for start in range(0, len(ids), _CHUNK):
        of = alert_events.c.alert.in_(ids[start : start + _CHUNK])
        every = select(alert_events).where(of).order_by(alert_events.c.alert, alert_events.c.number)
        for row in connection.execute(every).mappings():
            events[row["alert"]].append(rows.alert_event(row))
    for alert in found:
        yield Alarm(alert, tuple(events[alert.id]))
