"""From findings to alerts, and from alerts to the messages about them.

An alert is about one signal and has a life of its own; what one window shows is told in one message for each
severity, since what moves ten features at once is mostly one thing. All that is remembered is in the ledger, and
doing anything here a second time for the same window changes nothing.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import clock
from relevo import digest as digests
from relevo.alarm import ACKNOWLEDGED, EVIDENCE, RESOLVED, Alarm, Changes, opening, worse
from relevo.channels import ESCALATION, FIRST
from relevo.findings import PAGE, SEVERITIES, WARN
from relevo.notify import messages, wording
from relevo.records import Alert, AlertEvent, Delivery, now
from relevo.spans import LENGTHS
from relevo.texts import speaking, t

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from relevo.channels import AlertSettings
    from relevo.findings import Finding
    from relevo.ledger import Ledger
    from relevo.records import Window

WHO = "relevo"
_LONGEST = 200  # characters of a signal, in the ledger
_MISSED = 3  # windows of a kind, after which it is made no more
_SKEW = timedelta(minutes=1)  # by which the clocks of two machines may differ


class Sighting(NamedTuple):
    """A signal that was seen: how bad it is, and the evidence."""

    signal: str
    severity: str
    evidence: Mapping[str, Any]


def raise_findings(
    ledger: Ledger, project: str, findings: Sequence[Finding], *, window: int, settings: AlertSettings
) -> list[Alert]:
    """Open alerts about what a window shows, or add to those there are, and queue the messages about it.

    ``window`` is its number in the ledger; 0 is none. Gives the alerts that the findings belong to; a late look at
    a window whose alert was resolved meanwhile belongs to none.
    """
    where = _where(ledger, project, window)
    seen: dict[str, Sighting] = {}
    for finding in findings:
        one = Sighting(signal_of(finding.signal), finding.severity, {**where, "finding": finding.to_json()})
        known = seen.get(one.signal)
        if known is None or worse(one.severity, known.severity):
            seen[one.signal] = one
    return _raise(ledger, project, list(seen.values()), settings)


def quiet(
    ledger: Ledger,
    project: str,
    *,
    window: int,
    seen: Iterable[str],
    found: Iterable[str] = (),
    settings: AlertSettings,
) -> list[Alert]:
    """Note that a window looked for the signals ``seen`` and had only ``found``; gives the alerts that are over now.

    An alert is over when each kind of window that raised it (a day of requests, say) was quiet
    ``settings.quiet_windows`` times since it last did; but for kinds that are made no more.
    """
    silent = {signal_of(one) for one in seen} - {signal_of(one) for one in found}
    if silent.isdisjoint(ledger.alerts.signals(project)):
        return []
    where = _where(ledger, project, window)
    ended = _ended(ledger.watch.newest(project))

    def judge(known: Mapping[str, Alarm]) -> Changes:
        calmer = [
            _quieted(alarm, where, settings, ended) for signal, alarm in known.items() if signal in silent
        ]
        changed = tuple(alarm for alarm in calmer if alarm is not None)
        over = [alarm for alarm in changed if alarm.state == RESOLVED]
        return Changes(alarms=changed, deliveries=tuple(_farewells(project, over, settings)))

    changed = ledger.alerts.change(project, judge)
    return [alarm.alert for alarm in changed.values() if alarm.state == RESOLVED]


def resolve(
    ledger: Ledger, project: str, alert: str, *, who: str, text: str, settings: AlertSettings
) -> Alarm:
    """Resolve an alert for somebody, and tell those who were told of it."""

    def tell(alarm: Alarm) -> list[Delivery]:
        return list(_farewells(project, [alarm], settings))

    return ledger.alerts.resolve(project, alert, who=who, text=text, tell=tell)


def overdue(ledger: Ledger, project: str, settings: AlertSettings) -> bool:
    """Whether there is a page that ``escalate`` would tell of now."""
    if not any(True for _ in settings.carrying(PAGE, ESCALATION)):
        return False
    return any(_is_overdue(alarm, settings) for alarm in ledger.alerts.all(project))


def escalate(ledger: Ledger, project: str, settings: AlertSettings) -> list[Alert]:
    """Tell the channels of escalation about pages that nobody acknowledged in time, once; gives those."""
    if not overdue(ledger, project, settings):
        return []

    def judge(known: Mapping[str, Alarm]) -> Changes:
        with speaking(settings.language):
            text = t("Nobody acknowledged it within {time}.", time=settings.escalate_after)
        evidence = {"unacknowledged": settings.escalate_after}
        overdue = [alarm for alarm in known.values() if _is_overdue(alarm, settings)]
        late = [_with(alarm, "escalated", text, evidence) for alarm in overdue]
        told = _messages("escalation", project, late, settings, ESCALATION)
        return Changes(alarms=tuple(late), deliveries=tuple(told))

    return [alarm.alert for alarm in ledger.alerts.change(project, judge).values()]


def _is_overdue(alarm: Alarm, settings: AlertSettings) -> bool:
    """Whether nobody acknowledged a page in time, and the channels of escalation were not told of it yet."""
    asked = alarm.unanswered
    told = any("unacknowledged" in event.evidence for event in asked)
    late = bool(asked) and elapsed(asked[0].at) >= settings.lasting("escalate_after")
    return late and not told and alarm.severity == PAGE


def channel_fails(ledger: Ledger, project: str, channel: str, error: str, settings: AlertSettings) -> None:
    """Open an alert about a channel that carries nothing, and tell the others; once a day while it goes on."""
    signal = signal_of(f"channel:{channel}")
    sighting = Sighting(signal, WARN, {"channel": channel, "error": error})

    def already(alarm: Alarm) -> bool:
        return alarm.state != RESOLVED and elapsed(_sightings(alarm)[-1].at) < settings.lasting("again_after")

    if not any(alarm.alert.signal == signal and already(alarm) for alarm in ledger.alerts.all(project)):
        _raise(ledger, project, [sighting], settings, without=channel)


def channel_works(ledger: Ledger, project: str, channel: str, text: str, settings: AlertSettings) -> None:
    """Resolve the alert about a channel, if there is one, and tell the others."""
    _end(ledger, project, signal_of(f"channel:{channel}"), lambda: text, settings, without=channel)


def alias_fails(ledger: Ledger, project: str, alias: str, problem: str, settings: AlertSettings) -> None:
    """Open an alert that an alias moved in MLflow is not taken up here, or one moved here is not taken there."""
    signal = signal_of(f"alias:{alias}")
    _raise(ledger, project, [Sighting(signal, WARN, {"alias": alias, "problem": problem})], settings)


def alias_works(ledger: Ledger, project: str, alias: str, settings: AlertSettings) -> None:
    """Resolve the alert about an alias, if there is one: both sides agree again."""
    _end(ledger, project, signal_of(f"alias:{alias}"), lambda: t("Both sides agree again."), settings)


def signal_of(signal: str) -> str:
    """A signal as the ledger has it: a long one ends in a digest."""
    if len(signal) <= _LONGEST:
        return signal
    return f"{signal[: _LONGEST - 17]}~{digests.of_bytes(signal.encode())[:16]}"


def _end(
    ledger: Ledger,
    project: str,
    signal: str,
    text: Callable[[], str],
    settings: AlertSettings,
    *,
    without: str = "",
) -> None:
    """Resolve the alert of a signal, if there is one; ``text`` says why, in the language of alerts."""
    if signal not in ledger.alerts.signals(project):
        return

    def judge(known: Mapping[str, Alarm]) -> Changes:
        with speaking(settings.language):
            said = text()
        over = [_with(known[signal], RESOLVED, said, {})] if signal in known else []
        told = _farewells(project, over, settings, without=without)
        return Changes(alarms=tuple(over), deliveries=tuple(told))

    ledger.alerts.change(project, judge)


def elapsed(since: str) -> timedelta:
    """How long ago a record's time was. One that is yet to come says that the clock was set back: long ago."""
    past = clock.now() - datetime.fromisoformat(since)
    return timedelta.max if past < -_SKEW else past


