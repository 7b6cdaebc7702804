"""How far two samples over the same bins lie apart, with what is known of it after so many rows.

Counts are matrices (features, bins), padded with zeros. The distance of two samples of one distribution is not 0, so
each distance here is corrected for chance and has a 95 % interval; 0 lies in it unless chance is unlikely to have made
what is seen.

An interval is made by inverting a test: the distances are kept under which what is seen is no surprise. That takes the
mean and the variance of the observed distance while the true one is theta, and Wilson & Hilferty's (1931) cube root,
which makes a normal variable of a skewed positive one. With s = 1/n + 1/m, and k bins that are not empty:

- PSI and the Jensen-Shannon divergence are ``scale`` times s times a chi-square of k - 1 degrees of freedom where
  nothing changed (of PSI: Yurdakul 2018, *Statistical Properties of Population Stability Index*), so their mean is
  theta + scale (k - 1) s, and their variance that of the chi-square plus the delta method's for theta. Bins in which
  few rows are expected add less than a degree of freedom: what a Poisson count adds is summed up.
- Total variation and Wasserstein-1 are sums of weighted absolute differences, each nearly normal: the mean of one is
  that of a folded normal (Leone, Nelson & Nottingham 1961, *The folded normal distribution*, Technometrics 3).

The rows of a sample are taken to be independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

Z = 1.959964
"""95 %, both sides."""
APART = 2 * math.log(1e6)
"""The PSI of two distributions that share nothing, an empty bin counting as a millionth."""
_ADDED = 0.5
_HALVINGS = 26
_TINY = 1e-150


@dataclass(frozen=True)
class Estimates:
    """A distance of each feature, corrected for chance, and its 95 % interval: (features,) each."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Samples:
    """Two samples over the same bins: shares (features, bins), 0 in a sample without rows, and rows (features, 1)."""

    p: Floats
    q: Floats
    n: Floats
    m: Floats

    @classmethod
    def of(cls, reference: Counts, current: Counts) -> Samples:
        """Take counts (features, bins)."""
        n, m = (counts.sum(axis=1, keepdims=True).astype(np.float64) for counts in (reference, current))
        return cls(reference / np.maximum(n, 1), current / np.maximum(m, 1), n, m)

    @property
    def noise(self) -> Floats:
        """1/n + 1/m, (features,); infinite without rows."""
        with np.errstate(divide="ignore"):
            found: Floats = (1 / self.n + 1 / self.m)[:, 0]
        return found

    @property
    def pooled(self) -> Floats:
        """Shares of both together."""
        found: Floats = (self.n * self.p + self.m * self.q) / np.maximum(self.n + self.m, 1)
        return found

    @property
    def freedom(self) -> Floats:
        """Bins that are not empty, less one; 0 where a sample has no rows."""
        found = ((self.p + self.q) > 0).sum(axis=1) - 1.0
        return np.where((self.n > 0)[:, 0] & (self.m > 0)[:, 0], np.maximum(found, 0), 0)


def total_variation(samples: Samples) -> Estimates:
    """Half the sum of |q - p|: the share of rows that would have to be in another bin; 0 to 1."""
    grown = np.sign(samples.q - samples.p)
    return _folded(samples, samples.p, samples.q, np.full(samples.p.shape, 0.5), 0.5 * grown, most=1.0)


def wasserstein(samples: Samples, weights: Floats) -> Estimates:
    """The sum of ``weights`` |G - F|, F and G the shares of all bins up to this one.

    With the weights of ``widths`` that is the area between the two distribution functions, by the trapezoid rule.
    """
    known_p, known_q = _within(samples.p), _within(samples.q)
    below_p, below_q = np.cumsum(known_p, axis=1), np.cumsum(known_q, axis=1)
    signed = weights * np.sign(below_q - below_p)
    climbs = np.cumsum(signed[:, ::-1], axis=1)[:, ::-1]  # what a row in this bin adds
    return _folded(samples, below_p, below_q, weights, climbs, most=weights.sum(axis=1))


def _within(shares: Floats) -> Floats:
    total = shares.sum(axis=1, keepdims=True)
    found: Floats = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return found


def population_stability(samples: Samples) -> Estimates:
    """PSI, the sum of (q - p) ln(q / p), with ``_ADDED`` rows more in each bin of each sample.

    So no share is 0 where the other sample has rows; to a bin in which fewer are expected, no more are added.
    """
    filled = samples.pooled > 0
    p, q = (
        _filled(samples, shares, rows) for shares, rows in ((samples.p, samples.n), (samples.q, samples.m))
    )
    ratio = np.log(q / p)
    observed = ((q - p) * ratio).sum(axis=1)
    slopes = (
        np.where(filled, 1 - q / p - ratio, 0.0),
        np.where(filled, 1 - p / q + ratio, 0.0),
    )
    return _quadratic(samples, observed, slopes, sparse=_sparse_psi(), scale=1.0, most=APART)


