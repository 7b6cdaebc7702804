"""The parts of the report about what happened: changes, alerts, decisions, and what it all cost."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from relevo.notify import wording
from relevo.report.document import Grid, Items, Text
from relevo.texts import t
from relevo.trends import CPU, DISK, MEMORY, PEAK, RUN, TIMEOUT, WALL
from relevo.why import words

if TYPE_CHECKING:
    from relevo.alarm import Alarm
    from relevo.records import Run
    from relevo.report.document import Block
    from relevo.report.facts import Facts
    from relevo.trends import Trend

FINDINGS = 10
LISTED = 12


def when(facts: Facts, moment: str) -> str:
    """A time in the report's time zone, to the minute."""
    from datetime import datetime

    local = datetime.fromisoformat(moment).astimezone(ZoneInfo(facts.week.timezone))
    return f"{local:%Y-%m-%d %H:%M}"


def changed(facts: Facts) -> list[Block]:
    """What was found, the worst first."""
    if not facts.windows:
        return [Text(t("No window of this week was looked at."))]
    if not facts.changed:
        return [Text(t("Nothing beyond chance. Windows looked at: {count}.", count=len(facts.windows)))]
    items = []
    for one in facts.changed[:FINDINGS]:
        times = t("seen {count} times", count=one.times) if one.times > 1 else words.watched(one.window)
        items.append(f"{wording.name(one.finding.severity)}: {one.finding.told()} ({times})")
    blocks: list[Block] = [Items(items)]
    more = len(facts.changed) - FINDINGS
    if more > 0:
        blocks.append(Text(t("And {count} more findings.", count=more)))
    return blocks


def alerts(facts: Facts) -> list[Block]:
    """What alerts there were, and what became of them."""
    blocks: list[Block] = []
    if facts.alarms:
        columns = (t("alert"), t("severity"), t("since"), t("what became of it"))
        rows = [
            (
                f"{alarm.alert.id} {wording.title(alarm.alert.signal, alarm.alert.evidence)}",
                wording.name(alarm.severity),
                when(facts, alarm.since),
                _became(facts, alarm),
            )
            for alarm in facts.alarms[:LISTED]
        ]
        blocks.append(Grid(t("Alerts of the week, and those that are open"), columns, rows))
        if len(facts.alarms) > LISTED:
            blocks.append(Text(t("And {count} more: relevo alerts", count=len(facts.alarms) - LISTED)))
    else:
        blocks.append(Text(t("There was no alert.")))
    if facts.failed:
        channels = words.listed([one.channel for one in facts.failed])
        blocks.append(
            Text(
                t(
                    "Messages that did not go out: {count} ({channels}).",
                    count=len(facts.failed),
                    channels=channels,
                )
            )
        )
    return blocks


def _became(facts: Facts, alarm: Alarm) -> str:
    last = alarm.events[-1]
    figures = {"who": last.who, "time": when(facts, last.at), "said": last.text}
    if alarm.state == "resolved":
        return t("resolved by {who} at {time}", **figures)
    if alarm.state == "acknowledged":
        taken = next(e for e in reversed(alarm.events) if e.event == "acknowledged")
        return t("{who} looks into it: {said}", who=taken.who, said=taken.text or "-")
    return t("open, and nobody has taken it on")


def decided(facts: Facts) -> list[Block]:
    """Decisions, runs and releases, in order of time."""
    told = [
        (one.at, t("Decided to {action}: {why}", action=words.action(one.action), why=words.decided(one)))
        for one in facts.decisions
    ]
    told += [(run.finished_at or run.started_at, _run(run)) for run in facts.runs]
    told += [(one.released_at, _moved(one.who, words.moved(one))) for one in facts.releases]
    items = [f"{when(facts, at)}: {text}" for at, text in sorted(told)]
    if not items:
        return [Text(t("Nothing was decided, and nothing was done."))]
    blocks: list[Block] = [Items(items[-LISTED:])]
    if len(items) > LISTED:
        blocks.insert(0, Text(t("The last {shown} of {count}:", shown=LISTED, count=len(items))))
    return blocks


def _moved(who: str, text: str) -> str:
    return text if who.startswith("run ") else f"{text} ({who})"


def _run(run: Run) -> str:
    return t("A run ended. {how}", how=words.ended(run))


def costs(facts: Facts) -> list[Block]:
    """What a run takes, what became dearer, and which limit comes near."""
    if not facts.trends:
        return [Text(t("No run was measured yet."))]
    whole = {one.measure: one for one in facts.trends if one.step == RUN}
    blocks: list[Block] = []
    if whole:
        text = t(
            "A run takes {wall:,.0f} s, {cpu:,.0f} s of processor time, and {peak} of memory.",
            wall=whole[WALL].newest,
            cpu=whole[CPU].newest,
            peak=words.size(whole[PEAK].newest),
        )
        blocks.append(Text(text))
    said = [
        *(dearer(one) for one in facts.trends if one.regression),
        *(passed(one) for one in facts.trends if one.forecast),
    ]
    blocks.append(
        Items(said) if said else Text(t("No step became dearer beyond chance, and no limit comes near."))
    )
    return blocks


def dearer(trend: Trend) -> str:
    """A regression, in a sentence."""
    found = trend.regression
    assert found is not None
    return t(
        "{step}: {measure} is {ratio:.1f} times what it was at equal rows (surely {low:.1f} times).",
        step=trend.step,
        measure=measure(trend.measure),
        ratio=found.ratio,
        low=found.low,
    )


def passed(trend: Trend) -> str:
    """A forecast, in a sentence."""
    found = trend.forecast
    assert found is not None
    limits = {
        MEMORY: t("The memory limit of jobs"),
        TIMEOUT: t("The time limit of jobs"),
        DISK: t("The disk's free space"),
    }
    return t(
        "{limit} will be passed in about {days:,.0f} days ({earliest:,.0f} to {latest:,.0f}).",
        limit=limits[found.limit],
        days=found.days,
        earliest=found.earliest,
        latest=found.latest,
    )


def measure(name: str) -> str:
    """What is measured."""
    known = {
        WALL: t("the time"),
        CPU: t("the processor time"),
        PEAK: t("the memory"),
        "rows": t("the rows"),
        "bytes": t("the bytes"),
    }
    return known[name]
