"""The decision threshold: where the declared metric is best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


NEAR = 1e-8
"""Scores this near count as one: a forest gives few distinct ones, which sums in another order set 1e-16 apart,
and a cut between those would decide otherwise from one processor to the next."""


def best(score: NDArray[np.float64], target: NDArray[np.bool_], metric: str) -> float:
    """Find the cut at which deciding ``score >= cut`` gives the best accuracy or, for any other metric, F1.

    Precision and recall alone have trivial optima (one sure row; every row), and the others do not depend
    on decisions, so they all take F1's. The cut lies midway between two scores, far from both and at least
    half of ``NEAR``; where every row is best named, that far below the lowest.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.diff(ordered, append=-np.inf) < -NEAR)
    hits = np.cumsum(target[order])[last]
    named = last + 1
    positive = np.count_nonzero(target)
    if metric == "accuracy":
        value = 2.0 * hits - named
        if value.max() < 0:
            return max(float(ordered[0]) + NEAR / 2, float(np.nextafter(ordered[0], np.inf)))
    else:
        value = 2.0 * hits / (named + positive)
    at = int(last[np.argmax(value)])
    if at + 1 == len(ordered):
        return float(ordered[at]) - NEAR / 2
    middle = (ordered[at] + ordered[at + 1]) / 2
    return float(middle) if ordered[at + 1] < middle else float(ordered[at])
