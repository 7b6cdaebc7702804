"""Tuning: a seeded search over a candidate's settings, judged out of fold."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import stats
from relevo.candidates import is_range
from relevo.errors import TrainingError
from relevo.extras import need
from relevo.gate import LOWER_IS_BETTER, METRICS
from relevo.records import Trial
from relevo.texts import t
from relevo.train import algorithms, calibration, encoders, threshold
from relevo.train.encoders import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from relevo.candidates import Candidate, Setting, Texts, Tuning
    from relevo.train.algorithms import Algorithm
    from relevo.train.data import TrainingSet

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Attempt = tuple[Floats, Floats, int]

STARTUP = 5
"""Trials drawn at random before the search models what it has seen, and before any is pruned."""
TRAINING_ROWS = 4000
"""Rows of each fold on which the training score is measured: enough for two decimals."""


@dataclass(frozen=True)
class Fold:
    """What is learned from and what validates it, encoded; ``check`` is a part of the former."""

    learned: Sample
    validated: Sample
    check: Sample


@dataclass(frozen=True)
class Found:
    """The best trial: its settings, scores, out-of-fold margins and best rounds for each fold."""

    settings: Mapping[str, Any]
    score: float
    training_score: float
    penalised: float
    margin: Floats
    target: Flags
    rounds: tuple[int, ...]

    @property
    def gap(self) -> float:
        """Training score less score."""
        return self.training_score - self.score


def folds(data: TrainingSet, *, seed: int, texts: Texts = "mean") -> tuple[Fold, ...]:
    """Encode every fold once, for all trials."""
    made = []
    for learned_rows, validated_rows in data.folds:
        learned = encoders.learn(data, learned_rows, seed=seed, texts=texts)
        target = data.target[learned_rows]
        some = np.random.default_rng(seed).permutation(len(target))[:TRAINING_ROWS]
        validated = encoders.encode(data, learned.encoders, validated_rows)
        made.append(
            Fold(
                Sample(learned.matrix, target, data.names),
                Sample(validated, data.target[validated_rows], data.names),
                Sample(learned.matrix[some], target[some], data.names),
            )
        )
    return tuple(made)


def space(candidate: Candidate, algorithm: Algorithm) -> dict[str, Setting]:
    """The usual space with the candidate's own settings in place; raises ``TrainingError`` for unknown ones."""
    own: dict[str, Setting] = {}
    for spelling, value in candidate.settings.items():
        name = algorithm.ALIASES.get(spelling, spelling)
        if name not in algorithm.KNOWN:
            raise TrainingError(
                t(
                    "{candidate}: {setting} is not a setting of {algorithm}. Known: {known}.",
                    candidate=candidate.name,
                    setting=spelling,
                    algorithm=candidate.algorithm,
                    known=", ".join(sorted(algorithm.KNOWN)),
                )
            )
        if name in own:
            raise TrainingError(
                t(
                    "{candidate}: {setting} is given twice, once by another name.",
                    candidate=candidate.name,
                    setting=name,
                )
            )
        _check_range(candidate.name, spelling, value)
        own[name] = value
    return {**algorithm.SPACE, **own}


def search(
    candidate: Candidate,
    algorithm: Algorithm,
    tuning: Tuning,
    metric: str,
    parts: tuple[Fold, ...],
    *,
    progress: Callable[[Trial], None] | None = None,
    run: str = "",
    at_once: int | None = None,
) -> tuple[Found, tuple[Trial, ...]]:
    """Try settings until the budget is spent; with ``seconds`` unset the clock has no part in it.

    The sampler is TPE (Bergstra et al. 2011), the pruner the median of earlier trials at the same fold.
    ``at_once`` is how many folds are fitted side by side, by default as many as the processors bear.
    """
    if metric not in METRICS:
        raise TrainingError(
            t("There is no metric {metric}. Choose one of {known}.", metric=metric, known=", ".join(METRICS))
        )
    wanted = space(candidate, algorithm)
    searched = any(isinstance(value, tuple | list) for value in wanted.values())
    study = _study(tuning.seed, _first(wanted, algorithm))
    best: Found | None = None
    trials: list[Trial] = []
    begun = time.perf_counter()
    while len(trials) < (tuning.trials if searched else 1) or not trials:
        started = time.perf_counter()
        drawn = study.ask()
        settings = {name: _draw(drawn, name, value, algorithm) for name, value in wanted.items()}
        found = _validate(algorithm, settings, tuning, metric, parts, drawn, at_once)
        if isinstance(found, Found):
            study.tell(drawn, found.penalised)
            if best is None or found.penalised > best.penalised:
                best = found
        else:
            study.tell(drawn, state=need("optuna", "train").trial.TrialState.PRUNED)
        trial = Trial(
            run=run,
            candidate=candidate.name,
            number=drawn.number,
            settings=settings,
            state="complete" if isinstance(found, Found) else "pruned",
            score=found.score if isinstance(found, Found) else found,
            training_score=found.training_score if isinstance(found, Found) else None,
            seconds=time.perf_counter() - started,
        )
        trials.append(trial)
        if progress is not None:
            progress(trial)
        if tuning.seconds is not None and time.perf_counter() - begun >= tuning.seconds:
            break
    assert best is not None  # the first trials are never pruned
    return best, tuple(trials)


