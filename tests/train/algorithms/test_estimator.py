"""Estimators of any make through the search, and known again afterwards."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from relevo import Tuning, estimator
from relevo.candidates import Made
from relevo.encoding import encode_columns
from relevo.errors import TrainingError
from relevo.train import native, train
from relevo.train.algorithms.estimator import Estimator
from relevo.train.export.check import answered

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.train import TrainingSet

BUDGET = Tuning(trials=2)


@pytest.fixture
def rows() -> Callable[..., TrainingSet]:
    """The training sets of the tests one folder up."""
    path = Path(__file__).parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("train_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., TrainingSet] = module.some_rows
    return found


def forest() -> Any:
    return RandomForestClassifier(10, n_jobs=2)


def test_texts_come_as_codes_where_there_is_an_encoder() -> None:
    encodes = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    assert Estimator(Made(lambda: encodes), {}).TEXTS == "code"
    assert Estimator(Made(forest), {}).TEXTS == "mean"
    assert Estimator(Made(lambda: encodes, "mean"), {}).TEXTS == "mean"
    assert Estimator(Made(forest, "code"), {}).TEXTS == "code"


def test_null_and_unseen_have_codes_of_their_own(rows: Callable[..., TrainingSet]) -> None:
    fit = train(estimator(forest, text="code"), BUDGET, "f1", rows())
    city = fit.encoders[0]
    assert city.levels == {"Arica": 1.0, "Calama": 2.0, "Iquique": 3.0, "Temuco": 4.0}
    assert (city.null, city.unseen) == (0.0, 5.0)


def test_the_first_trial_is_as_made_and_wide_ranges_are_logarithmic() -> None:
    space = {"C": (0.01, 10.0), "max_iter": (50, 200), "fit_intercept": [True, False]}
    found = Estimator(Made(LogisticRegression), space)  # type: ignore[arg-type]
    assert found.FIRST == {"C": 1.0, "max_iter": 100, "fit_intercept": True}
    assert {"C"} == found.LOGARITHMIC


def test_it_is_fitted_anew_elsewhere(rows: Callable[..., TrainingSet]) -> None:
    """With the answers of the estimator, not those of its export."""
    candidate, data = estimator(forest, {"max_depth": (2, 6)}), rows()
    fit = train(candidate, BUDGET, "f1", data)
    matrix = encode_columns(fit.encoders, rows(seed=1).columns)
    again = native(fit, candidate, BUDGET, lambda: data)
    assert np.array_equal(again(matrix), answered(fit.onnx, matrix).ravel())
    assert b"sklearn" in fit.native
    assert fit.libraries == ("scikit-learn",)


def test_another_estimator_is_not_taken_for_it(rows: Callable[..., TrainingSet]) -> None:
    candidate, data = estimator(forest), rows()
    fit = train(candidate, BUDGET, "f1", data)
    with pytest.raises(TrainingError, match="answers otherwise than when it was exported"):
        native(fit, candidate, Tuning(seed=1), lambda: data)
    changed = estimator(lambda: RandomForestClassifier(11))
    with pytest.raises(TrainingError, match="answers otherwise than when it was exported"):
        native(fit, changed, BUDGET, lambda: data)


def test_an_unexportable_choice_fails_before_the_first_trial(rows: Callable[..., TrainingSet]) -> None:
    """Even one that the search might never have drawn."""

    def make() -> Any:
        chosen = SelectFromModel(LogisticRegression())
        return Pipeline([("fill", SimpleImputer()), ("select", chosen), ("model", LogisticRegression())])

    trials: list[Any] = []
    candidate = estimator(make, {"fill__strategy": ["mean", "median"], "select__threshold": [None, 1e9]})
    with pytest.raises(TrainingError, match=r"step [23] '(select|model)'"):
        train(candidate, BUDGET, "f1", rows(), progress=trials.append)
    assert trials == []


def test_a_range_may_replace_a_default_that_is_a_word(rows: Callable[..., TrainingSet]) -> None:
    """A forest is made with "sqrt" of the features."""
    candidate = estimator(forest, {"max_features": (0.2, 1.0)})
    fit = train(candidate, BUDGET, "f1", rows(300, forward=False))
    assert 0.2 <= fit.settings["max_features"] <= 1


@pytest.mark.parametrize(
    ("make", "space"),
    [(MLPClassifier, {"hidden_layer_sizes": (100,)}), (forest, {"criterion": ("gini", "entropy")})],
)
def test_a_tuple_that_is_no_range_is_refused(make: Any, space: Any, rows: Callable[..., TrainingSet]) -> None:
    with pytest.raises(TrainingError, match=r"is not a range\. Write \(low, high\)"):
        train(estimator(make, space), BUDGET, "f1", rows(300, forward=False))


def test_nulls_are_refused_by_name(rows: Callable[..., TrainingSet]) -> None:
    scaled = lambda: make_pipeline(StandardScaler(), LogisticRegression())  # noqa: E731 - a make function
    with pytest.raises(TrainingError, match=r"step 2 'logisticregression' .*refuses nulls.*coalesce"):
        train(estimator(scaled), BUDGET, "f1", rows())


def test_a_python_function_is_refused(rows: Callable[..., TrainingSet]) -> None:
    made = lambda: make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression())  # noqa: E731
    with pytest.raises(TrainingError, match=r"step 1 .functiontransformer. .*Python function"):
        train(estimator(made), BUDGET, "f1", rows())
