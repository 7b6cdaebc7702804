"""The guard: it takes a canary, or a fresh release, back by itself when ``watching`` finds it guilty.

A canary is compared with the champion beside it, a fresh release with the version before it, as far as this
service saw that answer. What is done is done in the ledger, once, and only if the release that was judged is
still in force; the evidence is part of the release that undoes it.
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import clock
from relevo.errors import LedgerError
from relevo.records import CHAMPION, now
from relevo.texts import t
from relevo.watching import Counts, Margins, Side, Watch, reference_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from relevo.records import Release
    from relevo.serving.canary import Canary
    from relevo.serving.predict import Predict
    from relevo.serving.served import Served
    from relevo.watching import Finding
    from relevo.workspace import Workspace

    Counted = Mapping[str, Mapping[str, Any]]

FRESH = 3600.0
"""Seconds after a release in which it may be taken back; also how long what is compared with it is counted."""
_KEPT = 32  # stretches of counting that are remembered
_log = logging.getLogger(__name__)


class Tally:
    """What this process counts, by release and by what stood beside it: ``12``, ``12+15``, and ``15@12``.

    The last is of the canary begun by release 15 while release 12 answers the rest. What is asked aside from
    predict counts as ``12`` whoever stands beside, since a canary has nothing to be compared with there. A
    champion's own counts are of the last hour or two.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._since = time.monotonic()

    def assign(self, served: Served | None, canary: Canary | None) -> None:
        """Say what answers from now on: each counts in its own place."""
        if canary is not None:
            canary.beside(served)
        if served is None:
            return
        number = served.release.number
        served.counts = served.aside = self._of(str(number))
        if canary is not None:
            served.counts = self._of(f"{number}+{canary.release.number}")
            canary.served.counts = self._of(f"{canary.release.number}@{number}")

    def age(self, served: Served | None, canary: Canary | None = None) -> None:
        """Count what waits for it, and forget what is more than two hours old of a champion that answers alone."""
        for counts in self._counts.values():
            counts.count()
        if canary is not None and canary.instead is not None:
            canary.instead.counts.count()  # in no tally, but it must not grow
        if served is None:
            return
        key, at = str(served.release.number), time.monotonic()
        if self._counts.get(key) is served.counts and at - self._since >= FRESH:
            self._since = at
            self._counts[f"{key}-"] = served.counts
            served.counts = served.aside = self._counts[key] = Counts()

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Plain JSON, for the process that judges."""
        return {key: counts.to_json() for key, counts in self._counts.items()}

    def tried(self, number: int) -> Counts:
        """What a canary was asked since release ``number`` began it, whoever answered beside it."""
        return Counts.merge(
            counts.to_json() for key, counts in self._counts.items() if key.startswith(f"{number}@")
        )

    def merge(self, state: Counted) -> None:
        """Add another process's counts, as ``to_json`` gives them."""
        for key, counts in state.items():
            self._counts.setdefault(key, Counts()).add(counts)

    def _of(self, key: str) -> Counts:
        while len(self._counts) > _KEPT:
            del self._counts[next(iter(self._counts))]
        found = self._counts.pop(key, None) or Counts()  # the newest is last
        self._counts[key] = found
        return found


def merged(parts: Iterable[Counted]) -> dict[str, Counts]:
    """Add up the tallies of several processes."""
    kept = list(parts)
    keys = {key for part in kept for key in part}
    return {key: Counts.merge(part[key] for part in kept if key in part) for key in keys}


class Seen(NamedTuple):
    """What the guard judges, of one moment."""

    champion: Release
    canary: Release | None
    counts: Mapping[str, Counts]