def _filled(samples: Samples, shares: Floats, rows: Floats) -> Floats:
    added = np.minimum(_ADDED, rows * samples.pooled)
    found: Floats = np.where(
        samples.pooled > 0,
        (shares * rows + added) / np.maximum(rows + added.sum(axis=1, keepdims=True), 1),
        1.0,
    )
    return np.where(found > 0, found, 1.0)


def jensen_shannon(samples: Samples) -> Estimates:
    """The Jensen-Shannon distance: the root of the divergence to base 2 (Lin 1991); 0 to 1."""
    p, q = samples.p, samples.q
    middle = np.where(p + q > 0, (p + q) / 2, 1.0)
    logs = tuple(np.log2(np.where(shares > 0, shares, middle) / middle) for shares in (p, q))
    observed = ((p * logs[0]).sum(axis=1) + (q * logs[1]).sum(axis=1)) / 2
    found = _quadratic(
        samples,
        np.maximum(observed, 0),
        (logs[0] / 2, logs[1] / 2),
        sparse=_sparse_js(),
        scale=1 / (8 * math.log(2)),
        most=1.0,
    )
    return Estimates(*(np.sqrt(part) for part in (found.value, found.low, found.high)))


def _quadratic(
    samples: Samples,
    observed: Floats,
    slopes: tuple[Floats, ...],
    *,
    sparse: Sparse,
    scale: float,
    most: float,
) -> Estimates:
    """A distance that grows with the square of small differences."""
    chance, swing = _chance(samples, sparse)
    noise = np.where(np.isfinite(samples.noise), samples.noise, 1.0)
    spread = _variance(samples, *slopes)
    # where nothing is seen, the limit for small differences
    by_theta = np.maximum(
        np.divide(spread, observed, out=np.zeros_like(observed), where=observed > 0), 4 * scale * noise
    )

    def moments(theta: Floats) -> tuple[Floats, Floats]:
        return theta + scale * chance, scale**2 * swing + by_theta * theta

    return _inverted(samples, observed, moments, np.full(len(observed), most))


def _chance(samples: Samples, sparse: Sparse) -> tuple[Floats, Floats]:
    """Mean and variance of a chi-square times s, less what bins with few rows lack of it."""
    pooled, mean, swing = samples.pooled, np.zeros_like(samples.p), np.zeros_like(samples.p)
    for rows in (samples.n, samples.m):
        expected = np.log(np.maximum(rows * pooled, _TINY))
        mean += np.interp(expected, sparse.places, sparse.mean, left=0.0) / np.maximum(rows, 1)
        swing += np.interp(expected, sparse.places, np.sqrt(sparse.swing), left=0.0) / np.maximum(rows, 1)
    return (mean * (1 - pooled)).sum(axis=1), 2 * (swing**2 * (1 - pooled)).sum(axis=1)


@dataclass(frozen=True)
class Sparse:
    """What one bin adds to a distance, over what it would with many rows, by the logarithm of the rows expected."""

    places: Floats
    mean: Floats
    swing: Floats
    """The variance, over that of a chi-square of one degree of freedom."""


@cache
def _sparse_psi() -> Sparse:
    def term(count: Floats, expected: float) -> Floats:
        added = min(_ADDED, expected)
        found: Floats = (count - expected) * np.log((count + added) / (expected + added))
        return found

    return _sparse(term)


@cache
def _sparse_js() -> Sparse:
    def term(count: Floats, expected: float) -> Floats:
        middle = (count + expected) / 2
        found: Floats = 4 * (
            count * np.log(np.maximum(count, _TINY) / middle) + expected * np.log(expected / middle)
        )
        return found

    return _sparse(term)


def _sparse(term: Callable[[Floats, float], Floats]) -> Sparse:
    """Of a Poisson variable, summed."""
    places = np.linspace(math.log(0.001), math.log(60), 80)
    counts = np.arange(200, dtype=np.float64)
    factorials = np.array([math.lgamma(count + 1) for count in counts])
    mean, swing = np.empty_like(places), np.empty_like(places)
    for place, logarithm in enumerate(places):
        expected = math.exp(logarithm)
        shares = np.exp(counts * logarithm - expected - factorials)
        terms = term(counts, expected)
        mean[place] = shares @ terms
        swing[place] = (shares @ terms**2 - mean[place] ** 2) / 2
    mean[-1] = swing[-1] = 1.0
    return Sparse(places, mean, swing)


