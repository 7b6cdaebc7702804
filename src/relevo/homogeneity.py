"""Tests of homogeneity: how likely two samples over the same bins are to differ so much if nothing changed.

The rows of a sample are taken to be independent. Counts are matrices (features, bins), padded with zeros.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from relevo.distances import Samples

if TYPE_CHECKING:
    from relevo.distances import Counts, Floats

LEAST = 5.0
"""Rows that a bin of the chi-square test is expected to have in either sample, or it is joined with its neighbour."""
_ROUNDED = 1e-9


def p_values(reference: Counts, current: Counts) -> Floats:
    """The p-value, (features,), of one distribution on both sides; 1 where nothing can be said.

    It is the chi-square test, by Pearson's statistic or the likelihood ratio's, whichever is smaller: where few rows
    are expected the first is too often great because of many, the second because of none. Neighbouring bins are joined
    until each is expected to have ``LEAST`` rows in either sample (Cochran 1954, *Some methods for strengthening the
    common chi-square tests*). Where that leaves one bin, it is Fisher's exact test of the fullest bin against the
    others.
    """
    r, c = _joined(reference, current)
    samples = Samples.of(r, c)
    p, q, expected = samples.p, samples.q, samples.pooled
    filled = expected > 0
    squares = (
        np.divide((q - p) ** 2, expected, out=np.zeros_like(expected), where=filled).sum(axis=1)
        / samples.noise
    )
    logs = [np.log(np.divide(part, expected, out=np.ones_like(expected), where=part > 0)) for part in (p, q)]
    ratio = 2 * (samples.n * p * logs[0] + samples.m * q * logs[1]).sum(axis=1)
    statistic = np.minimum(squares, ratio)
    freedom = filled.sum(axis=1) - 1
    found = np.ones(len(r))
    for place, degrees in enumerate(freedom.tolist()):
        if degrees > 0:
            found[place] = exceeded(float(statistic[place]), degrees)
        else:
            fullest = int((reference[place] + current[place]).argmax())
            rows = int(reference[place].sum()), int(current[place].sum())
            found[place] = fisher(
                int(reference[place, fullest]), rows[0], int(current[place, fullest]), rows[1]
            )
    return found


def fisher(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    """Fisher's exact test that two shares are one: the probability of all tables that are no likelier, two-sided."""
    total, whole = hits + other_hits, rows + other_rows
    rest = whole - total
    if total < rest:  # count what is rarer, of which there are fewer tables
        rare, seen = total, other_hits
    else:
        rare, seen = rest, other_rows - other_hits
    least, most = max(0, rare - rows), min(rare, other_rows)
    logs = [
        _choose(other_rows, count) + _choose(rows, rare - count) - _choose(whole, rare)
        for count in range(least, most + 1)
    ]
    limit = logs[seen - least] + _ROUNDED
    found = sum(math.exp(one) for one in logs if one <= limit)
    return found if found < 1 - _ROUNDED else 1.0


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _joined(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    both = np.stack([reference, current]).astype(np.int64)
    rows = both.sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        smaller = np.nan_to_num(rows.min(axis=0) / rows.sum(axis=0))
    joined = np.zeros_like(both)
    open_ = np.zeros_like(both[:, :, 0])
    last = np.zeros(both.shape[1], dtype=np.int64)
    features = np.arange(both.shape[1])
    for place in range(both.shape[2]):
        open_ += both[:, :, place]
        full = open_.sum(axis=0) * smaller >= LEAST
        joined[:, full, place] = open_[:, full]
        last[full] = place
        open_[:, full] = 0
    joined[:, features, last] += open_  # what is left goes to the last that is full
    return joined[0], joined[1]


def exceeded(x: float, freedom: int) -> float:
    """The probability that a chi-square of ``freedom`` exceeds x (Abramowitz & Stegun 1964, 26.4.4 and 26.4.5)."""
    half = x / 2
    if freedom % 2:
        found, order = math.erfc(math.sqrt(half)), 0.5
    else:
        found, order = math.exp(-half), 1.0
    while order < freedom / 2 and half > 0:
        found += math.exp(order * math.log(half) - half - math.lgamma(order + 1))
        order += 1
    return min(1.0, found)
