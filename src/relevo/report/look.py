"""What a person should look at: at most five things, by consequence; nothing where nothing needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.findings import PAGE, WARN
from relevo.notify import wording
from relevo.report import parts
from relevo.texts import t
from relevo.why import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.alarm import Alarm
    from relevo.report.facts import Facts

MOST = 5
NEAR = 60
"""Days within which a limit that will be passed is for a person to look at."""
_FEW = 2


def at(facts: Facts) -> list[str]:
    """The first things to look at."""
    found = list(_by_consequence(facts))
    if len(found) > MOST:
        rest = t("And {count} lesser things, below.", count=len(found) - MOST + 1)
        return [*found[: MOST - 1], rest]
    return found


def _by_consequence(facts: Facts) -> Iterator[str]:
    """Worst first: nothing answers, answers are worse, work fails, data is broken, things to decide, things to come."""
    if facts.champion is None:
        yield t("No version answers. relevo run makes one.")
    yield from _alerts(facts, PAGE)
    yield from _undone(facts)
    if facts.failed:
        channels = words.listed([one.channel for one in facts.failed])
        yield t("Messages do not go out through {channels}: who should be told was not.", channels=channels)
    yield from _alerts(facts, WARN)
    if facts.withheld:
        yield t(
            "Data is withheld from learning until a person gives it back: {pieces}. See relevo withheld list.",
            pieces=words.listed(list(facts.withheld)),
        )
    asked = any(one.rows for one in facts.of("requests"))
    if asked and not any(one.figures.get("realised") for one in facts.of("requests", "arrivals")):
        yield t("Nobody knows how good the answers were: no outcomes came for them.")
    yield from (parts.passed(one) for one in facts.trends if one.forecast and one.forecast.days <= NEAR)
    yield from (parts.dearer(one) for one in facts.trends if one.regression)


def _alerts(facts: Facts, severity: str) -> Iterator[str]:
    """Alerts that are not over, one by one if they are few; those that nobody took on come first."""
    standing = [one for one in facts.alarms if one.state != "resolved" and one.severity == severity]
    standing.sort(key=lambda one: one.state != "open")
    if len(standing) <= _FEW:
        yield from (_alert(facts, one) for one in standing)
        return
    titles = words.listed([wording.title(one.alert.signal, one.alert.evidence) for one in standing])
    yield t(
        "{count} alerts are open ({severity}): {titles}.",
        count=len(standing),
        severity=wording.name(severity),
        titles=titles,
    )


def _alert(facts: Facts, alarm: Alarm) -> str:
    title = wording.title(alarm.alert.signal, alarm.alert.evidence)
    figures = {"title": title, "time": parts.when(facts, alarm.since), "id": alarm.alert.id}
    if alarm.state == "open":
        return t("{title}, since {time}; nobody has taken it on. See relevo why {id}.", **figures)
    return t("{title}, since {time}; it is looked into. See relevo why {id}.", **figures)


def _undone(facts: Facts) -> Iterator[str]:
    """What was to be done and was not: runs that failed or were refused, losses that nothing follows from."""
    if facts.runs:
        last = facts.runs[-1]
        if last.status == "failed":
            yield t(
                "The last run failed: {error} See relevo why {run}.",
                error=_ended(last.message),
                run=last.id,
            )
        elif last.status == "refused":
            yield t(
                "The gate refused the last model that was made, {version}. See relevo why {version}.",
                version=last.version,
            )
    waits = [one for one in facts.decisions if one.cause == "loss" and one.action == "wait"]
    if waits:
        yield words.decided(waits[-1])
    names = [one.name for one in facts.jobs if one.name != "cases"]  # whose failures are alerts
    if names:
        yield t("Scheduled work failed ({names}). See relevo jobs.", names=words.listed(names))


def _ended(sentence: str) -> str:
    text = sentence.strip() or "-"
    return text if text.endswith((".", "!", "?")) else f"{text}."
