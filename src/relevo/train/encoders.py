"""Category encodings: a level becomes the smoothed mean of the outcome among its rows.

The mean of n rows is drawn toward the prior as if m further rows had it (Micci-Barreca 2001, *A
preprocessing scheme for high-cardinality categorical attributes in classification and prediction
problems*, SIGKDD Explorations 3(1), the weight n / (m + n)); m comes from the data, by the moments of
the beta-binomial distribution (Kleinman 1973, *Proportions with extraneous variance*, JASA 68). What a
model learns from is encoded by other rows than the row itself, as scikit-learn's ``TargetEncoder``
does; what it is asked later is encoded by all.

An estimator that brings an encoder of its own is given codes instead: 0 for null, 1 … for the levels in text
order, and the next number for any other text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.encoding import Encoder
from relevo.train.data import NULL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from relevo.candidates import Texts
    from relevo.sql import Column
    from relevo.train.data import TrainingSet

    Matrix = NDArray[np.float32]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

CROSSES = 5
"""Parts in which learned rows are cut; each is encoded by the others."""
LIMITS = 1.0, 1000.0
"""Rows that the prior may weigh."""


@dataclass(frozen=True)
class Sample:
    """Encoded rows and their outcomes, and the features' names where an algorithm may ask for columns by name.

    ``prepared`` is where an algorithm keeps its own form of them.
    """

    matrix: Matrix
    target: Flags
    names: tuple[str, ...] = ()
    prepared: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Learned:
    """Encoders fitted on all learned rows, and those rows encoded without their own outcome."""

    encoders: tuple[Encoder, ...]
    matrix: Matrix


def learn(data: TrainingSet, rows: Numbers | None = None, *, seed: int = 0, texts: Texts = "mean") -> Learned:
    """Fit encoders on ``rows`` (all when None) and encode these rows, each by other rows than itself."""
    rows = np.arange(len(data)) if rows is None else rows
    if texts == "code":
        coded = tuple(_codes(data, feature, rows) for feature in data.features)
        return Learned(coded, encode(data, coded, rows))
    target = data.target[rows]
    prior = float(target.mean())
    cross = np.random.default_rng(seed).permutation(len(rows)) % CROSSES
    encoders, matrix = [], data.numbers[rows]
    for place, feature in enumerate(data.features):
        if feature.type != "text":
            encoders.append(Encoder(feature.name, feature.type))
            continue
        levels, codes = data.texts[feature.name]
        means = _means(codes[rows], target, len(levels))
        known = np.bincount(codes[rows] + 1, minlength=len(levels) + 1) > 0
        encoders.append(
            Encoder(
                feature.name,
                "text",
                {level: float(means[at + 1]) for at, level in enumerate(levels) if known[at + 1]},
                unseen=prior,
                null=float(means[NULL + 1]),
            )
        )
        for part in range(CROSSES):
            own = cross == part
            others = _means(codes[rows][~own], target[~own], len(levels))
            matrix[own, place] = others[codes[rows][own] + 1]
    return Learned(tuple(encoders), matrix)


def _codes(data: TrainingSet, feature: Column, rows: Numbers) -> Encoder:
    if feature.type != "text":
        return Encoder(feature.name, feature.type)
    levels, codes = data.texts[feature.name]
    known = [levels[at] for at in np.unique(codes[rows]) if at != NULL]
    numbers = {level: float(code) for code, level in enumerate(known, 1)}
    return Encoder(feature.name, "text", numbers, unseen=float(len(known) + 1), null=0.0)


def encode(data: TrainingSet, encoders: tuple[Encoder, ...], rows: Numbers) -> Matrix:
    """Encode training rows as a model will meet new ones."""
    matrix = data.numbers[rows]
    for place, encoder in enumerate(encoders):
        if encoder.levels is not None:
            levels, codes = data.texts[encoder.feature]
            unseen, null = encoder.unseen, encoder.null
            numbers = np.array([null, *(encoder.levels.get(level, unseen) for level in levels)], np.float64)
            matrix[:, place] = numbers[codes[rows] + 1]
    return matrix


def _means(codes: Numbers, target: Flags, levels: int) -> Floats:
    """Smoothed mean of each level, null first; the mean of all for levels without rows."""
    count = np.bincount(codes + 1, minlength=levels + 1).astype(np.float64)
    positive = np.bincount(codes + 1, weights=target, minlength=levels + 1).astype(np.float64)
    weight = _weight(count[count > 0], positive[count > 0])
    means: Floats = (positive + weight * target.mean()) / (count + weight)
    return means


def _weight(count: Floats, positive: Floats) -> float:
    """The m that fits how far the levels' shares spread beyond what chance does (Kleinman 1973).

    With weights w_i = n_i / N the expected spread S of the shares around their mean p is
    p(1-p) [Σ w_i (1 - w_i) / n_i + r Σ w_i (1 - w_i) (1 - 1/n_i)], and m = 1/r - 1.
    """
    total = count.sum()
    mean = positive.sum() / total
    share, weight = positive / count, count / total
    variance = mean * (1 - mean)
    by_chance = variance * np.sum(weight * (1 - weight) / count)
    beyond = variance * np.sum(weight * (1 - weight) * (1 - 1 / count))
    spread = np.sum(weight * (share - mean) ** 2)
    if beyond <= 0 or spread <= by_chance:
        return LIMITS[1]
    return float(np.clip(beyond / (spread - by_chance) - 1, *LIMITS))
