"""Estimation: how good a window's answers are while their outcomes are not known, from the probabilities alone.

Confidence-based performance estimation (Guillory et al. 2021, *Predicting with confidence on unseen distributions*;
Kivimäki et al. 2025, *Confidence-based estimators for predictive performance in model monitoring*, JAIR): a row with
probability q of the outcome is a true positive with probability q where the answer was yes. Sums over n rows give
the expected confusion matrix, and ratios of sums the metrics,

    F1 = 2 Σ d q / (Σ d + Σ q)
    ROC-AUC = Σ q_i (1 - q_j) w_ij / Σ q_i (1 - q_j)    over i ≠ j, where w is 1 if p_i > p_j, 1/2 if they are equal
    PR-AUC = Σ q_i (1 + Σ q_j) / n_i / Σ q_i    where the inner sum is over the other of the n_i rows with p_j ≥ p_i

which are their means over the draws of the outcomes but for terms of the order 1 / n. The probabilities q are the
scores, recalibrated on held-out rows. The interval is of what will be realised: in each draw the window has a line of
its own (``relevo.recalibration``) and each row an outcome of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import bounds, performance, stats
from relevo.findings import PAGE, Finding
from relevo.intervals import CONFIDENCE, ERRORS
from relevo.performance import COST
from relevo.recalibration import log_odds
from relevo.stats import TINY, Interval
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.performance import Answered
    from relevo.recalibration import Recalibration

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

DRAWS = 1000
POSITIVES = "positives"
GROUPS = 256
"""Neighbouring scores count as one beyond so many of them: half of the groups by rows, half by positives."""
BLOCK = 1 << 20
"""Cells times draws held at once."""
TAIL = 10
"""Draws beyond a limit that is taken from them."""
RECENT = 4
SURE = 0.99
"""How sure a contradiction must be, over all windows looked at."""
RARER = 20
UNSEEN, OUTSIDE = 0.05, 0.01
"""Shares of a window's rows: with an unknown value of one feature, with a score beyond the reference's."""
WORTH = 0.25
"""The least share of the reference's rows that tell of scores like the window's."""
MISFIT = 0.1


@dataclass(frozen=True)
class Cells:
    """A window's rows, put together where score and decision are alike: C cells from the highest score down."""

    count: NDArray[np.int64]
    place: NDArray[np.int64]
    yes: Flags
    log_odds: Floats
    losses: Mapping[str, tuple[Floats, Floats]]
    """The mean loss in each cell of a positive, and of a negative."""


