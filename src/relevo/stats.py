"""Statistics: the metrics of a binary classifier, and their bootstrap distributions.

Rows with the same score and outcome are one *cell*, and a bootstrap resample of the rows is a
multinomial draw of cell counts; every metric is then a sum or a cumulative sum over cells, for many
resamples at once (Efron & Tibshirani 1993, *An Introduction to the Bootstrap*, chapters 6 and 13).
Rows of one group (a patient's, say) are not independent: then whole groups are drawn, as many as there are, and the
cell counts are theirs (Davison & Hinkley 1997, *Bootstrap Methods and their Application*, section 3.8).

A million rows are too many cells, so neighbouring scores are put together between *cuts*: scores of rows of either
class, as many of each. Rows of the rarer class, on which the areas depend, are so kept apart unless they outnumber the
cuts. In groups of as many rows each, all rare positives would be one tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.int64]

RESAMPLES = 1000
BLOCK = 1 << 20
"""Cells times resamples held at once: 8 MiB for each array."""
CELLS = 1 << 14
"""Cells for each model up to which every distinct score is a place of its own."""
CUTS = (2048, 1024, 512, 256, 128, 64)
"""With more cells: the scores of each class at which a model's ranking is cut, as many as keep within ``CELLS``."""
AREAS = ("pr_auc", "roc_auc")
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
    of_row: Numbers
    """The cell of each row."""


def measures(scored: Scored, target: Flags) -> dict[str, float]:
    """Every metric of ``relevo.gate.METRICS``; NaN where only one class is there and the metric needs both."""
    return _values(_cells([scored], target, cuts=len(target)))[0]


def resampled(
    models: Sequence[Scored],
    target: Flags,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    group: Numbers | None = None,
) -> list[dict[str, Floats]]:
    """Bootstrap each metric, (resamples,) values for each model; resample i is the same rows for all models.

    With ``group``, the number of the group of each row, whole groups are drawn.
    """
    rows = len(target)
    cells = _few_cells(models, target)
    draws = _by_row(cells) if group is None else _by_group(cells, group)
    generator = np.random.default_rng(seed)
    step = max(1, BLOCK // draws.held)
    blocks = [
        _metrics(cells, draws.weights(generator, min(step, resamples - start)))
        for start in range(0, resamples, step)
    ]
    found = [
        {name: np.concatenate([block[model][name] for block in blocks]) for name in blocks[0][model]}
        for model in range(len(models))
    ]
    if rows > CELLS * len(models):
        _centre(found, _values(cells), [measures(model, target) for model in models])
    return found


@dataclass(frozen=True)
class _Draws:
    """How cell counts are drawn: ``weights(generator, B)`` is (B, C); ``held`` numbers are held for each resample."""

    held: int
    weights: Callable[[np.random.Generator, int], Numbers]


def _by_row(cells: _Cells) -> _Draws:
    rows = int(cells.count.sum())
    return _Draws(
        len(cells.count), lambda generator, size: generator.multinomial(rows, cells.count / rows, size=size)
    )


def _by_group(cells: _Cells, group: Numbers) -> _Draws:
    """What a resample has of a cell are, of each group, its rows there as often as the group was drawn."""
    names, of_row = np.unique(group, return_inverse=True)
    groups = len(names)
    if groups == len(group):
        return _by_row(cells)
    pair, count = np.unique(cells.of_row * groups + of_row, return_counts=True)
    cell, member = np.divmod(pair, groups)
    starts = np.flatnonzero(np.diff(cell, prepend=-1))

    def weights(generator: np.random.Generator, size: int) -> Numbers:
        drawn = generator.integers(groups, size=(size, groups)) + groups * np.arange(size)[:, None]
        often = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups)
        found: Numbers = np.add.reduceat(often[:, member] * count, starts, axis=1)
        return found

    return _Draws(max(len(pair), groups), weights)


def _centre(
    found: Sequence[dict[str, Floats]],
    tied: Sequence[Mapping[str, float]],
    exact: Sequence[Mapping[str, float]],
) -> None:
    """Add to resampled areas what they lose by ties that are none, which is what the areas of all rows lose."""
    for samples, before, after in zip(found, tied, exact, strict=True):
        for name in AREAS:
            samples[name] = np.clip(samples[name] + after[name] - before[name], 0, 1)


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


def _few_cells(models: Sequence[Scored], target: Flags) -> _Cells:
    """The cells of the finest cuts that make no more than ``CELLS`` for each model, or else of the coarsest."""
    most = CELLS * len(models)
    if len(target) <= most:
        return _cells(models, target, cuts=len(target))
    for cuts in CUTS:
        cells = _cells(models, target, cuts)
        if len(cells.count) <= most:
            break
    return cells


def _cells(models: Sequence[Scored], target: Flags, cuts: int) -> _Cells:
    places = [_places(model.probability, target, cuts) for model in models]
    joint = target.astype(np.int64)
    decisions = [model.probability >= model.threshold for model in models]
    for place, yes in zip(places, decisions, strict=True):
        joint = (joint * (int(place.max()) + 1) + place) * 2 + yes
        joint = np.unique(joint, return_inverse=True)[1]
    _, first, of_row, count = np.unique(joint, return_index=True, return_inverse=True, return_counts=True)
    columns = [target.astype(np.float64)]
    for model, yes in zip(models, decisions, strict=True):
        p = model.probability
        clipped = np.clip(p, TINY, 1 - TINY)
        loss = -np.where(target, np.log(clipped), np.log1p(-clipped))
        columns += [yes.astype(np.float64), (yes & target).astype(np.float64), (p - target) ** 2, loss]
    sums = np.stack([np.bincount(of_row, weights=column) for column in columns], axis=1) / count[:, None]
    return _Cells(count, [place[first] for place in places], sums, target[first], of_row)


def _places(probability: Floats, target: Flags, cuts: int) -> Numbers:
    """Number the scores from the highest down: each cut has a number, and what lies between two cuts has one."""
    found = np.union1d(_cuts(probability[target], cuts), _cuts(probability[~target], cuts))
    lower = np.searchsorted(found, probability, side="left")
    equal = found[np.minimum(lower, len(found) - 1)] == probability
    place: Numbers = 2 * (len(found) - lower) - equal
    return place


def _cuts(scores: Floats, most: int) -> Floats:
    """The distinct scores, or beyond ``most`` of them those of ``most`` rows, as many rows between any two."""
    found = np.unique(scores)
    if len(found) <= most:
        return found
    at = np.linspace(0, len(scores) - 1, most).round().astype(np.int64)
    return np.unique(np.sort(scores)[at])


def _values(cells: _Cells) -> list[dict[str, float]]:
    """Each model's metrics of the rows as they are."""
    return [
        {name: float(values[0]) for name, values in found.items()}
        for found in _metrics(cells, cells.count[None, :])
    ]


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
