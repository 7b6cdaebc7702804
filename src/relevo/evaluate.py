"""Evaluation on the held-out rows: every metric with its interval, trivial baselines, and the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import stats
from relevo.encoding import encode_columns
from relevo.errors import TrainingError
from relevo.extras import need
from relevo.gate import LOWER_IS_BETTER, METRICS
from relevo.stats import Interval, Scored
from relevo.texts import t
from relevo.train import encoders as encodings
from relevo.train import threshold
from relevo.train.data import finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from relevo.train.data import TrainingSet

VERSION = 1
"""Raised when the same inputs would give another evaluation."""
BINS = 10
ALWAYS_YES = "always-yes"


@dataclass(frozen=True)
class Bin:
    """A tenth of the rows by predicted probability: its range, mean prediction, and share of positives."""

    low: float
    high: float
    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model shows on held-out rows. ``confusion`` counts ``tn``, ``fp``, ``fn`` and ``tp``."""

    rows: int
    positives: int
    threshold: float
    metrics: Mapping[str, Interval]
    confusion: Mapping[str, int]
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a metric that is undefined on these rows is null."""
        return {
            "rows": self.rows,
            "positives": self.positives,
            "threshold": self.threshold,
            "metrics": {name: _numbers(found) for name, found in self.metrics.items()},
            "confusion": dict(self.confusion),
            "bins": [_numbers(found) for found in self.bins],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Read ``to_json`` back."""
        metrics = {name: _interval(row) for name, row in data["metrics"].items()}
        bins = tuple(Bin(**row) for row in data["bins"])
        return cls(**{**data, "metrics": metrics, "bins": bins})


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Challenger minus champion on the same rows, turned so that more is better.

    ``worse(margin)`` is the share of resamples in which the challenger is worse by more than ``margin``.
    """

    metric: str
    champion: float
    challenger: float
    difference: Interval
    samples: NDArray[np.float64]

    def worse(self, margin: float) -> float:
        """P(challenger < champion - margin), from 0 to 1."""
        return float(np.mean(self.samples < -margin))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "metric": self.metric,
            "champion": self.champion,
            "challenger": self.challenger,
            "difference": _numbers(self.difference),
            "samples": [None if np.isnan(value) else value for value in self.samples.tolist()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Paired:
        """Read ``to_json`` back."""
        samples = np.array(data["samples"], np.float64)
        return cls(**{**data, "difference": _interval(data["difference"]), "samples": samples})


def evaluate(
    probability: ArrayLike,
    target: ArrayLike,
    threshold: float,
    *,
    seed: int = 0,
    resamples: int = stats.RESAMPLES,
) -> Evaluation:
    """Measure probabilities, shape (n,), against outcomes; raises ``TrainingError`` when a probability is none."""
    scored, truth = _checked(probability, target, threshold)
    values = stats.measures(scored, truth)
    samples = stats.resampled([scored], truth, seed=seed, resamples=resamples)[0]
    yes = scored.probability >= threshold
    counts = np.bincount(truth * 2 + yes, minlength=4).tolist()
    return Evaluation(
        rows=len(truth),
        positives=int(truth.sum()),
        threshold=float(threshold),
        metrics={name: stats.interval(values[name], samples[name]) for name in METRICS},
        confusion=dict(zip(("tn", "fp", "fn", "tp"), counts, strict=True)),
        bins=_bins(scored.probability, truth),
    )


def paired(
    champion: ArrayLike,
    champion_threshold: float,
    challenger: ArrayLike,
    challenger_threshold: float,
    target: ArrayLike,
    metric: str,
    *,
    seed: int = 0,
    resamples: int = stats.RESAMPLES,
) -> Paired:
    """Compare two models' probabilities of the same rows by a paired bootstrap.

    The same resampled rows go to both, so what is common to the rows cancels out (Efron & Tibshirani
    1993, section 8.3, on resampling pairs).
    """
    old, truth = _checked(champion, target, champion_threshold)
    new, _ = _checked(challenger, target, challenger_threshold)
    before, after = (stats.measures(scored, truth)[metric] for scored in (old, new))
    first, second = stats.resampled([old, new], truth, seed=seed, resamples=resamples)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    samples = sign * (second[metric] - first[metric])
    return Paired(
        metric=metric,
        champion=before,
        challenger=after,
        difference=stats.interval(sign * (after - before), samples),
        samples=samples,
    )


def baselines(
    train: TrainingSet,
    columns: Mapping[str, Any],
    target: ArrayLike,
    *,
    metric: str = "f1",
    seed: int = 0,
    resamples: int = stats.RESAMPLES,
) -> dict[str, Evaluation]:
    """What needs no model, measured on the held-out ``columns`` and ``target``.

    ``majority`` always says the commoner outcome, ``always-yes`` yes, ``prior-random`` yes as often as
    it was true in training; all three give the training prior as probability. ``tree`` is one decision
    tree of depth 2.
    """
    truth = np.asarray(target, bool)
    prior = float(train.target.mean())
    constant = np.full(len(truth), prior)
    # Turns a constant probability into decisions without touching what Brier and log loss see.
    drawn = np.random.default_rng(seed).random(len(truth)) < prior
    chance = np.where(drawn, prior, np.nextafter(prior, 0.0))
    measured = {
        "majority": (constant, 1.0 if prior < 0.5 else 0.0),  # noqa: PLR2004 - more than half
        ALWAYS_YES: (constant, 0.0),
        "prior-random": (chance, prior),
        "tree": _tree(train, columns, metric, seed),
    }
    return {
        name: evaluate(probability, truth, cut, seed=seed, resamples=resamples)
        for name, (probability, cut) in measured.items()
    }


def _tree(
    train: TrainingSet, columns: Mapping[str, Any], metric: str, seed: int
) -> tuple[NDArray[np.float64], float]:
    learned = encodings.learn(train, seed=seed)
    tree = need("sklearn.tree", "train").DecisionTreeClassifier(max_depth=2, random_state=seed)
    tree.fit(learned.matrix, train.target)
    cut = threshold.best(tree.predict_proba(learned.matrix)[:, 1], train.target, metric)
    found = tree.predict_proba(finite(encode_columns(learned.encoders, columns)))[:, 1]
    return np.asarray(found, np.float64), cut


def _bins(probability: NDArray[np.float64], target: NDArray[np.bool_]) -> tuple[Bin, ...]:
    order = np.argsort(probability, kind="stable")
    return tuple(
        Bin(
            float(probability[part[0]]),
            float(probability[part[-1]]),
            float(probability[part].mean()),
            float(target[part].mean()),
            len(part),
        )
        for part in np.array_split(order, min(BINS, len(order)))
    )


def _checked(probability: ArrayLike, target: ArrayLike, threshold: float) -> tuple[Scored, NDArray[np.bool_]]:
    found, truth = np.asarray(probability, np.float64).reshape(-1), np.asarray(target, bool)
    if len(found) != len(truth) or not len(truth):
        raise TrainingError(
            t(
                "There are {found} probabilities for {rows} outcomes, so nothing can be evaluated.",
                found=len(found),
                rows=len(truth),
            )
        )
    wrong = np.flatnonzero(~((found >= 0) & (found <= 1)))
    if len(wrong):
        raise TrainingError(
            t(
                "Row {row}: {value} is not a probability, so the model cannot be evaluated.",
                row=int(wrong[0]) + 1,
                value=found[wrong[0]],
            )
        )
    return Scored(found, float(threshold)), truth


def _numbers(found: Interval | Bin) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in vars(found).items()}  # noqa: PLR0124 - NaN


def _interval(row: Mapping[str, float | None]) -> Interval:
    return Interval(**{name: float("nan") if value is None else value for name, value in row.items()})
