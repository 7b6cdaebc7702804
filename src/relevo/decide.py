"""Decide: calibrated probabilities of a whole population become decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """A threshold, how many rows are positive by it, and the F1 to be expected of that."""

    threshold: float
    positive: int
    expected_f1: float


def cut_at(probability: ArrayLike, threshold: float) -> Cut:
    """What a given threshold names, and its expected F1; see ``expected_f1``."""
    p = np.asarray(probability, np.float64)
    named = p >= threshold
    count, whole = int(np.count_nonzero(named)), float(p.sum())
    return Cut(
        float(threshold), count, 2 * float(p[named].sum()) / (count + whole) if count + whole > 0 else 0.0
    )


def expected_f1(probability: ArrayLike) -> Cut:
    """Find the threshold that maximises expected F1, from calibrated probabilities of n independent rows.

    The k likeliest rows are named (Lewis 1995), and F1's expectation is taken as the ratio of expectations,
    ``2 · Σ_{i≤k} p_i / (k + Σ p)``, which n makes exact (Ye et al. 2012, theorem 4). Rows with one
    probability are named together or not at all, and the threshold lies midway between the last named
    and the first unnamed probability; half the F1 that is reached does so too (Lipton, Elkan &
    Naryanaswamy 2014, theorem 1). Where no row can be positive, none is named, by a threshold of 1.
    """
    ordered = -np.sort(-np.asarray(probability, np.float64))
    whole = float(ordered.sum())
    if whole <= 0:
        return Cut(1.0, 0, 0.0)
    last = np.flatnonzero(np.diff(ordered, append=-1.0))
    value = 2 * np.cumsum(ordered)[last] / (last + 1 + whole)
    best = int(np.argmax(value))
    at = int(last[best])
    return Cut(_between(ordered, at), at + 1, float(value[best]))


def _between(ordered: Floats, at: int) -> float:
    """A threshold that names the rows up to ``at`` and no other."""
    if at + 1 == len(ordered):
        return float(ordered[at])
    middle = (ordered[at] + ordered[at + 1]) / 2
    return float(middle) if ordered[at + 1] < middle else float(ordered[at])


def top_k(probability: ArrayLike, groups: ArrayLike, k: int) -> Flags:
    """Name the ``k`` likeliest rows of each group; of equal ones, those that come first."""
    p, group = np.asarray(probability, np.float64), np.asarray(groups)
    order = np.lexsort((-p, group))  # stable, so that equal rows stay in order
    ordered = group[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(p) else np.empty(0, np.int64)
    sizes = np.diff(np.append(starts, len(p)))
    place = np.arange(len(p)) - np.repeat(starts, sizes)
    named = np.zeros(len(p), np.bool_)
    named[order[place < k]] = True
    return named


def decide(
    decision: Mapping[str, Any], probability: ArrayLike, *, threshold: float, groups: ArrayLike | None = None
) -> Flags:
    """Decide each row of a population by a package's decision rule.

    ``decision`` is the manifest's entry and ``threshold`` the package's, which ``Costs`` fixed already.
    ``groups`` has each row's value of the field ``by``, as numbers or texts; ``top_k`` alone needs it.
    """
    p = np.asarray(probability, np.float64)
    if decision["rule"] == "top_k":
        if groups is None:
            raise ValueError("top_k needs the groups")
        return top_k(p, groups, int(decision["k"]))
    cut = expected_f1(p).threshold if decision["rule"] == "expected_f1" else threshold
    named: Flags = p >= cut
    return named
