"""Lines and shifts by ranks: what does not mind a few runs that took ten times as long for no reason of their own."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
_FEWEST = 3


@dataclass(frozen=True)
class Line:
    """A line by its slope, with an interval of 95 %, and its height at 0."""

    slope: float
    low: float
    high: float
    height: float

    def at(self, place: float) -> float:
        """Its height at a place."""
        return self.height + self.slope * place

    @property
    def sure(self) -> bool:
        """Whether it surely rises or surely falls."""
        return self.low > 0 or self.high < 0


def theil_sen(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Line | None:
    """The line of the median slope between all pairs of points of different ``x``; None without enough of them.

    The interval is Sen's (1968, equations 2.6 and 3.4): the slopes whose ranks lie as far from the middle as Kendall's
    S goes by chance, its variance reduced for ties in ``x``.
    """
    n = len(x)
    slopes = sorted((y[j] - y[i]) / (x[j] - x[i]) for i in range(n) for j in range(i + 1, n) if x[i] != x[j])
    if n < _FEWEST or not slopes:
        return None
    ties = sum(count * (count - 1) * (2 * count + 5) for count in Counter(x).values())
    spread = math.sqrt((n * (n - 1) * (2 * n + 5) - ties) / 18)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    low = max(math.floor((len(slopes) - reach) / 2) - 1, 0)  # counted from 0
    high = min(math.ceil((len(slopes) + reach) / 2), len(slopes) - 1)
    slope = median(slopes)
    height = median(sorted(b - slope * a for a, b in zip(x, y, strict=True)))
    return Line(slope, slopes[low], slopes[high], height)


def median(ordered: Sequence[float]) -> float:
    """The middle of values in order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def shift(new: Sequence[float], old: Sequence[float], alpha: float) -> tuple[float, float]:
    """How many times the ``new`` ratios are the ``old`` ones, and a lower limit that holds with 1 - ``alpha``.

    The median of all pairs' ratios (Hodges & Lehmann 1963, of logarithms), and the one whose rank Mann and Whitney's U
    reaches by chance with at most ``alpha``; too few values for that have the limit 0.
    """
    ratios = sorted(a / b for a in new for b in old)
    place = _rank(len(new), len(old), alpha)
    return median(ratios), ratios[place] if place >= 0 else 0.0


@cache
def _rank(new: int, old: int, alpha: float) -> int:
    """The largest u with P(U ≤ u) ≤ ``alpha``, U for samples of these sizes without ties; -1 when there is none."""
    ways = [1] + [0] * (new * old)  # how many orders have each u: the Gaussian binomial's coefficients
    for i in range(1, new + 1):  # multiply by 1 - q^(old + i), divide by 1 - q^i
        for u in range(new * old, old + i - 1, -1):
            ways[u] -= ways[u - old - i]
        for u in range(i, new * old + 1):
            ways[u] += ways[u - i]
    total, reached = math.comb(new + old, new), 0
    for u, count in enumerate(ways):
        reached += count
        if reached > alpha * total:
            return u - 1
    return new * old
