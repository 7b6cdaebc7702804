from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from relevo.candidates import Candidate, Tuning, lightgbm, logistic, xgboost
from relevo.errors import TrainingError
from relevo.train import TrainingSet, algorithms, tuning

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.records import Trial

SMALL: dict[str, Any] = {"n_estimators": 20, "num_leaves": (4, 16)}


def search(
    data: TrainingSet, candidate: Candidate, budget: Tuning, metric: str = "f1", **others: Any
) -> tuple[tuning.Found, tuple[Trial, ...]]:
    algorithm = algorithms.get(candidate.algorithm)
    return tuning.search(candidate, algorithm, budget, metric, tuning.folds(data, seed=0), **others)


def test_own_settings_replace_the_usual_ones() -> None:
    """A range, a choice, a fixed value; the rest of the space stays."""
    candidate = lightgbm(num_leaves=(4, 9), learning_rate=[0.1, 0.2], max_depth=6, subsample=0.7)
    found = tuning.space(candidate, algorithms.get("lightgbm"))
    usual = algorithms.get("lightgbm").SPACE
    assert found == {
        **usual,
        "num_leaves": (4, 9),
        "learning_rate": [0.1, 0.2],
        "max_depth": 6,
        "subsample": 0.7,
    }


def test_other_spellings_are_known() -> None:
    found = tuning.space(lightgbm(lambda_l2=1.0, bagging_fraction=0.5), algorithms.get("lightgbm"))
    assert (found["reg_lambda"], found["subsample"]) == (1.0, 0.5)
    assert tuning.space(xgboost(eta=0.3), algorithms.get("xgboost"))["learning_rate"] == 0.3


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (lightgbm(num_leafs=3), "num_leafs is not a setting of lightgbm"),
        (logistic(penalty="l1"), "penalty is not a setting of logistic"),
        (xgboost(objective="reg:squarederror"), "objective is not a setting"),
        (lightgbm(subsample=0.5, bagging_fraction=0.6), "subsample is given twice"),
        (lightgbm(num_leaves=(9, 4)), "is not a range"),
        (lightgbm(num_leaves=[]), "no value to choose from"),
        (lightgbm(learning_rate=(0.1, float("inf"))), "is not a range"),
        (lightgbm(boosting_type=cast("Any", ("gbdt", "dart"))), r"\('gbdt', 'dart'\) is not a range"),
        (lightgbm(num_leaves=cast("Any", (9,))), "is not a range"),
    ],
)
def test_a_wrong_setting_is_named(candidate: Candidate, problem: str) -> None:
    with pytest.raises(TrainingError, match=problem):
        tuning.space(candidate, algorithms.get(candidate.algorithm))


def test_settings_stay_in_their_space(rows: Callable[..., TrainingSet]) -> None:
    candidate = lightgbm(num_leaves=(4, 9), learning_rate=[0.1, 0.2], max_depth=3, n_estimators=10)
    _, trials = search(rows(), candidate, Tuning(trials=6))
    assert len(trials) == 6
    for trial in trials:
        assert 4 <= trial.settings["num_leaves"] <= 9
        assert trial.settings["learning_rate"] in (0.1, 0.2)
        assert (trial.settings["max_depth"], trial.settings["n_estimators"]) == (3, 10)


def test_nothing_to_search_is_one_trial(rows: Callable[..., TrainingSet]) -> None:
    _, trials = search(rows(), logistic(C=1.0, class_weight=0.0), Tuning(trials=9))
    assert len(trials) == 1


def test_the_best_penalised_trial_is_chosen(rows: Callable[..., TrainingSet]) -> None:
    """Each point between training and validation costs its penalty."""
    found, trials = search(rows(), lightgbm(**SMALL), Tuning(trials=8, gap_penalty=0.5))
    complete = [trial for trial in trials if trial.state == "complete"]
    values = []
    for trial in complete:
        assert trial.score is not None
        assert trial.training_score is not None
        values.append(trial.score - 0.5 * max(0.0, trial.training_score - trial.score))
    assert found.penalised == pytest.approx(max(values))
    assert found.settings == complete[int(np.argmax(values))].settings
    assert found.gap == pytest.approx(found.training_score - found.score)


def test_poor_trials_are_pruned(rows: Callable[..., TrainingSet]) -> None:
    """They keep the score they had, and none is chosen."""
    found, trials = search(rows(), lightgbm(n_estimators=20), Tuning(trials=12))
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.score is not None and trial.training_score is None for trial in pruned)
    assert all(trial.settings != found.settings for trial in pruned)


def test_trials_are_told_as_they_end(rows: Callable[..., TrainingSet]) -> None:
    told: list[Trial] = []
    _, trials = search(rows(), logistic(), Tuning(trials=4), progress=told.append, run="r1")
    assert tuple(told) == trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert {(trial.run, trial.candidate) for trial in trials} == {("r1", "logistic")}


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_the_clock_may_end_it_after_one_trial(rows: Callable[..., TrainingSet], seconds: float) -> None:
    _, trials = search(rows(), logistic(), Tuning(trials=500, seconds=seconds))
    assert len(trials) == 1


def test_margins_are_out_of_fold(rows: Callable[..., TrainingSet]) -> None:
    """One for every validated row, by a model whose learned rows had other outcomes to go by."""
    data = rows(folds=3)
    found, _ = search(data, logistic(), Tuning(trials=2))
    validated = np.concatenate([validated for _, validated in data.folds])
    assert np.array_equal(found.target, data.target[validated])
    assert len(found.margin) == len(validated)


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "pr_auc", "roc_auc", "accuracy"])
def test_every_metric_can_be_searched_for(rows: Callable[..., TrainingSet], metric: str) -> None:
    found, _ = search(rows(), logistic(), Tuning(trials=2), metric)
    assert 0.3 < found.score <= 1


@pytest.mark.parametrize("metric", ["f1", "accuracy", "pr_auc", "roc_auc"])
def test_large_margins_keep_their_order(metric: str) -> None:
    """A sigmoid would make one of them all."""
    margin = np.array([38.0, 40, 42, 44, 46, 48, 50, 52])
    assert tuning.score(margin, np.arange(8) >= 4, metric)[0] == 1


@pytest.mark.parametrize("metric", ["brier", "log_loss"])
def test_a_loss_is_negated(rows: Callable[..., TrainingSet], metric: str) -> None:
    """More is better everywhere, so that the gap has one meaning."""
    found, trials = search(rows(), logistic(), Tuning(trials=5), metric)
    assert found.score < 0
    assert found.score == max(trial.score for trial in trials if trial.score is not None)


def test_an_unknown_metric_is_refused(rows: Callable[..., TrainingSet]) -> None:
    with pytest.raises(TrainingError, match="no metric gini"):
        search(rows(), logistic(), Tuning(), "gini")


def test_the_first_trial_is_the_sensible_one(rows: Callable[..., TrainingSet]) -> None:
    _, trials = search(rows(), replace(logistic(), settings={"C": (0.5, 4.0)}), Tuning(trials=1))
    assert trials[0].settings == {"C": 0.5, "class_weight": 0.5}