@dataclass(frozen=True)
class Estimated:
    """What is expected of a window. ``samples`` are what might be realised, one figure for each draw."""

    rows: int
    confusion: Mapping[str, float]
    metrics: Mapping[str, Interval]
    samples: Mapping[str, Floats]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without the samples; ``cost`` stands beside the metrics."""
        found = {name: performance.plain(one) for name, one in self.metrics.items()}
        cost = found.pop(COST, None)
        return {"rows": self.rows, "confusion": dict(self.confusion), "metrics": found, "cost": cost}


def estimate(
    probability: Floats,
    decision: Flags,
    recalibration: Recalibration,
    *,
    costs: Mapping[str, float] | None = None,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimated:
    """Estimate the metrics of a window of n rows, each with the interval in which it will be realised."""
    known = np.isfinite(probability)
    cells = _cells(np.asarray(probability, np.float64)[known], np.asarray(decision, bool)[known])
    rows = int(cells.count.sum())
    mean = recalibration.mean(cells.log_odds)
    value = {
        name: float(one[0]) for name, one in figures(cells, (cells.count * mean)[None, :], costs).items()
    }
    value["roc_auc"] = _without_itself(value["roc_auc"], cells.count, mean)
    value["pr_auc"] = _average_precision(cells, mean)
    expected = float(cells.count @ mean)
    hits, named = float(cells.count @ (mean * cells.yes)), float(cells.count @ cells.yes)
    generator = np.random.default_rng(seed)
    step = max(1, BLOCK // max(1, len(cells.count)))
    parts = []
    for start in range(0, draws, step):
        drawn = recalibration.drawn(cells.log_odds, min(step, draws - start), generator)
        positives = generator.binomial(cells.count[None, :], drawn).astype(np.float64)
        parts.append(figures(cells, positives, costs))
    samples = {name: np.concatenate([part[name] for part in parts]) for name in value}
    return Estimated(
        rows,
        {"tp": hits, "fp": named - hits, "fn": expected - hits, "tn": rows - named - expected + hits},
        {name: _interval(value[name], samples[name], confidence) for name in value if name != POSITIVES},
        samples,
    )


def _without_itself(area: float, count: NDArray[np.int64], mean: Floats) -> float:
    """Leave out of an expected ROC-AUC the pairs of a row with itself, of which no draw has one."""
    positives = float(count @ mean)
    pairs, own = positives * (float(count.sum()) - positives), float(count @ (mean * (1 - mean)))
    return (area * pairs - own / 2) / (pairs - own) if pairs - own > TINY else math.nan


def _average_precision(cells: Cells, mean: Floats) -> float:
    """The expected precision at each row, given that it is positive itself, weighted by how probable that is."""
    weight = cells.count * mean
    if not weight.sum():
        return math.nan
    found = np.cumsum(np.bincount(cells.place, weights=weight))[cells.place]
    named = np.cumsum(np.bincount(cells.place, weights=cells.count))[cells.place]
    return float(weight @ ((found + 1 - mean) / named) / weight.sum())


def _interval(value: float, samples: Floats, confidence: float) -> Interval:
    known = samples[~np.isnan(samples)]
    if math.isnan(value) or not len(known):
        return Interval(math.nan, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Interval(value, min(low, value), max(high, value))


def _cells(probability: Floats, decision: Flags) -> Cells:
    negated, code, count = np.unique(-probability, return_inverse=True, return_counts=True)
    if len(negated) > GROUPS:
        code = _groups(-negated, count)[code]
    joint, of_row, count = np.unique(code * 2 + decision, return_inverse=True, return_counts=True)
    clipped = np.clip(probability, TINY, 1 - TINY)

    def mean(values: Floats) -> Floats:
        found: Floats = np.bincount(of_row, weights=values, minlength=len(joint)) / count
        return found

    return Cells(
        count.astype(np.int64),
        (joint // 2).astype(np.int64),
        (joint % 2).astype(bool),
        mean(log_odds(probability)),
        {
            "brier": (mean((1 - probability) ** 2), mean(probability**2)),
            "log_loss": (mean(-np.log(clipped)), mean(-np.log1p(-clipped))),
        },
    )


def _groups(score: Floats, count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut scores where as many rows, or as many of the positives expected: by rows alone rare ones were one tie."""
    worth = count / count.sum() + count * score / max(float(count @ score), TINY)
    return np.unique(((np.cumsum(worth) - worth / 2) * GROUPS / 2).astype(np.int64), return_inverse=True)[1]


def figures(cells: Cells, positives: Floats, costs: Mapping[str, float] | None = None) -> dict[str, Floats]:
    """Metrics for each of B draws of how many rows of each cell are positive, (B, C); undefined ones are NaN."""
    count = cells.count.astype(np.float64)
    rows, named = count.sum(), float(count @ cells.yes)
    came = positives.sum(axis=1)
    hits = positives @ cells.yes
    found = {
        POSITIVES: came,
        "f1": _ratio(2 * hits, named + came),
        "precision": _ratio(hits, np.full_like(hits, named)),
        "recall": _ratio(hits, came),
        **_areas(cells, positives, count),
        "accuracy": _ratio(rows - named - came + 2 * hits, np.full_like(hits, rows)),
    }
    for name, (one, other) in cells.losses.items():
        found[name] = _ratio(positives @ one + (count - positives) @ other, np.full_like(hits, rows))
    if costs:
        wrong = {"false_positive": named - hits, "false_negative": came - hits}
        paid = sum(costs.get(kind, 0.0) * wrong[kind] for kind in ERRORS)
        found[COST] = _ratio(np.asarray(paid, np.float64), np.full_like(hits, rows))
    return found


