from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from relevo.errors import ExtraMissingError, TrainingError
from relevo.package.onnx_audit import audit
from relevo.train import algorithms
from relevo.train.data import finite
from relevo.train.encoders import Sample

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

WIDTH = 6


def drawn(rows: int = 3000, *, seed: int = 0, unknown: tuple[int, ...] = (1, 2)) -> Sample:
    """Six features of several scales, NaN in ``unknown``, one that takes three values and one constant."""
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(rows, WIDTH)).astype(np.float32)
    matrix[:, 1] *= 1e4
    matrix[:, 3] = draw.integers(0, 3, rows)
    matrix[:, 5] = 4.0
    score = matrix[:, 0] + (matrix[:, 1] > 3000) - (matrix[:, 3] == 1)
    for column in unknown:
        matrix[draw.random(rows) < 0.1, column] = np.nan
    return Sample(matrix, draw.random(rows) < 1 / (1 + np.exp(1.5 - score)))


def awkward(learned: NDArray[np.float32], seed: int = 1) -> NDArray[np.float32]:
    """Rows to ask: new ones, learned values, NaN in every feature, extremes, neighbours of learned values."""
    draw = np.random.default_rng(seed)
    new = drawn(2000, seed=seed, unknown=tuple(range(WIDTH))).matrix
    neighbours = np.nextafter(learned[:2000], np.float32(draw.choice([-np.inf, np.inf])))
    mixed = draw.choice(np.array([0, -0.0, np.nan, 1e-38, 3e38, -3e38], np.float32), (500, WIDTH))
    return np.vstack([new, learned[:2000], neighbours, mixed, np.full((1, WIDTH), np.nan, np.float32)])


SETTINGS: dict[str, dict[str, Any]] = {
    "logistic": {"C": 0.5},
    "lightgbm": {"num_leaves": 31, "n_estimators": 60, "min_child_samples": 5},
    "xgboost": {"max_depth": 6, "n_estimators": 60, "min_child_weight": 1.0},
}


def settings(name: str, **others: Any) -> dict[str, Any]:
    return {**SETTINGS[name], "class_weight": 0.5, **others}


