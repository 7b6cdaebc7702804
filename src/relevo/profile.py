"""The reference profile: how the features and the score are distributed in what was learned from.

Drift is measured from it later, so it is kept with the model as counts over fixed bins.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.sql import Column

VERSION = 3
"""Raised when the same rows would give another profile."""
QUANTILES = 10
LEVELS = 20
SCORE_BINS = 20


def profile(
    features: Sequence[Column],
    columns: Mapping[str, Any],
    score: NDArray[np.float64],
    pairs: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Count each feature's values over its bins, and ``score`` over equal bins from 0 to 1 and between its quantiles.

    ``pairs`` are features that are to be counted together later.
    """
    found = {column.name: _feature(column, columns[column.name]) for column in features}
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    counts = np.histogram(score, edges)[0].tolist()
    return {
        "features": found,
        "score": {
            "edges": edges[1:-1].tolist(),
            "counts": counts,
            "rows": len(score),
            "mean": float(score.mean()),
            "quantiles": _number(score),
        },
        "pairs": [list(pair) for pair in pairs],
    }


def _feature(column: Column, values: Any) -> dict[str, Any]:
    if column.type == "text":
        return {"type": column.type, **_levels(values)}
    numbers = np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)
    known = numbers[~np.isnan(numbers)]
    nulls = len(numbers) - len(known)
    if column.type == "boolean":
        return {
            "type": column.type,
            "true": int(known.sum()),
            "false": int(len(known) - known.sum()),
            "null": nulls,
        }
    if not len(known):
        return {"type": column.type, "edges": [], "counts": [0], "null": nulls}
    return {"type": column.type, **_number(known), "null": nulls}


def _number(known: NDArray[np.float64]) -> dict[str, Any]:
    """Cut numbers at their quantiles, count them, and give their range."""
    finite = known[np.isfinite(known)]
    edges = _edges(finite) if len(finite) else np.array([])
    places = np.searchsorted(edges, known, side="right")
    counted = np.bincount(places, minlength=len(edges) + 1).tolist()
    found = {"edges": edges.tolist(), "counts": counted}
    return found | {"min": float(finite.min()), "max": float(finite.max())} if len(finite) else found


def _edges(finite: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quantiles; a value that is several of them, such as zero of a count, has a bin of its own."""
    values, times = np.unique(np.quantile(finite, np.linspace(0, 1, QUANTILES + 1)[1:-1]), return_counts=True)
    found: NDArray[np.float64] = np.unique(np.append(values, np.nextafter(values[times > 1], np.inf)))
    return found


def _levels(values: Any) -> dict[str, Any]:
    hidden = np.ma.getmaskarray(np.ma.asarray(values))
    texts = [None if null else value for value, null in zip(np.ma.getdata(values), hidden, strict=True)]
    counts = Counter(text for text in texts if text is not None)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LEVELS]
    other = counts.total() - sum(count for _, count in top)
    return {"levels": dict(top), "other": other, "null": len(texts) - counts.total()}
