"""Intervals of a classifier's figures on n labelled rows, that hold at few rows and rare positives.

Every one is the score interval of Wilson (1927), or is put together from several, since a figure near an end of
its range has a skewed distribution, and a bootstrap cannot draw what was not seen.

- Accuracy, precision and recall are shares. F1 = 2J / (1 + J) with the share J = tp / (tp + fp + fn), of which tp is
  binomial, given how many there are (Hand, Christen & Kirielle 2021, *F-star: an interpretable
  transformation of the F-measure*; Lam et al. 2023, *Confidence intervals for the F1 score*, "Wilson indirect").
- The areas are taken as shares of as many rows as would give them their variance. ROC-AUC's is that of DeLong, DeLong
  & Clarke-Pearson (1988), PR-AUC's the infinitesimal jackknife's (Efron 1982, chapter 6). With few positives these
  are too small too often: they count with Hanley & McNeil's (1982), or the binomial one of Boyd, Eng & Page (2013),
  which is worth ``PRIOR`` rows of the rarer class. Average precision is too large with few positives, as each of them
  counts in its own precision: its lower limit is that of the figure in which it does not.
- Brier, log loss and costs are sums over outcomes and decisions: the limits of their parts are put together by the
  method of variance estimates recovery (Zou & Donner 2008, *Construction of confidence limits about effect measures*).
- Expected calibration error is above zero even of perfect probabilities. By how much depends on what cannot be seen,
  so its interval holds whatever that is.

Undefined figures are NaN: the areas with one class, precision without a yes, recall without a positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from relevo import bounds
from relevo.stats import TINY, Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

CONFIDENCE = 0.95
PRIOR = 10
"""Rows of the rarer class that a model's variance of an area is worth beside the one estimated."""
SPREAD_PRIOR = 5
"""Rows that the spread of all rows' losses is worth beside that of one class."""
BINS, BIN_ROWS = 10, 20
"""Of the calibration error: at most so many bins, of so many rows at least."""
ERRORS = {"false_positive": (True, False), "false_negative": (False, True)}
"""The decision and the outcome of each kind of error."""
UNDEFINED = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Level:
    """A confidence, and the normal quantile on either side of it."""

    confidence: float

    @property
    def z(self) -> float:
        """1.96 for 95 %."""
        return NormalDist().inv_cdf((1 + self.confidence) / 2)


def metrics(
    probability: Floats, decision: Flags, outcome: Flags, *, confidence: float = CONFIDENCE
) -> dict[str, Interval]:
    """Every metric of ``relevo.gate.METRICS`` and ``ece``, the expected calibration error, with two-sided intervals."""
    level = Level(confidence)
    tp, yes, positives = (int(np.count_nonzero(f)) for f in (decision & outcome, decision, outcome))
    rows = len(outcome)
    jaccard = share(tp, yes + positives - tp, level)
    roc_auc, pr_auc = areas(probability, outcome, level)
    clipped = np.clip(probability, TINY, 1 - TINY)
    return {
        "f1": Interval(*(2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))),
        "precision": share(tp, yes, level),
        "recall": share(tp, positives, level),
        "pr_auc": pr_auc,
        "roc_auc": roc_auc,
        "brier": loss((1 - probability) ** 2, probability**2, outcome, level),
        "log_loss": loss(-np.log(clipped), -np.log1p(-clipped), outcome, level),
        "accuracy": share(rows - yes - positives + 2 * tp, rows, level),
        "ece": calibration_error(probability, outcome, level),
    }


def share(count: int, n: int, level: Level) -> Interval:
    """A share; undefined of nothing."""
    return Interval(count / n, *bounds.interval(count, n, level.confidence)) if n else UNDEFINED


def cost(
    decision: Flags, outcome: Flags, costs: Mapping[str, float], *, confidence: float = CONFIDENCE
) -> Interval:
    """What errors cost per row; ``costs`` by kind, ``false_positive`` and ``false_negative``."""
    level, rows = Level(confidence), len(outcome)
    if not rows:
        return UNDEFINED
    parts = []
    for kind, price in costs.items():
        said, was = ERRORS[kind]
        found = share(int(np.count_nonzero((decision == said) & (outcome == was))), rows, level)
        parts.append((price, found))
    return recovered(parts)


def recovered(parts: list[tuple[float, Interval]]) -> Interval:
    """The sum of independent figures times weights: their limits, put together (Zou & Donner 2008, equation 9)."""
    value = math.fsum(weight * part.value for weight, part in parts)
    below, above = 0.0, 0.0
    for weight, part in parts:
        down, up = weight * (part.value - part.low), weight * (part.high - part.value)
        if weight < 0:
            down, up = -up, -down
        below, above = below + down**2, above + up**2
    return Interval(value, value - math.sqrt(below), value + math.sqrt(above))


def loss(if_positive: Floats, if_negative: Floats, outcome: Flags, level: Level) -> Interval:
    """The mean loss of n rows, of which ``outcome`` says which of the two losses each has.

    A class that was not seen is taken to lose as all rows would, had they been of it.
    """
    rows = len(outcome)
    if not rows:
        return UNDEFINED
    positives = int(np.count_nonzero(outcome))
    rate = share(positives, rows, level)
    one = _mean(if_positive, outcome, level)
    other = _mean(if_negative, ~outcome, level)
    parts = [
        (one.value - other.value, rate),
        (rate.value if positives else rate.high / 2, one),
        (1 - rate.value if positives < rows else (1 - rate.low) / 2, other),
    ]
    around = recovered(parts)
    value = float(np.where(outcome, if_positive, if_negative).mean())
    below, above = around.value - around.low, around.high - around.value
    return Interval(value, max(0.0, value - below), value + above)


