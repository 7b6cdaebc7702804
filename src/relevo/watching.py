"""Watching a version that answers real requests: what is counted of it, and when that tells against it.

Four signals are compared with the version beside it or before it: failures (no probability), refusals, times,
and scores. Each has a margin that must be exceeded with certainty: a version is found guilty only when bounds
on both sides, valid at every look together, leave no other reading. The risk that a version within all margins
is found guilty at any look of a watch is at most ``RISK``, shared out evenly to the signals (Bonferroni) and to
the looks by ``bounds.spent``. Counts of the two sides are taken to be independent draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from relevo import bounds
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RISK = 0.01
SIGNALS = ("failures", "refusals", "times", "scores")
FIRST, GROWTH = 50, 1.25
"""Requests at the first look, and how many times as many there are at each next one."""
BINS = 20
"""Of scores from 0 to 1, as the reference profile has them."""
_BUCKETS = 25  # of times: bucket i holds those below 2**i microseconds, the last one all above 8 s
_NUMBERS, _LISTS = ("answered", "refused", "failed"), ("times", "scores")
_SLOWER = 2  # buckets: four times as long
_NEVER_SLOW = 11  # up to 2**11 microseconds nobody waits for long


@dataclass(frozen=True, kw_only=True)
class Margins:
    """By how much a version may be worse: differences of shares, and of Kolmogorov-Smirnov distances."""

    failures: float = 0.01
    refusals: float = 0.02
    times: float = 0.05
    """Of calls that take more than four times as long as those before, and more than 2 ms."""
    scores: float = 0.1


class Counts:
    """What happened to the requests that one version was asked. Plain numbers; one thread counts.

    ``answered``, ``refused`` (by the contract) and ``failed`` (no features or no probability) are requests.
    Probabilities and times are put into ``found`` and ``seconds`` as they come, which costs a request next to
    nothing, and counted when somebody looks.
    """

    __slots__ = ("answered", "failed", "found", "refused", "scores", "seconds", "times")

    def __init__(self) -> None:
        self.answered = self.refused = self.failed = 0
        self.times = [0] * _BUCKETS
        self.scores = [0] * BINS
        self.found: list[float] = []
        """Probabilities to be counted; NaN is a failure."""
        self.seconds: list[float] = []
        """Times of calls to be counted."""

    @property
    def asked(self) -> int:
        """All requests."""
        self.count()
        return self.answered + self.refused + self.failed

    def count(self) -> None:
        """Count what waits for it."""
        if self.found:
            found = np.array(self.found)
            self.found.clear()
            known = found[~np.isnan(found)]
            self.answered += len(known)
            self.failed += len(found) - len(known)
            places = np.minimum((known * BINS).astype(np.int64), BINS - 1)
            self.scores = (np.bincount(places, minlength=BINS) + self.scores).tolist()
        if self.seconds:
            whole = (np.array(self.seconds) * 1e6).astype(np.int64)
            self.seconds.clear()
            lengths = np.frexp(whole)[1]  # of whole numbers, the bits that they have
            places = np.minimum(lengths, _BUCKETS - 1)
            self.times = (np.bincount(places, minlength=_BUCKETS) + self.times).tolist()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        self.count()
        return {name: getattr(self, name) for name in (*_NUMBERS, *_LISTS)}

    def add(self, part: Mapping[str, Any]) -> None:
        """Add what another process, or another stretch of time, counted, as ``to_json`` gives it."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + part[name])
        for name in _LISTS:
            setattr(self, name, [a + b for a, b in zip(getattr(self, name), part[name], strict=True)])

    @classmethod
    def merge(cls, parts: Iterable[Mapping[str, Any]]) -> Counts:
        """Add up what several counted."""
        whole = cls()
        for part in parts:
            whole.add(part)
        return whole


class Side(NamedTuple):
    """A version's counts, and how its own package's reference scored, if it says."""

    counts: Counts
    reference: Sequence[int] | None = None


class Finding(NamedTuple):
    """A signal that tells against a version. Shares, or distances for ``scores``; bounds hold together at this look."""

    signal: str
    look: int
    tried: float
    at_least: float
    before: float
    at_most: float
    margin: float
    requests: int
    requests_before: int
    risk: float

    def told(self) -> str:
        """Say it in one sentence."""
        names = {
            "failures": t("Failures"),
            "refusals": t("Refusals"),
            "times": t("Calls that took four times as long"),
            "scores": t("Distance of the scores from the package's reference"),
        }
        return t(
            "{signal}: {tried:.1%} of {requests:,} requests (at least {at_least:.1%}); without it {before:.1%} of "
            "{requests_before:,} (at most {at_most:.1%}). The margin is {margin:.1%}, the risk of a false alarm "
            "{risk:.1%}.",
            **{**self._asdict(), "signal": names[self.signal]},
        )


