"""Drift: how a feature is distributed in a window, and in what it was learned from, over the same bins.

``shifts`` compares counts that were made before, of many features at once; what they mean stands in ``distances``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import distances, homogeneity
from relevo.errors import DataError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from relevo.distances import Counts, Estimates, Floats

NUMBER, TEXT, BOOLEAN, SCORE, PAIR, TIME = "number", "text", "boolean", "score", "pair", "time"
ORDERED = frozenset({NUMBER, SCORE, TIME})
"""Kinds whose bins lie between edges; the others have levels."""
TOLD = 3
"""Bins that are told of at most."""
BEYOND = 2.0
"""Standard deviations that a bin's share moves before it is told of."""
REACH = 0.5
"""Wasserstein's distance looks this many times the 10 %-90 % range beyond it; values further out count as there.

For a normal variable the trapezoids so made of the tails are as great as the tails."""
_SPREAD = 2.563103
"""The 10 %-90 % range of a normal distribution, in standard deviations."""
_WHOLE, _HUGE = 1e4, 1e9  # from here on a number is shown without decimals, or by its power of ten
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Binning:
    """What the counts of a feature are of, in this order.

    ``number``, ``score``, ``time`` (seconds since 1970): below the first of the rising ``edges``, from each edge to
    the next, from the last edge on, null; so len(edges) + 2. Where ``bounded``, the reference has no number below the
    first edge and none from the last on. Others: each of ``levels``, other levels of the reference, levels that it
    does not have, null; so len(levels) + 3.
    """

    name: str
    kind: str
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    bounded: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.edges) + 2 if self.kind in ORDERED else len(self.levels) + 3

    @property
    def unseen(self) -> tuple[int, ...]:
        """Places of the bins that are empty in the reference by definition."""
        if self.kind not in ORDERED:
            return (len(self.levels) + 1,)
        return (0, len(self.edges)) if self.bounded else ()

    def label(self, place: int) -> str:
        """Say a bin in words."""
        if place == self.count - 1:
            return t("null")
        if self.kind in ORDERED:
            return self._between(place)
        if place < len(self.levels):
            return self.levels[place]
        return t("other") if place == len(self.levels) else t("never seen before")

    def _between(self, place: int) -> str:
        last = len(self.edges)
        if not self.edges:
            return t("not null")
        if place == 0:
            return t("below {value}", value=self._shown(self.edges[0]))
        if place == last:
            word = t("above {value}") if self.bounded else t("{value} or more")
            return word.format(value=self._shown(self.edges[-1]))
        low, high = self.edges[place - 1], self.edges[place]
        if high <= float(np.nextafter(low, np.inf)):
            return self._shown(low)
        return t("{low} to {high}", low=self._shown(low), high=self._shown(high))

    def _shown(self, value: float) -> str:
        if self.kind != TIME:
            return _number(value)
        try:
            at = _EPOCH + timedelta(seconds=round(value))
        except OverflowError:
            return f"{value:.3e} s"
        return f"{at:%Y-%m-%d}" if value % 86_400 == 0 else f"{at:%Y-%m-%d %H:%M}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "edges": list(self.edges),
            "levels": list(self.levels),
            "bounded": self.bounded,
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Binning:
        """Read ``to_json`` back."""
        return cls(**{**data, "edges": tuple(data["edges"]), "levels": tuple(data["levels"])})


@dataclass(frozen=True)
class Distance:
    """A distance, corrected for chance, and its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Plain JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How a feature moved.

    ``wasserstein`` is in units of the reference's spread; None for what has no order, or no spread. ``null`` is the
    share of rows without a value, ``unseen`` that with one that the reference does not have (a level, or a number
    outside its range), both of the current rows. ``p`` is the probability of as much or more while nothing changed.
    ``moved`` says which bins gained and lost most, in words; empty where none did beyond chance.
    """

    name: str
    kind: str
    rows: int
    reference_rows: int
    tv: Distance
    psi: Distance
    js: Distance
    wasserstein: Distance | None
    null: float
    reference_null: float
    unseen: float
    p: float
    moved: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the name: the shape of a window's ``signals``."""
        return {
            "kind": self.kind,
            "rows": self.rows,
            "tv": self.tv.to_json(),
            "psi": self.psi.to_json(),
            "js": self.js.to_json(),
            "wasserstein": self.wasserstein.to_json() if self.wasserstein else None,
            "null": self.null,
            "reference_null": self.reference_null,
            "unseen": self.unseen,
            "p": self.p,
            "moved": self.moved,
        }


def shift(bins: Binning, reference: ArrayLike, current: ArrayLike) -> Shift:
    """Compare the counts of one feature."""
    return shifts([bins], [reference], [current])[0]


