"""The decision threshold: where the declared metric is best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def best(score: NDArray[np.float64], target: NDArray[np.bool_], metric: str) -> float:
    """Find the cut at which deciding ``score >= cut`` gives the best accuracy or, for any other metric, F1.

    Precision and recall alone have trivial optima (one sure row; every row), and the others do not depend
    on decisions, so they all take F1's. The cut lies midway between two scores, far from both; where
    every row is best named it is the lowest score.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.diff(ordered, append=-np.inf))
    hits = np.cumsum(target[order])[last]
    named = last + 1
    positive = np.count_nonzero(target)
    if metric == "accuracy":
        value = 2.0 * hits - named
        if value.max() < 0:
            return float(np.nextafter(ordered[0], np.inf))
    else:
        value = 2.0 * hits / (named + positive)
    at = int(last[np.argmax(value)])
    if at + 1 == len(ordered):
        return float(ordered[at])
    middle = (ordered[at] + ordered[at + 1]) / 2
    return float(middle) if ordered[at + 1] < middle else float(ordered[at])