def _folded(
    samples: Samples, p: Floats, q: Floats, weights: Floats, slopes: Floats, *, most: float | Floats
) -> Estimates:
    """A distance that is a sum of weighted absolute differences of p and q, shares or sums of shares.

    A hypothesis is the observed differences, each made no smaller than chance makes it, times one number; the shares
    that go with it lie between both samples together and each.
    """
    n, m = np.maximum(samples.n, 1), np.maximum(samples.m, 1)
    both = (n * p + m * q) / (n + m)
    alike = _bernoulli(both) * (1 / n + 1 / m)
    apart = np.sqrt((q - p) ** 2 + alike)
    unit = (weights * apart).sum(axis=1)
    full = _variance(samples, slopes, slopes)
    null = _variance(replace(samples, p=samples.pooled, q=samples.pooled), slopes, slopes)
    null = np.maximum(null, (weights**2 * alike).sum(axis=1))  # where nothing differs, no slope is known
    full = np.where(full > 0, full, null)
    observed = (weights * np.abs(q - p)).sum(axis=1)

    def moments(theta: Floats) -> tuple[Floats, Floats]:
        part = np.divide(theta, unit, out=np.zeros_like(theta), where=unit > 0)[:, None]
        near = np.minimum(part, 1)
        squares = _bernoulli(both + near * (p - both)) / n + _bernoulli(both + near * (q - both)) / m
        distance = part * apart
        mean = _folded_mean(distance, np.sqrt(squares))
        rest = (weights**2 * np.maximum(squares + distance**2 - mean**2, 0)).sum(axis=1)
        whole = (weights**2 * squares).sum(axis=1)
        share = np.divide(rest, whole, out=np.ones_like(rest), where=whole > 0)
        return (weights * mean).sum(axis=1), (null + near[:, 0] * (full - null)) * share

    limit = np.broadcast_to(np.asarray(most, np.float64), observed.shape)
    return _inverted(samples, observed, moments, limit)


def _inverted(
    samples: Samples, observed: Floats, moments: Callable[[Floats], tuple[Floats, Floats]], most: Floats
) -> Estimates:
    """The theta under which as much as ``observed`` comes half of the time, and those of the interval's ends."""

    def theta(surprise: float, observed: Floats) -> Floats:
        low, high = np.zeros_like(observed), most.copy()
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            mean, variance = moments(middle)
            ninth = variance / (9 * np.maximum(mean, _TINY) ** 2)
            root = np.cbrt(observed / np.maximum(mean, _TINY))
            above = root - 1 + ninth > surprise * np.sqrt(ninth)
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.where(high >= most, most, low)

    value, low = theta(0.0, observed), theta(Z, observed)
    # two samples that are more alike than chance makes them are no proof of more than their size can show
    high = theta(-Z, np.maximum(observed, moments(np.zeros_like(observed))[0]))
    varied, seen = samples.freedom > 0, np.isfinite(samples.noise)
    value, low = (np.where(varied, part, 0.0) for part in (value, low))
    return Estimates(value, low, np.where(varied, high, np.where(seen, 0.0, most)))


def _variance(samples: Samples, of_p: Floats, of_q: Floats) -> Floats:
    """The delta method: the variance of the sum of slopes times shares of a multinomial."""
    found = np.zeros(len(samples.p))
    for shares, rows, slopes in ((samples.p, samples.n, of_p), (samples.q, samples.m, of_q)):
        mean = (shares * slopes).sum(axis=1)
        square = (shares * slopes**2).sum(axis=1)
        found += np.maximum(square - mean**2, 0) / np.maximum(rows[:, 0], 1)
    return found


def _bernoulli(share: Floats) -> Floats:
    return np.clip(share, 0, 1) * (1 - np.clip(share, 0, 1))


def _folded_mean(mean: Floats, deviation: Floats) -> Floats:
    """The mean of |X| for a normal X."""
    ratio = np.divide(mean, deviation, out=np.full_like(mean, np.inf), where=deviation > 0)
    found: Floats = deviation * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + mean * _erf(
        ratio / math.sqrt(2)
    )
    return found


def _erf(x: Floats) -> Floats:
    """The error function for x >= 0, to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26)."""
    s = 1 / (1 + 0.3275911 * x)
    series = s * (0.254829592 + s * (-0.284496736 + s * (1.421413741 + s * (-1.453152027 + s * 1.061405429))))
    found: Floats = 1 - series * np.exp(-(x**2))
    return found
