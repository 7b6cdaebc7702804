"""Training: search, calibrate, choose the threshold, then refit on every training row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
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
    root: Path = Path(),
    progress: Callable[[Trial], None] | None = None,
    run: str = "",
    at_once: int | None = None,
) -> Made:
    """All that learns from outcomes; called within ``algorithms.steady``. ``at_once`` fits run side by side."""
    algorithm = algorithms.of(candidate, root)
    parts = tuning.folds(data, seed=budget.seed, texts=algorithm.TEXTS)
    found, trials = tuning.search(
        candidate, algorithm, budget, metric, parts, progress=progress, run=run, at_once=at_once
    )
    rounds = scaled_rounds(found.rounds, [len(part.learned.target) for part in parts], len(data))
    rounds = min(rounds, found.settings.get("n_estimators", rounds))
    learned = encoders.learn(data, seed=budget.seed, texts=algorithm.TEXTS)
    whole = Sample(learned.matrix, data.target, data.names)
    model = algorithm.learn(whole, found.settings, seed=budget.seed, rounds=rounds)
    a, b = calibration.platt(found.margin, found.target)
    probability = calibration.probability(found.margin, a, b)
    cut = min(1.0, max(0.0, threshold.best(probability, found.target, metric)))
    return Made(found, trials, learned.encoders, model, a, b, cut)


def train(
    candidate: Candidate,
    budget: Tuning,
    metric: str,
    data: TrainingSet,
    *,
    root: Path = Path(),
    progress: Callable[[Trial], None] | None = None,
    run: str = "",
) -> Fit:
    """Find the candidate's best settings and fit them on all of ``data``, the newest rows included.

    Calibration and threshold come from the chosen trial's out-of-fold margins, so no row helps to judge
    a model that has seen it. Raises ``TrainingError`` for settings that are unknown or cannot be fitted, and
    before any search for what cannot be exported. ``root`` is the project's folder.
    """
    algorithm = algorithms.of(candidate, root)
    with algorithms.steady(quiet=candidate.source is not None):
        if candidate.source is not None:
            last = tuning.folds(data, seed=budget.seed, texts=algorithm.TEXTS)[-1].learned
            algorithm.rehearse(last, tuning.space(candidate, algorithm), seed=budget.seed)
        made = make(candidate, budget, metric, data, root=root, progress=progress, run=run)
        native = made.model.native()
        onnx = made.model.to_onnx(native, len(made.encoders))
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
        onnx=onnx,
        calibration={"a": made.a, "b": made.b},
        threshold=made.threshold,
        score=found.score,
        training_score=found.training_score,
        gap=found.gap,
        penalised=found.penalised,
        trials=made.trials,
    )


def native(
    fit: Fit, candidate: Candidate, budget: Tuning, data: Callable[[], TrainingSet], root: Path = Path()
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Log-odds, (n,), of an encoded matrix by the fitted model itself, in whatever process.

    ``data`` gives the training rows again, for models that are fitted anew.
    """
    algorithm = algorithms.of(candidate, root)

    def refit() -> Model:
        rows = data()
        learned = encoders.learn(rows, seed=budget.seed, texts=algorithm.TEXTS)
        sample = Sample(learned.matrix, rows.target, rows.names)
        return algorithm.learn(sample, fit.settings, seed=budget.seed, rounds=fit.rounds)

    quiet = candidate.source is not None
    with algorithms.steady(quiet=quiet):
        margin = algorithm.revive(fit.native, refit)

    def steadily(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        with algorithms.steady(quiet=quiet):
            return margin(matrix)

    return steadily


def scaled_rounds(best: Sequence[int], rows: Sequence[int], total: int) -> int:
    """Rounds for ``total`` rows from the best rounds on fewer: the mean of best · √(total / rows).

    More rows bear more rounds. Practice either adds a tenth to what five folds stop at or scales with
    the rows, which adds a quarter; the square root lies between the two and, unlike the latter, stays
    moderate for the first, short blocks of a time split.
    """
    scaled = [count * math.sqrt(total / size) for count, size in zip(best, rows, strict=True)]
    return round(sum(scaled) / len(scaled))