def _areas(cells: Cells, positives: Floats, count: Floats) -> dict[str, Floats]:
    if not len(count):
        return {"roc_auc": np.full(len(positives), np.nan), "pr_auc": np.full(len(positives), np.nan)}
    weight = np.concatenate([positives, count - positives], axis=1)
    place = np.concatenate([cells.place, cells.place])
    flag = np.arange(len(place)) < len(count)
    roc_auc, pr_auc = stats.areas(weight, place, flag)
    return {"roc_auc": roc_auc, "pr_auc": pr_auc}


def _ratio(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
    return found


def estimated_loss(
    estimated: Estimated, expected: Mapping[str, float | None], *, metric: str, margin: float, risk: float
) -> Finding | None:
    """Whether a metric will be worse than the ``expected`` one by more than ``margin``; None where that is not sure.

    ``expected`` is the reference's value with its 95 % interval. While the window's line is one of those that
    blocks of the reference have, a loss is found with probability at most ``risk``. Only to be asked where the
    estimate ``holds``.
    """
    reference, found = performance.interval(expected), estimated.metrics.get(metric)
    if reference is None or found is None or math.isnan(found.value):
        return None
    samples = estimated.samples[metric]
    samples = np.sort(samples[~np.isnan(samples)])

    def sure(risk: float) -> float:
        now = _limits(samples, risk)
        return performance.worse_by(now, performance.widened(reference, risk), metric)

    at_least = sure(risk)
    if not at_least > margin:
        return None
    return Finding(
        kind="estimated loss",
        about=metric,
        severity=PAGE,
        value=found.value,
        expected=reference.value,
        low=found.low,
        high=found.high,
        rows=estimated.rows,
        p=performance.smallest(risk, lambda tried: sure(tried) > margin),
        facts={"margin": margin, "at_least": at_least, "risk": risk},
    )


def _limits(samples: Floats, risk: float) -> Interval:
    """One-sided limits; beyond what so many draws can tell, they go on as a normal distribution's do."""
    told = min(0.5, max(risk, TAIL / len(samples)))
    low, middle, high = np.quantile(samples, [told, 0.5, 1 - told]).tolist()
    if told > risk:
        normal = NormalDist()
        times = normal.inv_cdf(risk) / normal.inv_cdf(told)
        low, high = middle + times * (low - middle), middle + times * (high - middle)
    return Interval(middle, low, high)


def holds(
    probability: Floats,
    recalibration: Recalibration,
    *,
    unseen: Mapping[str, float] | None = None,
    realised: Sequence[Answered] = (),
) -> tuple[bool, list[str]]:
    """Whether an estimate may be believed, and why not.

    ``unseen`` is the share of the window's rows, by feature, with a value that the reference did not have.
    ``realised`` are the most recent windows whose outcomes are complete; the last ``RECENT`` are looked at.
    """
    known = np.asarray(probability, np.float64)
    known = known[np.isfinite(known)]
    reasons = [*_reference_reasons(recalibration)]
    if not len(known):
        reasons.append(t("The window has no rows."))
    else:
        reasons += _window_reasons(log_odds(known), recalibration)
    strange = sorted(name for name, share in (unseen or {}).items() if share > UNSEEN)
    if strange:
        reasons.append(
            t(
                "Of {features} more than {share:.0%} of the rows have values that the reference did not have.",
                features=", ".join(strange),
                share=UNSEEN,
            )
        )
    reasons += _contradictions(recalibration, realised)
    return not reasons, reasons


def _reference_reasons(recalibration: Recalibration) -> list[str]:
    reasons = []
    rarer = min(recalibration.positives, recalibration.rows - recalibration.positives)
    if rarer < RARER:
        reasons.append(
            t(
                "The reference has {rarer} rows of the rarer outcome; {least} are the least to recalibrate by.",
                rarer=rarer,
                least=RARER,
            )
        )
    slope = recalibration.slope
    if slope.mean <= slope.error * NormalDist().inv_cdf(SURE):
        reasons.append(t("In the reference the scores say nothing sure of the outcomes."))
    if recalibration.misfit > MISFIT:
        reasons.append(
            t(
                "The reference's probabilities are off by {misfit:.0%} of the rate of positives even when recalibrated;"
                " at most {most:.0%} is good enough.",
                misfit=recalibration.misfit,
                most=MISFIT,
            )
        )
    return reasons


def _window_reasons(found: Floats, recalibration: Recalibration) -> list[str]:
    reasons = []
    outside = int(np.count_nonzero((found < recalibration.lowest) | (found > recalibration.highest)))
    if bounds.lower(outside, len(found), 1 - SURE) > OUTSIDE:
        reasons.append(
            t(
                "{share:.1%} of the scores are beyond the lowest or the highest of the reference.",
                share=outside / len(found),
            )
        )
    worth = _worth(found, recalibration)
    if worth < WORTH:
        reasons.append(
            t(
                "The scores lie where the reference has few: its {rows:,} rows are worth {worth:,.0f} like these.",
                rows=recalibration.rows,
                worth=worth * recalibration.rows,
            )
        )
    return reasons


def _worth(found: Floats, recalibration: Recalibration) -> float:
    """The share of the reference's rows that would tell as much, had they been drawn like the window's.

    The effective sample size of importance weights over the bins of the score (Kong 1992): 1 / Σ window² / reference.
    """
    places = np.searchsorted(recalibration.edges, found, side="right")
    counts = np.array(recalibration.counts)
    share = np.bincount(places, minlength=len(counts)) / len(found)
    reference = np.maximum(counts, 0.5) / counts.sum()
    return float(1 / (share**2 / reference).sum())


def _contradictions(recalibration: Recalibration, realised: Sequence[Answered]) -> list[str]:
    """What recent outcomes say against it: that they are more or fewer, or ranked otherwise, than could be drawn."""
    recent = [one.take(one.known) for one in realised[-RECENT:]]
    recent = [one for one in recent if len(one.outcome)]
    reasons = []
    for one in recent:
        least = (1 - SURE) / (2 * len(recent))
        drawn = estimate(one.probability, one.decision, recalibration, draws=DRAWS // 2)
        positive = drawn.samples[POSITIVES] / drawn.rows
        came = float(one.outcome.mean())
        if _p(log_odds(np.array([came]))[0], log_odds(positive)) < least:
            reasons.append(
                t(
                    "Of {rows:,} recent rows {came:.1%} were positive where {drawn:.1%} were expected.",
                    rows=drawn.rows,
                    came=came,
                    drawn=float(positive.mean()),
                )
            )
        area = one.measured()["roc_auc"].value
        if _p(area, drawn.samples["roc_auc"]) < least:
            reasons.append(
                t(
                    "On {rows:,} recent rows the ROC-AUC was {area:.3f} where {drawn:.3f} was expected.",
                    rows=drawn.rows,
                    area=area,
                    drawn=drawn.metrics["roc_auc"].value,
                )
            )
    return reasons


def _p(value: float, samples: Floats) -> float:
    """How often draws lie as far from their mean, by the normal distribution; 1 where nothing can be said."""
    known = samples[np.isfinite(samples)]
    if math.isnan(value) or not len(known) or not known.std():
        return 1.0
    return 2 * NormalDist().cdf(-abs(value - float(known.mean())) / float(known.std()))
