"""Nested cross-validation: a candidate is made anew without each fold, which it then answers.

Tuning, calibration and the threshold see the other folds alone, and are cut by these; so the answers are
those of the whole procedure to rows it has not seen (Cawley & Talbot 2010).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.encoding import encode_columns
from relevo.train import algorithms, calibration
from relevo.train.data import finite, taken
from relevo.train.training import make

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from relevo.candidates import Candidate, Tuning
    from relevo.train.data import TrainingSet

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class OutOfFold:
    """A candidate's answers in R repeats of K folds: ``probability`` (R, n) of n rows.

    Of the R · K models that gave them there are the ``threshold`` (R, K) and, for the choice between
    candidates, the ``penalised`` score (R, K).
    """

    probability: Floats
    threshold: Floats
    penalised: Floats

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: value.tolist() for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> OutOfFold:
        """Read ``to_json`` back."""
        return cls(**{name: np.array(value, np.float64) for name, value in data.items()})


def out_of_fold(
    candidate: Candidate,
    budget: Tuning,
    metric: str,
    data: TrainingSet,
    folds: Numbers,
    *,
    root: Path = Path(),
    progress: Callable[[int, int], None] | None = None,
) -> OutOfFold:
    """Answer every row in every repeat; ``folds`` (R, n) numbers the folds of each repeat from 0 to K - 1.

    The models are made side by side on all processors, each on its own, and do not depend on how many there are.
    ``progress`` is told how many are made, of how many.
    """
    repeats, count = len(folds), int(folds.max()) + 1
    probability = np.empty(folds.shape)
    threshold, penalised = np.empty((repeats, count)), np.empty((repeats, count))

    def judge(place: tuple[int, int]) -> None:
        repeat, fold = place
        others, own = np.flatnonzero(folds[repeat] != fold), np.flatnonzero(folds[repeat] == fold)
        made = make(candidate, budget, metric, data.take(others, folds[repeat][others]), root=root, at_once=1)
        columns = {feature.name: taken(data.columns[feature.name], own) for feature in data.features}
        margin = made.model.margin(finite(encode_columns(made.encoders, columns)))
        probability[repeat, own] = calibration.probability(margin, made.a, made.b)
        threshold[place], penalised[place] = made.threshold, made.found.penalised

    places = [(repeat, fold) for repeat in range(repeats) for fold in range(count)]
    quiet = candidate.source is not None
    with algorithms.steady(quiet=quiet), ThreadPoolExecutor(algorithms.workers(len(data))) as pool:
        for done, _ in enumerate(pool.map(judge, places), 1):
            if progress is not None:
                progress(done, len(places))
    return OutOfFold(probability, threshold, penalised)