def shifts(
    bins: Sequence[Binning], reference: Sequence[ArrayLike], current: Sequence[ArrayLike]
) -> list[Shift]:
    """Compare the counts of features, each in the order of its ``bins``; raises ``DataError`` where they are not.

    No rows on either side, one row, one value throughout and nothing but nulls all have an answer: without rows the
    distances are 0 and their intervals whole, and a feature with one value on both sides has not moved.
    """
    if not bins:
        return []
    r, c = _matrix(bins, reference), _matrix(bins, current)
    samples = distances.Samples.of(r, c)
    weights = np.stack([_widths(one, row, r.shape[1]) for one, row in zip(bins, r, strict=True)])
    tv, psi, js = (
        distances.total_variation(samples),
        distances.population_stability(samples),
        distances.jensen_shannon(samples),
    )
    wasserstein = _of_numbers(bins, r, c, weights)
    p = homogeneity.p_values(r, c)
    found = []
    for place, one in enumerate(bins):
        null, unseen = one.count - 1, list(one.unseen)
        found.append(
            Shift(
                name=one.name,
                kind=NUMBER if one.kind == TIME else one.kind,
                rows=int(samples.m[place, 0]),
                reference_rows=int(samples.n[place, 0]),
                tv=_distance(tv, place),
                psi=_distance(psi, place),
                js=_distance(js, place),
                wasserstein=_distance(wasserstein, place) if weights[place].any() else None,
                null=float(samples.q[place, null]),
                reference_null=float(samples.p[place, null]),
                unseen=float(samples.q[place, unseen].sum()),
                p=float(p[place]),
                moved=moved(one, r[place], c[place]),
            )
        )
    return found


def moved(bins: Binning, reference: Counts, current: Counts) -> str:
    """Say which bins gained and lost most, beyond chance: ``“null” 40.0% → 79.0%; “MC” 20.1% → 3.2%``."""
    n, m = int(reference.sum()), int(current.sum())
    if not n or not m:
        return ""
    p, q = reference[: bins.count] / n, current[: bins.count] / m
    both = (reference + current)[: bins.count] / (n + m)
    chance = np.sqrt(both * (1 - both) * (1 / n + 1 / m))
    far = np.abs(q - p)
    order = [place for place in np.argsort(-far, kind="stable")[:TOLD] if far[place] > BEYOND * chance[place]]
    return "; ".join(f"“{bins.label(int(place))}” {_shares(p[place], q[place])}" for place in order)


def _number(value: float) -> str:
    if abs(value) < _WHOLE:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) < _HUGE else f"{value:.3e}"


def _shares(before: float, after: float) -> str:
    for digits in (1, 2, 3):
        shown = f"{before:.{digits}%}", f"{after:.{digits}%}"
        if shown[0] != shown[1]:
            break
    return " → ".join(shown)


def _matrix(bins: Sequence[Binning], counts: Sequence[ArrayLike]) -> Counts:
    found = np.zeros((len(bins), max(one.count for one in bins)), dtype=np.int64)
    for row, one, given in zip(found, bins, counts, strict=True):
        taken = np.asarray(given)
        if taken.shape != (one.count,) or (taken < 0).any():
            raise DataError(
                t(
                    "{name}: its counts are {found}, where there are {expected} bins. Count over the same bins.",
                    name=one.name,
                    found=taken.tolist(),
                    expected=one.count,
                )
            )
        row[: one.count] = taken
    return found


def _distance(estimates: Estimates, place: int) -> Distance:
    parts = (estimates.value, estimates.low, estimates.high)
    return Distance(*(float(part[place]) for part in parts))


def _of_numbers(bins: Sequence[Binning], r: Counts, c: Counts, weights: Floats) -> Estimates:
    """Wasserstein's distance, of the rows that have a value."""
    known = np.stack([np.arange(r.shape[1]) < one.count - 1 for one in bins])
    return distances.wasserstein(distances.Samples.of(r * known, c * known), weights)


def _widths(bins: Binning, counts: Counts, size: int) -> NDArray[np.float64]:
    """What the difference of the distribution functions at each edge weighs: (size,); nothing for what has no order.

    By the trapezoid rule that is half of the distance between the edges before and after it, over the spread: the
    10 %-90 % range of the reference divided by 2.563, a standard deviation where it is normal. The edges are first
    brought within ``REACH`` such ranges of it, so that one far value does not decide.
    """
    found = np.zeros(size)
    edges = np.array(bins.edges)
    known = counts[: len(edges) + 1]
    if bins.kind not in ORDERED or len(edges) < 2 or not known.sum():  # noqa: PLR2004 - an area has two ends
        return found
    # a share of what is known lies below each edge
    below = np.cumsum(known[:-1]) / known.sum()
    low, high = (edges[min(int(np.searchsorted(below, share)), len(edges) - 1)] for share in (0.1, 0.9))
    if high > low:
        reach = REACH * (high - low)
        spread = (high - low) / _SPREAD
        edges = np.clip(edges, low - reach, high + reach)
    else:
        spread = edges[-1] - edges[0]
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(edges / spread) if spread > 0 else np.zeros(len(edges) - 1)
    if not np.isfinite(steps).all():
        return found
    found[: len(edges) - 1] += steps / 2
    found[1 : len(edges)] += steps / 2
    return found