def _mean(values: Floats, own: Flags, level: Level) -> Interval:
    """The mean of some of the values, whose spread is drawn towards that of all."""
    seen = values[own]
    known = seen if len(seen) else values
    freedom = max(0, len(seen) - 1) + SPREAD_PRIOR
    squares = float(((seen - seen.mean()) ** 2).sum()) if len(seen) else 0.0
    variance = (squares + SPREAD_PRIOR * float(values.var())) / freedom
    half = _student(level.z, freedom) * math.sqrt(variance / max(1, len(seen)))
    middle = float(known.mean())
    return Interval(middle, middle - half, middle + half)


def _student(z: float, freedom: int) -> float:
    """The quantile of Student's t beside the normal one (Abramowitz & Stegun 1964, 26.7.5, three terms)."""
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def areas(probability: Floats, outcome: Flags, level: Level) -> tuple[Interval, Interval]:
    """ROC-AUC with ties counted half, and average precision."""
    _, of_row = np.unique(-probability, return_inverse=True)
    distinct = int(of_row.max()) + 1 if len(of_row) else 0
    hits = np.bincount(of_row[outcome], minlength=distinct).astype(np.float64)
    misses = np.bincount(of_row[~outcome], minlength=distinct).astype(np.float64)
    if not hits.sum():
        return UNDEFINED, UNDEFINED
    return _roc(hits, misses, level), _precision(hits, misses, level)


def _roc(hits: Floats, misses: Floats, level: Level) -> Interval:
    """From the positives and negatives at each distinct score, from the highest down."""
    m, n = float(hits.sum()), float(misses.sum())
    if not n:
        return UNDEFINED
    below = (n - np.cumsum(misses) + misses / 2) / n
    above = (np.cumsum(hits) - hits / 2) / m
    value = float(hits @ below) / m
    seen = [
        float(count @ (place - value) ** 2) / (count.sum() - 1) / count.sum()
        for count, place in ((hits, below), (misses, above))
        if count.sum() > 1
    ]
    near = (value * m * n + 0.5) / (m * n + 1)
    return _as_share(value, sum(seen) if len(seen) > 1 else None, _hanley(near, m, n), near, min(m, n), level)


def _hanley(value: float, m: float, n: float) -> float:
    """The larger variance that exponential scores would give, whichever class has the long tail."""
    found = []
    for area in (value, 1 - value):
        one, other = area / (2 - area), 2 * area**2 / (1 + area)
        square = area**2
        found.append((area * (1 - area) + (m - 1) * (one - square) + (n - 1) * (other - square)) / (m * n))
    return max(found)


def _precision(hits: Floats, misses: Floats, level: Level) -> Interval:
    """Average precision; how it answers to the weight of a row gives its variance."""
    positives = float(hits.sum())
    found, named = np.cumsum(hits), np.cumsum(hits + misses)
    precision = found / named
    value = float(hits @ precision) / positives
    others = float(hits @ ((found - 1) / np.maximum(named - 1, 1)).clip(0)) / positives
    gain, price = (np.cumsum(part[::-1])[::-1] for part in (hits / named, hits * found / named**2))
    of_hit = (precision + gain - value - price) / positives
    seen = float(hits @ of_hit**2 + misses @ (price / positives) ** 2)
    near = (value * positives + 0.5) / (positives + 1)
    binomial = max(value * (1 - value), near * (1 - near)) / positives
    upper = _as_share(value, seen, binomial, near, positives, level)
    lower = _as_share(others, seen, binomial, near, positives, level)
    return Interval(value, min(lower.low, upper.low), upper.high)


def _as_share(
    value: float, seen: float | None, modelled: float, near: float, rarer: float, level: Level
) -> Interval:
    """Wilson's interval of a share of as many rows as give it the variance; ``near`` is off the ends."""
    weight = 0.0 if seen is None else rarer / (rarer + PRIOR)
    variance = weight * (seen or 0.0) + (1 - weight) * modelled
    spread = max(value * (1 - value), near * (1 - near))
    rows = spread / variance
    z = level.z
    middle = (value + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(spread / rows + z * z / (4 * rows * rows))
    return Interval(value, max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half)))


def calibration_error(probability: Floats, outcome: Flags, level: Level) -> Interval:
    """Mean distance, over bins of as many rows, of the share of positives from the mean probability.

    Chance alone adds to it between nothing and ``chance``, which is what it is expected to be where all bins are
    exact (the mean of a folded normal distribution).
    """
    rows = len(outcome)
    if not rows:
        return UNDEFINED
    wanted = max(1, min(BINS, rows // BIN_ROWS))
    edges = np.quantile(probability, np.linspace(0, 1, wanted + 1)[1:-1])
    codes = np.searchsorted(edges, probability, side="right")
    count = np.bincount(codes, minlength=wanted)
    kept = count > 0
    count = count[kept]
    said = np.bincount(codes, weights=probability, minlength=wanted)[kept] / count
    came = np.bincount(codes, weights=outcome, minlength=wanted)[kept] / count
    weight = count / rows
    noise = np.sqrt(np.maximum(said * (1 - said), came * (1 - came)) / count) * weight
    chance = math.sqrt(2 / math.pi) * float(noise.sum())
    half = level.z * math.sqrt(float(noise @ noise))
    value = float(weight @ np.abs(came - said))
    return Interval(value, max(0.0, value - chance - half), min(1.0, value + half))
