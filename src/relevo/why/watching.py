"""The part of a story that is about watching: windows and what was found, alerts and messages, decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.findings import SEVERITIES
from relevo.notify import wording
from relevo.texts import t
from relevo.why import words
from relevo.why.event import Event
from relevo.why.known import seen_in
from relevo.why.known import windows as rests_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.alarm import Alarm
    from relevo.records import AlertEvent, Delivery
    from relevo.why.chain import Chain
    from relevo.why.known import Details, Known

FINDINGS = 10
"""Findings of a window that are told one by one."""
_SHORT = frozenset({"opened", "acknowledged", "escalated", "resolved"})
"""What is told of an alert that the story is not about."""


def windows(known: Known, details: Details, chain: Chain) -> Iterator[Event]:
    """The windows, but for those that the events of an alert tell of, and the findings that something rests on."""
    spoken = {number for alert in chain.spoken for number in seen_in(known.alarm[alert])}
    for number in sorted(chain.windows - spoken):
        window = details.windows.get(number)
        if window is None:
            continue
        refs = {"window": number, "version": window.version}
        facts = {
            "source": window.source, "unit": window.unit, "name": window.name, "rows": window.rows,
            "began_at": window.began_at, "ended_at": window.ended_at, "findings": list(window.findings),
        }  # fmt: skip
        text = t(
            "Window {number}, {where}: {rows:,} rows.",
            number=number,
            where=words.watched(window),
            rows=window.rows,
        )
        yield Event(at=window.made_at, kind="window", text=text, facts=facts, refs=refs)
        order = sorted(window.findings, key=lambda one: SEVERITIES.index(one.get("severity", SEVERITIES[-1])))
        for found in order[:FINDINGS]:
            yield Event(at=window.made_at, kind="finding", text=words.seen(found), facts=found, refs=refs)
        more = len(order) - FINDINGS
        if more > 0:
            yield Event(
                at=window.made_at, kind="finding", text=t("And {count} more findings.", count=more), refs=refs
            )


def alerts(known: Known, details: Details, chain: Chain) -> Iterator[Event]:
    """The alerts: all that happened to those that the story is about, with their messages; of others, how they went."""
    for identity in sorted(chain.alerts):
        alarm = known.alarm[identity]
        for event in alarm.events:
            if identity in chain.spoken or event.event in _SHORT:
                yield _happened(alarm, event)
        for message in details.deliveries.get(identity, ()):
            yield _carried(identity, message)


def _happened(alarm: Alarm, event: AlertEvent) -> Event:
    title = wording.title(alarm.alert.signal, alarm.alert.evidence)
    said = wording.told(event.evidence, event.text)
    figures = {"id": alarm.alert.id, "title": title, "who": event.who, "said": said}
    severity = wording.name(event.evidence.get("severity", alarm.alert.severity))
    heads = {
        "opened": t("Alert {id} ({severity}): {title}.", **figures, severity=severity),
        "again": t("Alert {id} again.", **figures),
        "quiet": t("Alert {id} is quiet.", **figures),
        "acknowledged": t("Alert {id} is taken on by {who}.", **figures),
        "escalated": t("Alert {id} is escalated ({severity}).", **figures, severity=severity),
        "resolved": t("Alert {id} is resolved by {who}: {title}.", **figures),
    }
    head = heads.get(event.event, event.event)
    return Event(
        at=event.at,
        kind="alert",
        text=f"{head} {said}".strip(),
        facts={
            "event": event.event,
            "signal": alarm.alert.signal,
            "who": event.who,
            "said": event.text,
            **event.evidence,
        },
        refs={"alert": alarm.alert.id, "event": event.number, "window": event.evidence.get("window", 0)},
    )


def _carried(alert: str, message: Delivery) -> Event:
    written = str(message.message.get("made_at") or message.due_at)
    figures = {
        "channel": message.channel, "subject": message.message.get("subject", ""), "tries": message.tries,
        "error": message.error or "-",
    }  # fmt: skip
    told = {
        "sent": t("Sent through {channel}: {subject}", **figures),
        "failed": t("Given up after {tries} tries through {channel}: {subject}. {error}", **figures),
        "waiting": t("Waits to go out through {channel}: {subject}", **figures),
    }
    return Event(
        at=message.sent_at or written,
        kind="message",
        text=told[message.status],
        facts={
            "status": message.status,
            "kind": message.message.get("kind", ""),
            "written_at": written,
            **figures,
        },
        refs={"alert": alert, "message": message.id},
    )


def decisions(known: Known, chain: Chain) -> Iterator[Event]:
    """The decisions, with what they rest on."""
    for identity in sorted(chain.decisions):
        decision = known.decision[identity]
        yield Event(
            at=decision.at,
            kind="decision",
            text=t(
                "Decided to {action}: {why}",
                action=words.action(decision.action),
                why=words.decided(decision),
            ),
            facts={
                "cause": decision.cause,
                "action": decision.action,
                "said": decision.text,
                **decision.evidence,
            },
            refs={"decision": identity, "version": decision.version, "windows": sorted(rests_on(decision))},
        )