def _where(ledger: Ledger, project: str, window: int) -> dict[str, Any]:
    found = ledger.watch.window(project, window) if window else None
    names = ("source", "unit", "name", "began_at", "ended_at", "version")
    return {"window": window, **{name: getattr(found, name, "") for name in names}}


def _raise(
    ledger: Ledger, project: str, seen: Sequence[Sighting], settings: AlertSettings, *, without: str = ""
) -> list[Alert]:
    belonging: list[Alert] = []

    def judge(known: Mapping[str, Alarm]) -> Changes:
        changed = []
        for one in seen:
            before = known.get(one.signal)
            alarm = _raised(before, one, project, settings)
            if alarm is not None:
                changed.append(alarm)
            there = alarm or before
            if there is not None and there.state != RESOLVED:
                belonging.append(there.alert)
        news = [alarm for alarm in changed if alarm.events[-1].evidence["told"]]
        told = _messages("alert", project, news, settings, FIRST, without)
        return Changes(alarms=tuple(changed), deliveries=tuple(told))

    if seen:
        ledger.alerts.change(project, judge, signals=[one.signal for one in seen])
    return belonging


def _raised(known: Alarm | None, seen: Sighting, project: str, settings: AlertSettings) -> Alarm | None:
    """The alarm with what was seen; None when that is nothing new."""
    if known is not None and _is_known(known, seen):
        return None
    if known is not None and known.state == RESOLVED:
        late = elapsed(known.events[-1].at) > settings.lasting("reopen_within")
        known = None if late else known
    with speaking(settings.language):
        title = wording.title(seen.signal, seen.evidence)
        text = wording.told(seen.evidence)
    alert = Alert(
        id=os.urandom(5).hex(), project=project, signal=seen.signal, severity=seen.severity,
        title=title, text=text, evidence=seen.evidence, opened_at=now(),
    )  # fmt: skip
    evidence = {**seen.evidence, "told": _is_news(known, seen, settings)}
    event = AlertEvent(
        alert="", number=0, at=alert.opened_at, event="", who=WHO, text=text, evidence=evidence
    )
    return opening(known, alert, event)


