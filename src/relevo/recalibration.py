"""Recalibration: how outcomes follow from scores, and how much that differs from one stretch of time to another.

A model's probabilities are seldom exact on new rows, and rows of one day or week share its weather, strikes and
holidays: their outcomes scatter more than independent draws do. So the held-out rows are cut into blocks like the
windows to come. In each the log-odds of the outcome are a line in those of the score (Cox 1958, *Two further
applications of a model for binary regression*), and lines differ between blocks as normal random effects do, level and
slope each for itself: the hierarchical normal model of Gelman et al. (2013), *Bayesian Data Analysis*, section 5.4,
with a half-normal prior on the spread (Röver et al. 2021, *On weakly informative prior distributions for the
heterogeneity parameter*). A line for a block not seen yet is drawn from the posterior: the uncertainty of the mean
line, of the spread, and the spread itself are all in it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import intervals
from relevo.errors import DataError
from relevo.intervals import Level
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Block = tuple[Floats, Flags]

FAR = 30.0
"""Log-odds beyond which a probability is one or zero."""
SPREADS = (0.5, 0.25)
"""Scale of the prior on how much the levels, and the slopes, of blocks differ, in log-odds (Röver et al.'s for these).

With four blocks or more a new one's line is then inside the interval of 95 % in 94 % or more of simulated cases.
"""
SINGLE = (0.3, 0.15)
"""The same for a single block, of which nothing can be learned: what was found between weeks of real data.

Those of ``benchmarks/estimation.py`` have .3 to .5 and .1 to .2, rows without time less.
"""
WIDEST, GRID = 4.0, 400
"""The spread is sought on a grid up to so many scales."""
HOLD = 0.25
"""Precision with which a block's line is held to that of all: that of a normal prior with deviation 2."""
STEPS, CLOSE = 50, 1e-9
BINS = 20
RARER = 10
"""Rows of the rarer class that a block is to have; short ones are put together with the next."""


@dataclass(frozen=True)
class Effect:
    """One coefficient in each of K blocks, with its standard error, and the scale of the prior on their spread."""

    found: tuple[float, ...]
    errors: tuple[float, ...]
    scale: float

    def drawn(self, draws: int, generator: np.random.Generator) -> Floats:
        """Coefficients of a block not seen yet, from the posterior predictive distribution."""
        spread, mean, variance = self._posterior()
        place = generator.choice(len(spread), size=draws, p=self._weight(spread, mean, variance))
        middle = generator.normal(mean[place], np.sqrt(variance[place]))
        return np.asarray(generator.normal(middle, spread[place]), np.float64)

    @property
    def mean(self) -> float:
        """The posterior mean of the coefficient."""
        spread, mean, variance = self._posterior()
        return float(self._weight(spread, mean, variance) @ mean)

    @property
    def error(self) -> float:
        """The posterior standard deviation of the mean."""
        spread, mean, variance = self._posterior()
        weight = self._weight(spread, mean, variance)
        return math.sqrt(float(weight @ (variance + (mean - weight @ mean) ** 2)))

    @property
    def spread(self) -> float:
        """The posterior mean of the standard deviation between blocks."""
        spread, mean, variance = self._posterior()
        return float(self._weight(spread, mean, variance) @ spread)

    def _posterior(self) -> tuple[Floats, Floats, Floats]:
        """Of each spread on the grid: itself, and the mean's mean and variance given it (BDA3, 5.20)."""
        spread = np.linspace(0, max(WIDEST * self.scale, 2 * float(np.std(self.found))), GRID)
        precision = 1 / (np.square(self.errors)[None, :] + spread[:, None] ** 2)
        variance = 1 / precision.sum(axis=1)
        return spread, variance * (precision @ np.array(self.found)), variance

    def _weight(self, spread: Floats, mean: Floats, variance: Floats) -> Floats:
        """The posterior probability of each spread (BDA3, 5.21)."""
        every = np.square(self.errors)[None, :] + spread[:, None] ** 2
        off = (np.array(self.found)[None, :] - mean[:, None]) ** 2
        log = np.log(variance) / 2 - (np.log(every) + off / every).sum(axis=1) / 2
        log -= (spread / self.scale) ** 2 / 2
        weight = np.exp(log - log.max())
        return np.asarray(weight / weight.sum(), np.float64)


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """What the held-out rows say of new ones: log-odds of the outcome = level + slope · (score's - ``centre``).

    ``edges`` cut the reference's scores, as log-odds, into bins, ``counts`` of rows each; ``lowest`` and ``highest``
    are the ends. ``misfit`` is the lower limit of the calibration error that the mean line leaves, as a share of the
    rate of positives.
    """

    rows: int
    positives: int
    centre: float
    level: Effect
    slope: Effect
    misfit: float
    lowest: float
    highest: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def blocks(self) -> int:
        """How many there were."""
        return len(self.level.found)

    def drawn(self, log_odds: Floats, draws: int, generator: np.random.Generator) -> Floats:
        """Probabilities of the outcome at each of C scores in ``draws`` blocks not seen yet, (draws, C)."""
        level, slope = (effect.drawn(draws, generator)[:, None] for effect in (self.level, self.slope))
        return sigmoid(level + slope * (log_odds - self.centre)[None, :])

    def mean(self, log_odds: Floats) -> Floats:
        """Probabilities by the mean line."""
        return sigmoid(self.level.mean + self.slope.mean * (log_odds - self.centre))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Recalibration:
        """Read ``to_json`` back."""
        effects = {
            name: Effect(tuple(data[name]["found"]), tuple(data[name]["errors"]), data[name]["scale"])
            for name in ("level", "slope")
        }
        lists = {name: tuple(data[name]) for name in ("edges", "counts")}
        return cls(**{**data, **effects, **lists})


def recalibrate(blocks: Sequence[Block]) -> Recalibration:
    """Learn from blocks of probabilities and outcomes on rows that the model did not learn from.

    Rows without time are one block: how much other stretches differ is then left to the prior. Windows that were
    realised meanwhile are blocks too. Raises ``DataError`` when there are not both outcomes.
    """
    p, y = (np.concatenate([block[place] for block in blocks]) for place in (0, 1)) if blocks else _none()
    positives = int(np.count_nonzero(y))
    if not 0 < positives < len(y):
        raise DataError(
            t(
                "{positives} of {rows} held-out rows are positive, so nothing can be learned of new ones. Both outcomes"
                " are needed.",
                positives=positives,
                rows=len(y),
            )
        )
    x = log_odds(p)
    pooled, _ = _line(x, y.astype(np.float64), np.zeros(2), np.full(2, 1e-6))
    fitted = sigmoid(pooled[0] + pooled[1] * x)
    told = fitted * (1 - fitted)
    centre = float(told @ x / told.sum())
    middle = np.array([pooled[0] + pooled[1] * centre, pooled[1]])
    lines = [_line(log_odds(b) - centre, o.astype(np.float64), middle, np.full(2, HOLD)) for b, o in blocks]
    effects = [
        Effect(
            tuple(float(line[place]) for line, _ in lines),
            tuple(math.sqrt(covariance[place, place]) for _, covariance in lines),
            scale,
        )
        for place, scale in enumerate(SPREADS if len(blocks) > 1 else SINGLE)
    ]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1)
    left = intervals.calibration_error(fitted, y, Level(0.95)).low
    return Recalibration(
        rows=len(y),
        positives=positives,
        centre=centre,
        level=effects[0],
        slope=effects[1],
        misfit=left * len(y) / positives,
        lowest=float(x.min()),
        highest=float(x.max()),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
    )