def _study(seed: int, first: Mapping[str, Any]) -> Any:
    optuna = need("optuna", "train")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1),
    )
    if first:
        study.enqueue_trial(dict(first))
    return study


def score(margin: Floats, target: Flags, metric: str) -> tuple[float, float]:
    """(score, cut): the metric at its best cut of the margins, negated where lower is better."""
    if metric in LOWER_IS_BETTER:
        probability = calibration.probability(margin, *calibration.platt(margin, target))
        return -stats.measures(stats.Scored(probability, 0.5), target)[metric], 0.0
    cut = threshold.best(margin, target, metric)
    return _at(margin, target, metric, cut), cut


def _at(margin: Floats, target: Flags, metric: str, cut: float) -> float:
    if metric in LOWER_IS_BETTER:
        return score(margin, target, metric)[0]
    levels, place = np.unique(margin, return_inverse=True)  # a sigmoid would make one of all large margins
    at = int(np.searchsorted(levels, cut))
    return stats.measures(stats.Scored(place / len(levels), at / len(levels)), target)[metric]


def _validate(
    algorithm: Algorithm,
    settings: Mapping[str, Any],
    tuning: Tuning,
    metric: str,
    parts: tuple[Fold, ...],
    drawn: Any,
    at_once: int | None,
) -> Found | float:
    """Fit and validate every fold; a float, the score so far, when the trial was pruned."""

    def attempt(fold: Fold) -> Attempt:
        model = algorithm.learn(fold.learned, settings, seed=tuning.seed, validation=fold.validated)
        return model.margin(fold.validated.matrix), model.margin(fold.check.matrix), model.rounds

    margins: list[Floats] = []
    on_training: list[Floats] = []
    rounds: list[int] = []
    for number, found in enumerate(_side_by_side(attempt, parts, at_once)):
        margins.append(found[0])
        on_training.append(found[1])
        rounds.append(found[2])
        margin = np.concatenate(margins)
        target = np.concatenate([part.validated.target for part in parts[: number + 1]])
        so_far, cut = score(margin, target, metric)
        drawn.report(so_far, number)
        if drawn.should_prune():
            return so_far
    checked = np.concatenate([part.check.target for part in parts])
    training_score = _at(np.concatenate(on_training), checked, metric, cut)
    penalised = so_far - tuning.gap_penalty * max(0.0, training_score - so_far)
    return Found(settings, so_far, training_score, penalised, margin, target, tuple(rounds))


def _side_by_side(
    attempt: Callable[[Fold], Attempt], parts: tuple[Fold, ...], at_once: int | None
) -> Iterator[Attempt]:
    """Attempt folds on all processors, each fit on its own thread; what comes out is as one after the other.

    A trial pruned between two rounds of folds leaves nothing running behind.
    """
    most = at_once or algorithms.workers(max(len(part.learned.target) for part in parts))
    workers = min(len(parts), most)
    if workers == 1:
        yield from map(attempt, parts)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(parts), workers):
            yield from list(pool.map(attempt, parts[start : start + workers]))


def _draw(drawn: Any, name: str, value: Setting, algorithm: Algorithm) -> Any:
    if isinstance(value, list):
        return drawn.suggest_categorical(name, value)
    if not isinstance(value, tuple):
        return value
    low, high = value
    logarithmic = name in algorithm.LOGARITHMIC and low > 0
    if isinstance(low, int) and isinstance(high, int):
        return drawn.suggest_int(name, low, high, log=logarithmic)
    return drawn.suggest_float(name, low, high, log=logarithmic)


def _first(wanted: Mapping[str, Setting], algorithm: Algorithm) -> dict[str, Any]:
    """The sensible settings as far as the space allows them."""
    first: dict[str, Any] = {}
    for name, value in wanted.items():
        sensible = algorithm.FIRST.get(name)
        if isinstance(value, tuple) and isinstance(sensible, int | float):
            first[name] = min(max(sensible, value[0]), value[1])
        elif isinstance(value, list) and sensible in value:
            first[name] = sensible
    return first


def _check_range(candidate: str, name: str, value: Setting) -> None:
    if isinstance(value, list) and not value:
        raise TrainingError(
            t("{candidate}: {setting} has no value to choose from.", candidate=candidate, setting=name)
        )
    if isinstance(value, tuple) and not is_range(value):
        raise TrainingError(
            t(
                "{candidate}: {setting}={found} is not a range. Write (low, high), or a list to choose from.",
                candidate=candidate,
                setting=name,
                found=value,
            )
        )
