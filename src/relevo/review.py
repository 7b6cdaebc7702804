"""Review: what became of the scores of a period, judged by its outcomes beside the rule of thumb.

Intervals are those of a bootstrap over the pairs (Efron & Tibshirani 1993, chapters 6 and 13), which is
drawn for *cells* of pairs that count alike in every resample instead of for 1.5 million pairs:

- F1, precision and recall depend on how many pairs there are of each outcome, decision and rule: 8 cells;
- the areas depend on negatives only by how many lie between two positives in the ranking, so all that do
  are one cell. Only beyond ``MOST`` distinct scores of positives are neighbouring ones put together.

An outcome that was not in the population is a pair that nobody named: a miss, ranked last.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import stats
from relevo.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

VERSION = 1
"""Raised when the same scores and outcomes would give another review."""
RESAMPLES = 1000
MOST = 4096
BLOCK = 1 << 21
"""Cells times resamples held at once."""
METRICS = ("f1", "precision", "recall")
AREAS = ("pr_auc", "roc_auc")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is found of some pairs. ``rows`` were scored, ``outcomes`` turned out positive, ``missed`` of them unasked.

    ``difference`` is the model's F1 less the rule's, on the same resampled pairs. Figures that are
    undefined are NaN, and null in JSON.
    """

    rows: int
    outcomes: int
    missed: int
    positive: int
    model: Mapping[str, Interval]
    naive: Mapping[str, Interval] | None = None
    difference: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


@dataclass(frozen=True)
class Seen:
    """n scored pairs: their scores, decisions, the rule of thumb's, and what happened; ``missed`` were not asked."""

    probability: Floats
    positive: Flags
    naive: Flags | None
    truth: Flags
    missed: int = 0
    segments: Mapping[str, Sequence[Any] | NDArray[Any]] = field(default_factory=dict)


def judge(seen: Seen, *, seed: int = 0, resamples: int = RESAMPLES) -> Judged:
    """Judge pairs by their outcomes; the intervals hold 95 % of the resamples."""
    generator = np.random.default_rng(seed)
    rule = seen.positive if seen.naive is None else seen.naive
    code = seen.truth * 4 + seen.positive * 2 + rule
    count = np.bincount(code, minlength=8).astype(np.int64)
    count[4] += seen.missed
    total = int(count.sum())
    drawn = generator.multinomial(total, count / total, size=resamples) if total else np.zeros((0, 8))
    model, ours = _decided(count, drawn, yes=2)
    areas = _areas(seen, generator, resamples)
    common: dict[str, Any] = {
        "rows": len(seen.truth),
        "outcomes": int(seen.truth.sum()) + seen.missed,
        "missed": seen.missed,
        "positive": int(seen.positive.sum()),
        "model": {**model, **areas},
    }
    if seen.naive is None:
        return Judged(**common)
    naive, theirs = _decided(count, drawn, yes=1)
    gap = stats.interval(model["f1"].value - naive["f1"].value, ours - theirs)
    return Judged(**common, naive=naive, difference=gap)


def by_segment(seen: Seen, *, seed: int = 0, most: int = 50) -> dict[str, dict[str, Judged]]:
    """Judge the pairs of each value of each segment, at most the ``most`` values with the most pairs.

    Null is the value “-”. Outcomes that were not in the population have no segment and count in none.
    """
    found: dict[str, dict[str, Judged]] = {}
    for name, values in seen.segments.items():
        texts = np.array(["-" if value is None else str(value) for value in values])
        levels, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
        largest = np.argsort(-counts, kind="stable")[:most]
        found[name] = {}
        for level in sorted(largest.tolist()):
            rows = codes == level
            part = Seen(
                seen.probability[rows],
                seen.positive[rows],
                None if seen.naive is None else seen.naive[rows],
                seen.truth[rows],
            )
            found[name][str(levels[level])] = judge(part, seed=seed)
    return found


def _decided(count: Numbers, drawn: NDArray[Any], *, yes: int) -> tuple[dict[str, Interval], Floats]:
    """F1, precision and recall of the decisions whose bit is ``yes``, and F1 in each resample."""
    value = {name: float(figure[0]) for name, figure in _ratios(count[None, :], yes).items()}
    samples = _ratios(drawn, yes)
    return {name: stats.interval(value[name], samples[name]) for name in METRICS}, samples["f1"]


def _ratios(count: NDArray[Any], yes: int) -> dict[str, Floats]:
    codes = np.arange(8)
    named = (codes & yes) > 0
    happened = codes >= 4  # noqa: PLR2004 - the bit of the outcome
    hits = count[:, named & happened].sum(axis=1).astype(np.float64)
    said, there = count[:, named].sum(axis=1), count[:, happened].sum(axis=1)
    return {
        "f1": stats.ratio(2 * hits, (said + there).astype(np.float64)),
        "precision": stats.ratio(hits, said.astype(np.float64)),
        "recall": stats.ratio(hits, there.astype(np.float64)),
    }


def _areas(seen: Seen, generator: np.random.Generator, resamples: int) -> dict[str, Interval]:
    count, place, positive = _cells(seen)
    total = int(count.sum())
    if not total:
        return {name: Interval(*[float("nan")] * 3) for name in AREAS}
    roc_auc, pr_auc = stats.areas(count[None, :].astype(np.float64), place, positive)
    step = max(1, BLOCK // len(count))
    blocks = [
        stats.areas(
            generator.multinomial(total, count / total, size=min(step, resamples - start)).astype(np.float64),
            place,
            positive,
        )
        for start in range(0, resamples, step)
    ]
    curves = [np.concatenate([block[turn] for block in blocks]) for turn in (1, 0)]
    values = (float(pr_auc[0]), float(roc_auc[0]))
    return {name: stats.interval(v, c) for name, v, c in zip(AREAS, values, curves, strict=True)}


def _cells(seen: Seen) -> tuple[Numbers, Numbers, Flags]:
    """Pairs that count alike: how many, their place in the ranking from the top, and whether they happened.

    With the positives' distinct scores from the highest down, place 2i + 1 is that of score i and 2i that
    of what lies just above it.
    """
    scores = np.unique(seen.probability[seen.truth])
    if len(scores) > MOST:
        scores = scores[np.linspace(0, len(scores) - 1, MOST).round().astype(np.int64)]
    most = len(scores)
    lower = np.searchsorted(scores, seen.probability, side="left")
    place = 2 * (most - lower)
    if most:
        place -= scores[np.minimum(lower, most - 1)] == seen.probability
    counted = np.bincount(place * 2 + seen.truth, minlength=4 * most + 4)
    counted[-1] += seen.missed
    kept = np.flatnonzero(counted)
    return counted[kept].astype(np.int64), kept // 2, (kept % 2).astype(np.bool_)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
