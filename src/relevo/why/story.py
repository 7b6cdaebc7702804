"""A story as events in order of time: each record that belongs to it in words, with its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.records import CHAMPION
from relevo.texts import t
from relevo.why import making, watching, words
from relevo.why.event import ORDER, Event
from relevo.why.subject import RUN, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.records import Release
    from relevo.why.chain import Chain
    from relevo.why.known import Details, Known
    from relevo.why.subject import Subject


def tell(known: Known, details: Details, subject: Subject, chain: Chain) -> list[Event]:
    """Tell the chain's records, the earliest first; what happened at one moment in the order of its causes."""
    events = [
        *watching.windows(known, details, chain),
        *watching.alerts(known, details, chain),
        *watching.decisions(known, chain),
        *making.runs(known, details, chain, costs=subject.kind == RUN),
        *making.versions(known, chain),
        *_releases(known, chain),
        _now(known, subject),
    ]
    return sorted(events, key=lambda event: (event.at, ORDER.index(event.kind)))


def _releases(known: Known, chain: Chain) -> Iterator[Event]:
    for number in chain.releases:
        release = known.release[number]
        yield Event(
            at=release.released_at,
            kind="release",
            text=f"{words.moved(release)} {_reason(known, release)}",
            facts={
                "act": release.act,
                "alias": release.alias,
                "who": release.who,
                "why": release.why,
                **release.facts,
            },
            refs={"release": number, "version": release.version, "previous": release.previous},
        )


def _reason(known: Known, release: Release) -> str:
    decision = known.decision.get(str(release.facts.get("decision", "")))
    reason = (
        words.decided(decision) if decision is not None else t(release.why)
    )  # our own reasons are in the catalogue
    return t("{who}: {why}", who=release.who or "-", why=reason or "-")


def _now(known: Known, subject: Subject) -> Event:
    answers = known.champion
    if not answers:
        text = t("No version answers now.")
    elif subject.kind == VERSION and answers == subject.id:
        text = t("It is {alias} now.", alias=CHAMPION)
    else:
        text = t("{version} is {alias} now.", version=answers, alias=CHAMPION)
    at = max([known.at, *(one.released_at for one in known.releases)])
    return Event(at=at, kind="now", text=text, facts={"champion": answers}, refs={"version": answers})
