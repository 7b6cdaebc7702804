"""Statistics: the metrics of a binary classifier, and their bootstrap distributions.

Rows with the same score and outcome are one *cell*, and a bootstrap resample of the rows is a
multinomial draw of cell counts; every metric is then a sum or a cumulative sum over cells, for many
resamples at once (Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, chapters 6 and 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.int64]

RESAMPLES = 1000
BLOCK = 1 << 20
"""Cells times resamples held at once: 8 MiB for each array."""
EXACT = 10_000
"""Rows up to which every distinct score is a cell of its own."""
GROUPS = {1: 4096, 2: 128}
"""With more rows, groups of neighbouring scores, for one score and for each of two; more scores are not grouped."""
TINY = 1e-15


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scored:
    """What a model says of n rows; it says yes where ``probability >= threshold``.

    The threshold is one number, or one for each row where several models share the answering.
    """

    probability: Floats
    threshold: float | Floats


@dataclass(frozen=True)
class _Cells:
    """``count`` rows in each of C cells; ``place`` (models, C) numbers the scores from the highest down."""

    count: Numbers
    place: list[Numbers]
    sums: Floats
    """(C, 1 + 4 models): mean in the cell of the outcome, then yes, right yes, Brier and log loss."""
    positive: Flags


def measures(scored: Scored, target: Flags) -> dict[str, float]:
    """Every metric of ``relevo.gate.METRICS``; NaN where only one class is there and the metric needs both."""
    cells = _cells([scored], target, groups=len(target))
    return {name: float(values[0]) for name, values in _metrics(cells, cells.count[None, :])[0].items()}


def resampled(
    models: Sequence[Scored], target: Flags, *, seed: int, resamples: int = RESAMPLES
) -> list[dict[str, Floats]]:
    """Bootstrap each metric, (resamples,) values for each model; resample i is the same rows for all models."""
    rows = len(target)
    cells = _cells(models, target, groups=rows if rows <= EXACT else GROUPS.get(len(models), rows))
    share = cells.count / rows
    generator = np.random.default_rng(seed)
    step = max(1, BLOCK // len(share))
    blocks = [
        _metrics(cells, generator.multinomial(rows, share, size=min(step, resamples - start)))
        for start in range(0, resamples, step)
    ]
    return [
        {name: np.concatenate([block[model][name] for block in blocks]) for name in blocks[0][model]}
        for model in range(len(models))
    ]


def over_repeats(repeats: Sequence[dict[str, Floats]], *, seed: int) -> dict[str, Floats]:
    """The mean over repeats of each metric's resamples, themselves drawn with replacement in each resample.

    Rows and repeats are resampled independently (Owen 2007, *The pigeonhole bootstrap*, Annals of Applied
    Statistics 1), so the spread is that of new rows as well as of new draws of the folds.
    """
    count = len(repeats)
    if count == 1:
        return repeats[0]
    resamples = len(next(iter(repeats[0].values())))
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples) / count
    return {
        name: np.einsum("br,rb->b", drawn, np.stack([found[name] for found in repeats]))
        for name in repeats[0]
    }


def interval(value: float, samples: Floats) -> Interval:
    """95 % percentile interval of the samples that are defined; NaN when none is."""
    known = samples[~np.isnan(samples)]
    if not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _cells(models: Sequence[Scored], target: Flags, groups: int) -> _Cells:
    codes = [_codes(model, groups) for model in models]
    joint = target.astype(np.int64)
    decisions = [model.probability >= model.threshold for model in models]
    for code, yes in zip(codes, decisions, strict=True):
        joint = (joint * (int(code.max()) + 1) + code) * 2 + yes
        joint = np.unique(joint, return_inverse=True)[1]
    _, first, of_row, count = np.unique(joint, return_index=True, return_inverse=True, return_counts=True)
    columns = [target.astype(np.float64)]
    for model, yes in zip(models, decisions, strict=True):
        p = model.probability
        clipped = np.clip(p, TINY, 1 - TINY)
        loss = -np.where(target, np.log(clipped), np.log1p(-clipped))
        columns += [yes.astype(np.float64), (yes & target).astype(np.float64), (p - target) ** 2, loss]
    sums = np.stack([np.bincount(of_row, weights=column) for column in columns], axis=1) / count[:, None]
    return _Cells(count, [code[first] for code in codes], sums, target[first])


def _codes(model: Scored, groups: int) -> Numbers:
    """Number the distinct scores from the highest down; neighbours share a number beyond ``groups`` of them."""
    negated, codes, count = np.unique(-model.probability, return_inverse=True, return_counts=True)
    if len(negated) > groups:
        middle = np.cumsum(count) - count / 2
        bucket = (middle * groups / len(codes)).astype(np.int64)
        codes = np.unique(bucket, return_inverse=True)[1][codes]
    return codes.astype(np.int64)


def _metrics(cells: _Cells, weights: Numbers) -> list[dict[str, Floats]]:
    """Metrics of each model for each row of ``weights`` (B, C)."""
    weight = weights.astype(np.float64)
    sums = weight @ cells.sums
    rows, positives = weight.sum(axis=1), sums[:, 0]
    found = []
    for model, place in enumerate(cells.place):
        yes, hits, brier, loss = sums[:, 1 + 4 * model : 5 + 4 * model].T
        roc_auc, pr_auc = areas(weight, place, cells.positive)
        found.append(
            {
                "f1": ratio(2 * hits, yes + positives),
                "precision": ratio(hits, yes),
                "recall": ratio(hits, positives),
                "pr_auc": pr_auc,
                "roc_auc": roc_auc,
                "brier": brier / rows,
                "log_loss": loss / rows,
                "accuracy": 1 - (yes + positives - 2 * hits) / rows,
            }
        )
    return found


def areas(weight: Floats, place: Numbers, positive: Flags) -> tuple[Floats, Floats]:
    """ROC-AUC as the Mann-Whitney statistic with ties counted half, and average precision (no interpolation)."""
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    ordered = weight[:, order]
    hits = np.add.reduceat(ordered * positive[order], starts, axis=1)
    every = np.add.reduceat(ordered, starts, axis=1)
    cumulated = np.cumsum(hits, axis=1)
    named = np.cumsum(every, axis=1)
    positives = cumulated[:, -1]
    negatives = named[:, -1] - positives
    misses = every - hits
    below = negatives[:, None] - (named - cumulated) + misses / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        roc_auc = (hits * below).sum(axis=1) / (positives * negatives)
        pr_auc = (hits * cumulated / np.maximum(named, TINY)).sum(axis=1) / positives
    roc_auc[(positives == 0) | (negatives == 0)] = np.nan
    pr_auc[positives == 0] = np.nan
    return roc_auc, pr_auc


def ratio(part: Floats, whole: Floats) -> Floats:
    """Part of the whole, 0 where there is no whole, as precision and F1 are by convention."""
    found: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return found
