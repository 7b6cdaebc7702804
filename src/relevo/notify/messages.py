"""A message about alerts: a subject, plain text, HTML, and the facts for programs. No rows' contents are in it.

As JSON (version 1): ``kind`` (``alert``, ``escalation``, ``resolved`` or ``test``), ``project``, ``severity``,
``language``, ``made_at``, ``window``, ``alerts``, ``subject``, ``text``, ``html``.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from relevo.alarm import EVIDENCE
from relevo.notify import wording
from relevo.records import now
from relevo.texts import speaking, t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.alarm import Alarm

VERSION = 1
TOLD = 20
"""Alerts that are told one by one; of more the number."""
_SUBJECT = 120
_FIGURES = ("kind", "about", "value", "expected", "low", "high", "rows", "p")
_WINDOW = ("source", "unit", "name", "began_at", "ended_at", "version")


def about(kind: str, project: str, alarms: Sequence[Alarm], severity: str, language: str) -> dict[str, Any]:
    """Write the message about alarms, the first of which is in the subject."""
    with speaking(language):
        evidence = [_evidence(alarm) for alarm in alarms]
        subject = _subject(kind, project, alarms, evidence, severity)
        lines = [_lines(alarm, one) for alarm, one in zip(alarms[:TOLD], evidence, strict=False)]
        ends = _ends(kind, alarms)
        more = t("And {count} more: relevo alerts", count=len(alarms) - TOLD) if len(alarms) > TOLD else ""
        return {
            "version": VERSION,
            "kind": kind,
            "project": project,
            "severity": severity,
            "language": language,
            "made_at": now(),
            "window": _window(evidence),
            "alerts": [_facts(alarm, one) for alarm, one in zip(alarms, evidence, strict=True)],
            "subject": subject,
            "text": _text(subject, lines, more, ends),
            "html": _html(subject, lines, more, ends),
        }


def trial(project: str, language: str) -> dict[str, Any]:
    """Write a message that tests a channel."""
    with speaking(language):
        subject = t("[{project}] test of the alerts", project=project)
        said = t(
            "This is a test, and nothing is wrong: this channel carries alerts of {project}.", project=project
        )
        return {
            "version": VERSION,
            "kind": "test",
            "project": project,
            "severity": "note",
            "language": language,
            "made_at": now(),
            "window": None,
            "alerts": [],
            "subject": subject,
            "text": f"{said}\n",
            "html": f"<p>{escape(said)}</p>\n",
        }


def _evidence(alarm: Alarm) -> Mapping[str, Any]:
    """The newest evidence that it is there."""
    found = next(e for e in reversed(alarm.events) if e.event in EVIDENCE)
    worst = alarm.last(severity=alarm.severity)  # a later one may be milder than what is told
    return (worst or found).evidence


def _window(evidence: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    first = next((one for one in evidence if one.get("name")), None)
    return None if first is None else {name: first.get(name, "") for name in _WINDOW}


def _facts(alarm: Alarm, evidence: Mapping[str, Any]) -> dict[str, Any]:
    found = evidence.get("finding")
    return {
        "id": alarm.alert.id,
        "signal": alarm.alert.signal,
        "severity": alarm.severity,
        "state": alarm.state,
        "since": alarm.since,
        "title": wording.title(alarm.alert.signal, evidence),
        "text": wording.told(evidence, alarm.alert.text),
        "finding": None if found is None else {name: found.get(name) for name in _FIGURES},
    }


def _subject(
    kind: str, project: str, alarms: Sequence[Alarm], evidence: Sequence[Mapping[str, Any]], severity: str
) -> str:
    first = wording.title(alarms[0].alert.signal, evidence[0])
    if len(alarms) > 1:
        first = t("{title}, and {count} more", title=first, count=len(alarms) - 1)
    word = wording.name(severity)
    subject = {
        "alert": t("[{project}] {severity}: {title}", project=project, severity=word, title=first),
        "escalation": t(
            "[{project}] {severity}, not acknowledged: {title}", project=project, severity=word, title=first
        ),
        "resolved": t("[{project}] resolved: {title}", project=project, title=first),
    }[kind]
    subject = " ".join(subject.split())  # a header has one line
    return subject if len(subject) <= _SUBJECT else f"{subject[: _SUBJECT - 1]}…"


def _lines(alarm: Alarm, evidence: Mapping[str, Any]) -> list[str]:
    """What is said of one alert: what was seen, then since when, where, and how sure that is."""
    since = t("Alert {id}, since {time} UTC.", id=alarm.alert.id, time=alarm.since[:16].replace("T", " "))
    where = (
        t(
            "Window: {unit} {name} of {source}, version {version}.",
            unit=_unit(evidence["unit"]),
            name=evidence["name"],
            source=_source(evidence["source"]),
            version=evidence["version"] or "-",
        )
        if evidence.get("name")
        else ""
    )
    ended = t("It ended: {text}", text=alarm.events[-1].text) if alarm.state == "resolved" else ""
    said = wording.told(evidence, alarm.alert.text)
    return [said, *(line for line in (since, where, wording.sure(evidence), ended) if line)]


def _unit(unit: str) -> str:
    return {"hour": t("hour"), "day": t("day"), "week": t("week"), "batch": t("batch")}.get(unit, unit)


def _source(source: str) -> str:
    names = {"requests": t("requests"), "arrivals": t("new rows"), "scores": t("batch scores")}
    return names.get(source, source)


def _ends(kind: str, alarms: Sequence[Alarm]) -> list[tuple[str, list[str]]]:
    """What comes after the alerts: headings with lines; those of what to do are commands."""
    if kind == "resolved":
        return []
    meanings = list(dict.fromkeys(wording.meaning(alarm.alert.signal) for alarm in alarms))
    ids = " ".join(alarm.alert.id for alarm in alarms[:TOLD])
    taken = t("I look into it")
    todo = [f"relevo why {alarms[0].alert.id}", f'relevo alerts ack {ids} --why "{taken}"']
    return [(t("What it means"), meanings), (t("What to do next"), todo)]


def _text(subject: str, items: Sequence[list[str]], more: str, ends: list[tuple[str, list[str]]]) -> str:
    parts = [subject, *("\n  ".join(lines) for lines in items)]
    parts += [more] if more else []
    parts += ["\n".join([f"{head}:", *(f"  {line}" for line in lines)]) for head, lines in ends]
    return "\n\n".join(parts) + "\n"


def _html(subject: str, items: Sequence[list[str]], more: str, ends: list[tuple[str, list[str]]]) -> str:
    def listed(lines: Sequence[str]) -> str:
        return "".join(f"<br>{escape(line)}" for line in lines)

    told = "".join(f"<li><b>{escape(lines[0])}</b>{listed(lines[1:])}</li>" for lines in items)
    rest = f"<p>{escape(more)}</p>" if more else ""
    todo = len(ends) - 1
    for place, (head, lines) in enumerate(ends):
        tag = "pre" if place == todo else "p"
        inner = "\n".join(lines) if tag == "pre" else " ".join(lines)
        rest += f"<h3>{escape(head)}</h3><{tag}>{escape(inner)}</{tag}>"
    return f"<h2>{escape(subject)}</h2><ul>{told}</ul>{rest}\n"