def _is_known(known: Alarm, seen: Sighting) -> bool:
    """Whether this window's evidence is there; of a resolved alert, an earlier look at it too."""
    window = seen.evidence.get("window")
    if not window:
        return False
    past = _sightings(known)
    if any(event.evidence.get("window") == window for event in past):
        return True
    if known.state != RESOLVED or worse(seen.severity, known.severity):
        return False
    name = ("source", "unit", "name", "version")
    place = [seen.evidence[part] for part in name]
    return any([event.evidence.get(part) for part in name] == place for event in past)


def _is_news(known: Alarm | None, seen: Sighting, settings: AlertSettings) -> bool:
    """Whether to tell of it: what is new, worse, a page that comes back, or long untold and with nobody on it."""
    if known is None:
        return True
    if known.state == RESOLVED and seen.severity == PAGE:
        return True
    if known.state != RESOLVED and worse(seen.severity, known.severity):
        return True
    if known.state == ACKNOWLEDGED:
        return False
    told = known.last(told=True)
    return told is None or elapsed(told.at) >= settings.lasting("again_after")


def _sightings(alarm: Alarm) -> list[AlertEvent]:
    """The events that hold evidence of it, oldest first."""
    return [e for e in alarm.events if e.event in EVIDENCE and "severity" in e.evidence]


def _with(alarm: Alarm, event: str, text: str, evidence: Mapping[str, Any]) -> Alarm:
    added = AlertEvent(
        alert=alarm.alert.id, number=0, at=now(), event=event, who=WHO, text=text, evidence=evidence
    )
    return alarm.having(added)


