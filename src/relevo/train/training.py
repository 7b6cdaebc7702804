"""Training: search, calibrate, choose the threshold, then refit on every training row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo.train import algorithms, calibration, encoders, threshold, tuning
from relevo.train.encoders import Sample
from relevo.train.fit import Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from relevo.candidates import Candidate, Tuning
    from relevo.encoding import Encoder
    from relevo.records import Trial
    from relevo.train.algorithms import Model
    from relevo.train.data import TrainingSet
    from relevo.train.tuning import Found


@dataclass(frozen=True)
class Made:
    """The candidate's best trial, fitted on all rows it was given, with calibration ``a``, ``b`` and threshold."""

    found: Found
    trials: tuple[Trial, ...]
    encoders: tuple[Encoder, ...]
    model: Model
    a: float
    b: float
    threshold: float


def make(
    candidate: Candidate,
    budget: Tuning,
    metric: str,
    data: TrainingSet,
    *,
    progress: Callable[[Trial], None] | None = None,
    run: str = "",
    at_once: int | None = None,
) -> Made:
    """All that learns from outcomes; called within ``algorithms.steady``. ``at_once`` fits run side by side."""
    algorithm = algorithms.get(candidate.algorithm)
    parts = tuning.folds(data, seed=budget.seed)
    found, trials = tuning.search(
        candidate, algorithm, budget, metric, parts, progress=progress, run=run, at_once=at_once
    )
    rounds = scaled_rounds(found.rounds, [len(part.learned.target) for part in parts], len(data))
    rounds = min(rounds, found.settings.get("n_estimators", rounds))
    learned = encoders.learn(data, seed=budget.seed)
    whole = Sample(learned.matrix, data.target)
    model = algorithm.learn(whole, found.settings, seed=budget.seed, rounds=rounds)
    a, b = calibration.platt(found.margin, found.target)
    probability = calibration.probability(found.margin, a, b)
    cut = min(1.0, threshold.best(probability, found.target, metric))
    return Made(found, trials, learned.encoders, model, a, b, cut)


def train(
    candidate: Candidate,
    budget: Tuning,
    metric: str,
    data: TrainingSet,
    *,
    progress: Callable[[Trial], None] | None = None,
    run: str = "",
) -> Fit:
    """Find the candidate's best settings and fit them on all of ``data``, the newest rows included.

    Calibration and threshold come from the chosen trial's out-of-fold margins, so no row helps to judge
    a model that has seen it. Raises ``TrainingError`` for settings that are unknown or cannot be fitted.
    """
    algorithm = algorithms.get(candidate.algorithm)
    with algorithms.steady():
        made = make(candidate, budget, metric, data, progress=progress, run=run)
        native = made.model.native()
    found = made.found
    return Fit(
        candidate=candidate.name,
        algorithm=candidate.algorithm,
        metric=metric,
        settings=found.settings,
        rounds=made.model.rounds,
        encoders=made.encoders,
        native=native,
        native_format=algorithm.FORMAT,
        onnx=algorithm.to_onnx(native, len(made.encoders)),
        calibration={"a": made.a, "b": made.b},
        threshold=made.threshold,
        score=found.score,
        training_score=found.training_score,
        gap=found.gap,
        penalised=found.penalised,
        trials=made.trials,
    )


def native_margin(fit: Fit, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds, shape (n,), of an encoded matrix by the model's own library."""
    return algorithms.get(fit.algorithm).margin(fit.native, matrix)


def scaled_rounds(best: Sequence[int], rows: Sequence[int], total: int) -> int:
    """Rounds for ``total`` rows from the best rounds on fewer: the mean of best · √(total / rows).

    More rows bear more rounds. Practice either adds a tenth to what five folds stop at or scales with
    the rows, which adds a quarter; the square root lies between the two and, unlike the latter, stays
    moderate for the first, short blocks of a time split.
    """
    scaled = [count * math.sqrt(total / size) for count, size in zip(best, rows, strict=True)]
    return round(sum(scaled) / len(scaled))
