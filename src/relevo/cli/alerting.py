"""``alerts list``, ``show``, ``ack`` and ``resolve``: what is known of alerts, in the reader's language."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relevo import alerting
from relevo.cli.output import document, say, table
from relevo.cli.trying import opened, who
from relevo.notify import wording
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relevo.alarm import Alarm
    from relevo.records import AlertEvent, Delivery


def list_(folder: Path, *, every: bool, json: bool) -> None:
    """List alerts."""
    workspace, name = opened(folder)
    found = workspace.ledger.alerts.all(name, resolved=every)
    if json:
        document([_shown(alarm) for alarm in found])
        return
    if not found:
        say(t("No alert is open."))
        return
    columns = (t("alert"), t("severity"), t("state"), t("since"), t("seen"), t("what"))
    rows = [
        (
            alarm.alert.id,
            wording.name(alarm.severity),
            state(alarm.state),
            _time(alarm.since),
            sum(e.event in {"opened", "again", "escalated"} for e in alarm.lately),
            wording.title(alarm.alert.signal, alarm.alert.evidence),
        )
        for alarm in found
    ]
    table(columns, rows)


def show(alert: str, folder: Path, *, json: bool) -> None:
    """Show an alert."""
    workspace, name = opened(folder)
    alarm = workspace.ledger.alerts.find(name, alert)
    carried = workspace.ledger.outbox.all(name, alert=alarm.alert.id)[::-1]
    if json:
        document({**_shown(alarm), "deliveries": [_delivery(one) for one in carried]})
        return
    signal = alarm.alert.signal
    say(f"{alarm.alert.id}  {wording.title(signal, alarm.alert.evidence)}")
    say(
        t(
            "{state} since {time}; {severity}; {signal}",
            state=state(alarm.state),
            time=_time(alarm.events[-1].at if alarm.state != "open" else alarm.since),
            severity=wording.name(alarm.severity),
            signal=signal,
        )
    )
    for line in (_told(alarm), wording.sure(alarm.alert.evidence), wording.meaning(signal)):
        if line:
            say(line)
    say()
    table((t("when"), t("event"), t("who"), t("text")), [_row(event) for event in alarm.events])
    if carried:
        say()
        columns = (t("channel"), t("message"), t("status"), t("tries"), t("sent"), t("error"))
        table(
            columns,
            [
                (
                    one.channel,
                    one.message["kind"],
                    status(one.status),
                    one.tries,
                    _time(one.sent_at),
                    one.error,
                )
                for one in carried
            ],
        )


def ack(alerts: Sequence[str], why: str, folder: Path, *, json: bool) -> None:
    """Acknowledge alerts."""
    workspace, name = opened(folder)

    def one(alert: str) -> Alarm:
        return workspace.ledger.alerts.acknowledge(name, alert, who=who(), text=why)

    _each(alerts, one, t("{id} is acknowledged: {title}"), json=json)


def resolve(alerts: Sequence[str], why: str, folder: Path, *, json: bool) -> None:
    """Resolve alerts."""
    workspace, name = opened(folder)
    settings = workspace.settings.alerts

    def one(alert: str) -> Alarm:
        return alerting.resolve(workspace.ledger, name, alert, who=who(), text=why, settings=settings)

    _each(alerts, one, t("{id} is resolved: {title}"), json=json)


def _each(alerts: Sequence[str], act: Callable[[str], Alarm], said: str, *, json: bool) -> None:
    done = []
    for alert in alerts:
        alarm = act(alert)
        done.append(alarm)
        if not json:
            title = wording.title(alarm.alert.signal, alarm.alert.evidence)
            say(said.format(id=alarm.alert.id, title=title))
    if json:
        document([_shown(alarm) for alarm in done])


def state(name: str) -> str:
    """An alert's state, for people."""
    return {"open": t("open"), "acknowledged": t("acknowledged"), "resolved": t("resolved")}[name]


def status(name: str) -> str:
    """A message's status, for people."""
    return {"waiting": t("waiting"), "sent": t("sent"), "failed": t("given up")}[name]


def _row(event: AlertEvent) -> tuple[str, str, str, str]:
    names = {
        "opened": t("opened"),
        "again": t("again"),
        "quiet": t("quiet"),
        "acknowledged": t("acknowledged"),
        "escalated": t("escalated"),
        "resolved": t("resolved"),
    }
    said = wording.told(event.evidence, event.text)
    return _time(event.at), names[event.event], event.who, said


def _told(alarm: Alarm) -> str:
    return wording.told(alarm.alert.evidence, alarm.alert.text)


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _shown(alarm: Alarm) -> dict[str, Any]:
    """An alert for programs. Its own severity is what it opened with; here it is what it is by now."""
    facts = {"state": alarm.state, "severity": alarm.severity, "since": alarm.since}
    return {**asdict(alarm.alert), **facts, "events": [asdict(event) for event in alarm.events]}


def _delivery(one: Delivery) -> dict[str, Any]:
    facts = {
        name: value for name, value in asdict(one).items() if name not in {"message", "project", "alert"}
    }
    return {**facts, "kind": one.message["kind"], "subject": one.message["subject"]}