def _quieted(
    alarm: Alarm, where: Mapping[str, Any], settings: AlertSettings, ended: Collection[tuple[str, str]]
) -> Alarm | None:
    """The alarm after a window without it, perhaps resolved; None when that tells nothing."""
    stream = (where["source"], where["unit"])
    streams = _streams(alarm)
    if stream not in streams or where["began_at"] < streams[stream].began_at:
        return None
    calm = streams[stream].quiet
    if where["name"] and where["name"] in calm:
        return None
    with speaking(settings.language):
        text = t("Not seen in {window}.", window=where["name"] or t("the last look"))
        end = t("Not seen in {count} windows in a row.", count=settings.quiet_windows)
    enough = len(calm) >= settings.quiet_windows
    if not enough:
        alarm = _with(alarm, "quiet", text, where)
    waited = [one for kind, one in _streams(alarm).items() if kind not in ended]
    if all(len(one.quiet) >= settings.quiet_windows for one in waited):
        return _with(alarm, RESOLVED, end, {})
    return None if enough else alarm


def _ended(newest: Sequence[Window]) -> set[tuple[str, str]]:
    """The kinds of windows, source and unit, that are made no more; ``newest`` are the latest of each kind.

    Another kind of the same source has rows since, of which several of these would have been made. That rows cease to
    come ends none.
    """
    return {
        (one.source, one.unit)
        for one in newest
        for other in newest
        if other.source == one.source and other.unit != one.unit and other.rows and _outlived(one, other)
    }


def _outlived(one: Window, other: Window) -> bool:
    """Whether windows of one kind were missed since, by one of another kind that has rows."""
    if one.unit not in LENGTHS or other.unit not in LENGTHS:  # rows have a time, or come in batches
        return other.number > one.number
    gap = datetime.fromisoformat(other.ended_at) - datetime.fromisoformat(one.ended_at)
    return gap > _MISSED * LENGTHS[one.unit] + LENGTHS[other.unit]


class _Stream(NamedTuple):
    """Windows of one kind: when the latest that had it began, and the names of those without it since."""

    began_at: str
    quiet: tuple[str, ...]


def _streams(alarm: Alarm) -> dict[tuple[str, str], _Stream]:
    """The kinds of windows that had it since it last opened."""
    found: dict[tuple[str, str], _Stream] = {}
    for event in alarm.lately:
        if "source" not in event.evidence:
            continue
        stream = (event.evidence["source"], event.evidence["unit"])
        before = found.get(stream, _Stream("", ()))
        if event.event in EVIDENCE:
            found[stream] = _Stream(max(before.began_at, event.evidence["began_at"]), ())
        elif event.event == "quiet":
            found[stream] = before._replace(quiet=(*before.quiet, event.evidence["name"]))
    return found


def _messages(
    kind: str,
    project: str,
    alarms: Collection[Alarm],
    settings: AlertSettings,
    role: str,
    without: str = "",
) -> Iterator[Delivery]:
    """One message for each severity and channel that carries it."""
    for severity in SEVERITIES:
        group = [alarm for alarm in alarms if alarm.severity == severity]
        for channel, language in settings.carrying(severity, role) if group else ():
            if channel != without:
                yield Delivery(
                    id="", project=project, alert=group[0].alert.id, event=group[0].events[-1].number,
                    channel=channel, message=messages.about(kind, project, group, severity, language),
                    status="waiting", due_at=now(),
                )  # fmt: skip


def _farewells(
    project: str, over: Sequence[Alarm], settings: AlertSettings, *, without: str = ""
) -> Iterator[Delivery]:
    """Messages that alerts are resolved, to those who were told of them."""
    told = [alarm for alarm in over if any(e.evidence.get("told") for e in alarm.lately)]
    yield from _messages("resolved", project, told, settings, FIRST, without)
    raised = [alarm for alarm in over if any("unacknowledged" in e.evidence for e in alarm.lately)]
    yield from _messages("resolved", project, raised, settings, ESCALATION, without)