def _none() -> Block:
    return np.empty(0), np.empty(0, bool)


def log_odds(probability: Floats) -> Floats:
    """Of probabilities, no farther than ``FAR``."""
    with np.errstate(divide="ignore"):
        found: Floats = np.log(probability) - np.log1p(-probability)
    return np.clip(found, -FAR, FAR)


def sigmoid(value: Floats) -> Floats:
    """The logistic function."""
    found: Floats = 1 / (1 + np.exp(-np.clip(value, -2 * FAR, 2 * FAR)))
    return found


def _line(x: Floats, y: Floats, held: Floats, hold: Floats) -> tuple[Floats, Floats]:
    """Level and slope of a logistic regression held to a line, by Newton's method; with their covariance."""
    design = np.stack([np.ones_like(x), x], axis=1)

    def lost(line: Floats) -> float:
        linear = design @ line
        return float(np.logaddexp(0, linear).sum() - y @ linear + hold @ (line - held) ** 2 / 2)

    line, before = held.copy(), lost(held)
    for _ in range(STEPS):
        fitted = sigmoid(design @ line)
        slope = design.T @ (y - fitted) - hold * (line - held)
        curve = (design.T * (fitted * (1 - fitted))) @ design + np.diag(hold)
        step = np.linalg.solve(curve, slope)
        while (after := lost(line + step)) > before + CLOSE and np.abs(step).max() > CLOSE:
            step = step / 2
        line, before = line + step, after
        if np.abs(step).max() < CLOSE:
            break
    fitted = sigmoid(design @ line)
    curve = (design.T * (fitted * (1 - fitted))) @ design + np.diag(hold)
    return line, np.asarray(np.linalg.inv(curve), np.float64)


def blocks_of(probability: Floats, outcome: Flags, stretch: NDArray[Any]) -> list[Block]:
    """Cut rows into blocks by what ``stretch`` says of each, in its order; short ones go together with the next.

    A block has ``RARER`` rows of the rarer class at least, which is the least that gives it a line of its own.
    """
    order = np.argsort(stretch, kind="stable")
    ordered = stretch[order]
    stretches = np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)
    found: list[NDArray[np.int64]] = []
    waiting: list[NDArray[np.int64]] = []
    for rows in stretches:
        waiting.append(rows)
        own = np.concatenate(waiting)
        positives = int(np.count_nonzero(outcome[own]))
        if min(positives, len(own) - positives) >= RARER:
            found.append(own)
            waiting = []
    if waiting:
        rest = np.concatenate(waiting)
        found = [*found[:-1], np.concatenate([found[-1], rest])] if found else [rest]
    return [(probability[rows], outcome[rows]) for rows in found]