class Watch:
    """One version's watch. It looks when the requests have grown enough since the last look."""

    def __init__(self, margins: Margins | None = None, *, risk: float = RISK) -> None:
        self.look = 0
        self._due = FIRST
        self._margins = margins or Margins()
        self._risk = risk

    def judge(self, tried: Side, before: Side | None) -> Finding | None:
        """What tells against the version ``tried``, if it is time to look and anything does.

        Without anything to compare with, only failures are judged, against none at all.
        """
        if tried.counts.asked < self._due:
            return None
        self.look += 1
        self._due = math.ceil(tried.counts.asked * GROWTH)
        risk = self._risk / len(SIGNALS)
        now = risk * bounds.spent(self.look)
        found: list[Finding | None] = [self._rate("failures", tried, before, now)]
        if before is not None:
            found.append(self._rate("refusals", tried, before, now))
            found.append(self._times(tried.counts.times, before.counts.times, now))
            found.append(self._scores(tried, before, risk))
        for signal, finding in zip(SIGNALS, found, strict=False):
            margin = getattr(self._margins, signal)
            if finding is not None and finding.at_least - finding.at_most > margin:
                return finding._replace(
                    margin=margin,
                    requests=tried.counts.asked,
                    requests_before=before.counts.asked if before else 0,
                )
        return None

    def _finding(
        self, signal: str, tried: float, at_least: float, before: float = 0.0, at_most: float = 0.0
    ) -> Finding:
        return Finding(signal, self.look, tried, at_least, before, at_most, 0.0, 0, 0, self._risk)

    def _rate(self, signal: str, tried: Side, before: Side | None, risk: float) -> Finding:
        name = {"failures": "failed", "refusals": "refused"}[signal]
        count, n = getattr(tried.counts, name), tried.counts.asked
        if before is None:
            return self._finding(signal, count / n, bounds.lower(count, n, risk))
        known, m = getattr(before.counts, name), before.counts.asked
        low, high = bounds.lower(count, n, risk / 2), bounds.upper(known, m, risk / 2)
        return self._finding(signal, count / n, low, known / m if m else 0.0, high)

    def _times(self, tried: Sequence[int], before: Sequence[int], risk: float) -> Finding | None:
        """Compare, at the threshold where they differ most, who takes longer with who takes a quarter of that."""
        n, m = sum(tried), sum(before)
        if not n or not m:
            return None
        slow = [1 - reached / n for reached in accumulate(tried)]
        known = [1 - reached / m for reached in accumulate(before)]
        places = range(_NEVER_SLOW, _BUCKETS - 1)
        place = max(places, key=lambda i: slow[i] - known[i - _SLOWER])
        share, share_before = slow[place], known[place - _SLOWER]
        low, high = share - bounds.band(n, risk / 2), share_before + bounds.band(m, risk / 2)
        return self._finding("times", share, low, share_before, high)

    def _scores(self, tried: Side, before: Side, risk: float) -> Finding | None:
        """Compare each side's distance from its own reference; half the risk is the references', once for all looks."""
        if tried.reference is None or before.reference is None:
            return None
        now, once = risk * bounds.spent(self.look) / 4, risk / 4
        found = []
        for side in (tried, before):
            n, rows = side.counts.answered, sum(side.reference or ())
            if not n or not rows:
                return None
            distance = _distance(side.counts.scores, side.reference or ())
            room = bounds.band(n, now, sides=2) + bounds.band(rows, once, sides=2)
            found.append((distance, room))
        (distance, room), (known, known_room) = found
        return self._finding("scores", distance, distance - room, known, known + known_room)


def reference_scores(reference: Mapping[str, Any]) -> list[int] | None:
    """The counts of scores in a package's reference profile; None when it has none, or with other bins."""
    counts = (reference.get("score") or {}).get("counts")
    fits = isinstance(counts, list) and len(counts) == BINS and all(type(count) is int for count in counts)
    return counts if fits else None


def _distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Kolmogorov-Smirnov distance of two binned distributions: at most that of what was binned."""
    n, m = sum(one), sum(other)
    return max(abs(a / n - b / m) for a, b in zip(accumulate(one), accumulate(other), strict=True))