@pytest.fixture(params=algorithms.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def algorithm(name: str) -> ModuleType:
    return module(name)


def module(name: str) -> ModuleType:
    return import_module(f"relevo.train.algorithms.{name}")


def answers(onnx: bytes, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    found = onnxruntime.InferenceSession(onnx).run(["margin"], {"features": matrix})[0]
    return np.asarray(found, np.float64).ravel()


@pytest.mark.parametrize("unknown", [(), (1, 2)])
def test_onnx_answers_exactly_as_the_library(
    name: str, algorithm: ModuleType, unknown: tuple[int, ...]
) -> None:
    """NaN included, whether or not a feature had any when it was learned from."""
    sample = drawn(unknown=unknown)
    native = algorithm.learn(sample, settings(name), seed=0).native()
    matrix = awkward(sample.matrix)
    onnx = algorithm.to_onnx(native, WIDTH)
    assert np.array_equal(answers(onnx, matrix), algorithm.margin(native, matrix))
    audit(onnx)


def test_one_row_is_answered_as_many_are(name: str, algorithm: ModuleType) -> None:
    sample = drawn()
    native = algorithm.learn(sample, settings(name), seed=0).native()
    onnx = algorithm.to_onnx(native, WIDTH)
    together = answers(onnx, sample.matrix[:50])
    assert [answers(onnx, sample.matrix[row : row + 1])[0] for row in range(50)] == together.tolist()


def test_the_grid_hardly_moves_the_model(name: str, algorithm: ModuleType) -> None:
    """The bytes answer as the fitted model to well below what decides anything."""
    sample = drawn()
    model = algorithm.learn(sample, settings(name), seed=0)
    before = model.margin(sample.matrix)
    assert np.abs(algorithm.margin(model.native(), sample.matrix) - before).max() < 1e-4


def test_infinities_are_answered(name: str, algorithm: ModuleType) -> None:
    """With a finite margin, the same by both."""
    sample = drawn()
    native = algorithm.learn(sample, settings(name), seed=0).native()
    matrix = np.where(np.eye(WIDTH, dtype=bool), np.float32(np.inf), np.float32(1))
    matrix = np.vstack([matrix, -matrix])
    found = answers(algorithm.to_onnx(native, WIDTH), matrix)
    assert np.isfinite(found).all()
    assert np.array_equal(found, algorithm.margin(native, matrix))


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_one_infinity_learned_from_moves_no_model(infinite: float) -> None:
    """It counts as the end of what else was learned from, for the logistic regression's means too."""
    sample = drawn()
    matrix = sample.matrix.copy()
    matrix[0, 0] = infinite
    plain, odd = (
        import_module("relevo.train.algorithms.logistic").learn(
            Sample(finite(found), sample.target), settings("logistic"), seed=0
        )
        for found in (sample.matrix, matrix)
    )
    asked = drawn(seed=1).matrix
    assert np.abs(plain.margin(asked) - odd.margin(asked)).max() < 0.05
    assert np.isfinite(odd.margin(finite(matrix))).all()


def test_a_feature_of_infinities_alone_tells_nothing() -> None:
    sample = drawn()
    matrix = sample.matrix.copy()
    matrix[:, 4] = np.where(sample.target, np.inf, np.nan)
    logistic = import_module("relevo.train.algorithms.logistic")
    found = logistic.learn(Sample(finite(matrix), sample.target), settings("logistic"), seed=0)
    assert (found.low[4], found.high[4]) == (0, 0)
    assert found.missing[4] < -1  # that it is missing does


def test_the_same_again_is_the_same_bytes(name: str, algorithm: ModuleType) -> None:
    first, second = (algorithm.learn(drawn(), settings(name), seed=3).native() for _ in range(2))
    assert first == second


def test_a_binned_sample_may_be_learned_from_again(name: str, algorithm: ModuleType) -> None:
    """What is kept between fits does not change them: weights in particular are set anew."""
    kept = drawn()
    algorithm.learn(kept, settings(name, class_weight=1.0), seed=0)
    again = algorithm.learn(kept, settings(name, class_weight=0.2), seed=0)
    fresh = algorithm.learn(drawn(), settings(name, class_weight=0.2), seed=0)
    assert again.native() == fresh.native()


def test_class_weight_raises_margins(name: str, algorithm: ModuleType) -> None:
    sample = drawn()
    plain, balanced = (
        algorithm.learn(sample, settings(name, class_weight=power), seed=0).margin(sample.matrix).mean()
        for power in (0.0, 1.0)
    )
    assert balanced > plain + 0.5


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_boosting_stops_early(name: str) -> None:
    """Rounds are those of the best validation loss, and without patience all of them."""
    algorithm = module(name)
    sample, validation = drawn(), drawn(1000, seed=1)
    many = settings(name, n_estimators=300, learning_rate=0.3)
    stopped = algorithm.learn(sample, many, seed=0, validation=validation)
    assert 0 < stopped.rounds < 100
    through = algorithm.learn(sample, {**many, "early_stopping_rounds": 0}, seed=0, validation=validation)
    assert through.rounds == 300
    exact = algorithm.learn(sample, many, seed=0, rounds=stopped.rounds)
    assert np.array_equal(exact.margin(sample.matrix), stopped.margin(sample.matrix))


def test_dart_is_answered_exactly_too() -> None:
    algorithm = module("lightgbm")
    sample = drawn()
    model = algorithm.learn(
        sample, settings("lightgbm", boosting_type="dart"), seed=0, validation=drawn(500, seed=1)
    )
    assert model.rounds == 60
    native = model.native()
    matrix = awkward(sample.matrix)
    assert np.array_equal(answers(algorithm.to_onnx(native, WIDTH), matrix), algorithm.margin(native, matrix))


def test_nothing_to_split_by_still_makes_a_model(name: str, algorithm: ModuleType) -> None:
    """A constant feature: every row gets the same margin."""
    sample = Sample(np.full((200, 1), 2.0, np.float32), np.arange(200) % 4 == 0)
    native = algorithm.learn(sample, settings(name), seed=0).native()
    found = answers(algorithm.to_onnx(native, 1), np.array([[1.0], [2.0], [np.nan]], np.float32))
    assert len(set(found.tolist())) == 1
    assert found[0] == algorithm.margin(native, np.array([[1.0]], np.float32))[0]


def test_a_feature_that_is_never_known_is_carried(name: str, algorithm: ModuleType) -> None:
    sample = drawn()
    sample.matrix[:, 4] = np.nan
    native = algorithm.learn(sample, settings(name), seed=0).native()
    assert np.isfinite(algorithm.margin(native, sample.matrix)).all()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("lightgbm", {"num_leaves": 0}),
        ("lightgbm", {"boosting_type": "rf"}),
        ("xgboost", {"max_depth": -3}),
        ("logistic", {"C": -1.0}),
    ],
)
def test_a_setting_the_library_refuses_is_named(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        algorithms.get(name).learn(drawn(300), settings(name, **wrong), seed=0)


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(TrainingError, match="no algorithm forest"):
        algorithms.get("forest")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(ExtraMissingError, match=r'pip install "relevo\[train\]"'):
        algorithms.get("xgboost").learn(drawn(300), settings("xgboost"), seed=0)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("lightgbm", {"monotone_constraints": "1,0,0,0,0,0", "max_bin": 63, "extra_trees": True}),
        ("lightgbm", {"max_depth": None, "path_smooth": 1.0, "min_split_gain": 0.1, "subsample_freq": 3}),
        ("xgboost", {"monotone_constraints": "(1,0,0,0,0,0)", "max_bin": 64, "gamma": 0.1}),
        ("xgboost", {"grow_policy": "lossguide", "max_leaves": 20, "max_depth": None, "max_delta_step": 1}),
    ],
)
def test_further_settings_reach_the_library(name: str, others: dict[str, Any]) -> None:
    """They change the model, which is answered exactly as before; None leaves a setting to the library."""
    algorithm = module(name)
    sample = drawn()
    usual, native = (
        algorithm.learn(sample, settings(name, **own), seed=0, validation=drawn(500, seed=1)).native()
        for own in ({}, others)
    )
    assert algorithm.margin(native, sample.matrix).tolist() != algorithm.margin(usual, sample.matrix).tolist()
    matrix = awkward(sample.matrix)
    assert np.array_equal(answers(algorithm.to_onnx(native, WIDTH), matrix), algorithm.margin(native, matrix))
    if "monotone_constraints" in others:
        rising = np.repeat(sample.matrix[:1], 50, axis=0)
        rising[:, 0] = np.linspace(-3, 3, 50)
        assert (np.diff(algorithm.margin(native, rising)) >= 0).all()