class Guard:
    """Judges for the service. ``gather`` gives the tallies of all its processes.

    ``look`` belongs on the event loop, ``judge`` in a thread.
    """

    def __init__(
        self,
        workspace: Workspace,
        predict: Predict,
        gather: Callable[[], Iterable[Counted]],
        *,
        margins: Margins | None = None,
    ) -> None:
        self._workspace, self._predict = workspace, predict
        self._gather = gather
        self._margins = margins or Margins()
        self._watches: dict[str, Watch] = {}
        self._guilty: dict[str, tuple[Finding, dict[str, Any]]] = {}
        self._references: dict[int, list[int] | None] = {}
        self._before: tuple[int, Release | None] = (0, None)

    def look(self) -> Seen | None:
        """Take the counts; None when nothing is to be judged."""
        served, canary = self._predict.served, self._predict.canary
        if served is None:
            return None
        for one, release in (
            (served, served.release),
            *([(canary.served, canary.release)] if canary else ()),
        ):
            if release.number not in self._references:
                self._references[release.number] = reference_scores(one.package.reference)
        if canary is None and not _fresh(served.release):
            return None
        return Seen(served.release, canary.release if canary else None, merged(self._gather()))

    def judge(self, seen: Seen) -> None:
        """Roll back what is found guilty; while the ledger is away it is tried again at the next call."""
        champion, canary, counts = seen
        if canary is not None:
            tried = counts.get(f"{canary.number}@{champion.number}")
            beside = counts.get(f"{champion.number}+{canary.number}")
            if tried is not None and beside is not None:
                self._try(canary, self._side(canary, tried), champion, self._side(champion, beside), to="")
        if _fresh(champion):
            before = self._earlier(champion)
            known = _of(counts, before) if before is not None else None
            side = self._side(before, known) if before is not None and known is not None else None
            tried = _of(counts, champion)
            if tried is not None:
                self._try(champion, self._side(champion, tried), before, side, to=champion.previous)

    def _side(self, release: Release, counts: Counts) -> Side:
        return Side(counts, self._references.get(release.number))

    def _try(
        self, release: Release, tried: Side, other: Release | None, before: Side | None, *, to: str
    ) -> None:
        key = f"{release.number} {other.number if other and not to else ''}"
        if key not in self._guilty:
            watch = self._watches.setdefault(key, Watch(self._margins))
            finding = watch.judge(tried, before)
            if finding is None:
                return
            self._guilty[key] = finding, self._evidence(finding, release, tried, other, before)
        finding, facts = self._guilty[key]
        who = f"relevo serve on {socket.gethostname()}"
        try:
            done = self._workspace.ledger.end(release, who=who, why=finding.told(), to=to, facts=facts)
        except LedgerError as error:
            _log.error("%s", error)
            return
        if done is not None:
            self._predict.metrics.rollbacks += 1
            what = t("Version {version} is taken back.", version=release.version)
            _log.error("%s %s", what, finding.told())

    def _evidence(
        self, finding: Finding, release: Release, tried: Side, other: Release | None, before: Side | None
    ) -> dict[str, Any]:
        def described(one: Release | None, side: Side | None) -> dict[str, Any] | None:
            if one is None or side is None:
                return None
            return {
                "version": one.version,
                "release": one.number,
                "counts": side.counts.to_json(),
                "reference": side.reference,
            }

        return {
            "finding": finding._asdict(),
            "margins": asdict(self._margins),
            "since": release.released_at,
            "judged_at": now(),
            "tried": described(release, tried),
            "before": described(other, before),
        }

    def _earlier(self, champion: Release) -> Release | None:
        """The release that the champion's took the place of."""
        if self._before[0] != champion.number:
            known = self._workspace.ledger.releases(champion.project, CHAMPION)
            earlier = [release for release in known if release.number < champion.number]
            self._before = champion.number, earlier[-1] if earlier else None
        return self._before[1]


def _of(counts: Mapping[str, Counts], release: Release) -> Counts | None:
    """All that was counted of a release as the champion; None when it was asked nothing."""
    number = str(release.number)
    parts = [one.to_json() for key, one in counts.items() if key.rstrip("-").partition("+")[0] == number]
    whole = Counts.merge(parts)
    return whole if whole.asked else None


def _fresh(release: Release) -> bool:
    """Whether a release may still be taken back: a promotion, with a version before it, not long ago."""
    if release.act != "promote" or not release.previous:
        return False
    age = clock.now() - datetime.fromisoformat(release.released_at)
    return age.total_seconds() < FRESH
