"""Model files made without Relevo answer as they do elsewhere, or are refused with the reason."""

from __future__ import annotations

import os
import pickle
from functools import cache
from typing import TYPE_CHECKING, Any

import joblib
import lightgbm
import numpy as np
import onnx
import pytest
import xgboost
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from relevo import digest as digests
from relevo.errors import TrainingError
from relevo.package.onnx_audit import audit
from relevo.train import files
from relevo.train.export.check import answered, gaps
from relevo.train.export.graph import margin as held

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ("a", "b", "c", "d")
OTHERS = ["d", "b", "a", "c"]


@cache
def drawn() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    draw = np.random.default_rng(0)
    matrix = draw.normal(size=(1500, 4)).astype(np.float32)
    return matrix, (matrix[:, 0] + draw.normal(size=1500) > 0.5).astype(np.int64)


def opened(path: Path, names: tuple[str, ...] = NAMES) -> files.Opened:
    return files.opened(path, digests.of_file(path), names, drawn()[0][:500])


def same(found: files.Opened, *, nulls: bool = True) -> NDArray[np.float64]:
    """The file and its export answer alike, which is given back."""
    matrix = drawn()[0].copy()
    if nulls:
        matrix[::7, 1] = np.nan
    native = held(found.margin(matrix))
    assert gaps(native, answered(found.onnx, matrix).ravel()).max() <= 1e-12
    audit(found.onnx)
    return native


def in_other_order() -> NDArray[np.float32]:
    return drawn()[0][:, [NAMES.index(name) for name in OTHERS]]


@pytest.mark.parametrize("ending", ["json", "ubj"])
def test_xgboost_with_its_features_in_another_order(ending: str, tmp_path: Path) -> None:
    data = xgboost.DMatrix(in_other_order(), drawn()[1], feature_names=OTHERS)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 300)
    booster.save_model(tmp_path / f"m.{ending}")
    native = same(opened(tmp_path / f"m.{ending}"))
    plain = xgboost.DMatrix(in_other_order(), feature_names=OTHERS)
    probability = 1 / (1 + np.exp(-native))
    untouched = np.arange(len(native)) % 7 != 0
    assert np.abs(probability - booster.predict(plain))[untouched].max() < 1e-6


def test_xgboost_that_was_stopped_early_counts_to_its_best_iteration(tmp_path: Path) -> None:
    matrix, target = drawn()
    model = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=5, n_jobs=1)
    model.fit(matrix[:1000], target[:1000], eval_set=[(matrix[1000:], target[1000:])], verbose=False)
    model.save_model(tmp_path / "m.json")
    native = same(opened(tmp_path / "m.json"), nulls=False)
    assert np.abs(1 / (1 + np.exp(-native)) - model.predict_proba(matrix)[:, 1]).max() < 1e-6


def test_lightgbm_with_its_features_in_another_order(tmp_path: Path) -> None:
    data = lightgbm.Dataset(in_other_order(), drawn()[1], feature_name=OTHERS)
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    lightgbm.train(settings, data, 100).save_model(tmp_path / "m.txt")
    same(opened(tmp_path / "m.txt"))


def saved(tmp_path: Path, **settings: Any) -> Path:
    matrix, target = drawn()
    path = tmp_path / "m.json"
    data = xgboost.DMatrix(matrix, target, feature_names=list(NAMES))
    xgboost.train({"objective": "binary:logistic", "nthread": 1, **settings}, data, 5).save_model(path)
    return path


def test_features_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(TrainingError, match=r"It also wants: d\. It does not know: e\."):
        opened(path, ("a", "b", "c", "e"))
    with pytest.raises(TrainingError, match=r"takes 4 features and features\.sql gives 3\. It also wants: d"):
        opened(path, NAMES[:3])


def test_features_without_names_are_taken_by_place(tmp_path: Path) -> None:
    matrix, target = drawn()
    xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(matrix, target).save_model(tmp_path / "m.json")
    same(opened(tmp_path / "m.json", ("w", "x", "y", "z")))
    with pytest.raises(TrainingError, match="takes 4 features"):
        opened(tmp_path / "m.json", ("w", "x", "y"))


def test_other_objectives_and_boosters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="reg:squarederror"):
        opened(saved(tmp_path, objective="reg:squarederror")).onnx  # noqa: B018 - a property that works
    with pytest.raises(TrainingError, match="dart"):
        opened(saved(tmp_path, booster="dart")).onnx  # noqa: B018
    data = lightgbm.Dataset(*drawn())
    lightgbm.train({"objective": "regression", "verbosity": -1}, data, 3).save_model(tmp_path / "m.txt")
    with pytest.raises(TrainingError, match="objective regression"):
        opened(tmp_path / "m.txt")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    for name, start in (
        ("m.json", b'{"learner": 1'),
        ("m.txt", b"tree\nversion=v4\nnonsense"),
        ("m.onnx", b"\x00"),
    ):
        (tmp_path / name).write_bytes(start)
        with pytest.raises(TrainingError, match=name):
            opened(tmp_path / name)


def scaled() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*drawn())


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_as_skl2onnx_writes_it(zipmap: bool, tmp_path: Path) -> None:
    matrix, target = drawn()
    for model in (scaled(), RandomForestClassifier(10, random_state=0).fit(matrix, target)):
        made = to_onnx(model, matrix[:1], options={"zipmap": zipmap}, target_opset=17)
        (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
        native = same(opened(tmp_path / "m.onnx"), nulls=False)
        probability = 1 / (1 + np.exp(-native))
        np.testing.assert_allclose(probability, model.predict_proba(matrix)[:, 1], atol=1e-5)


def graph(*nodes: Any, inputs: tuple[str, ...] = ("x",), output: str = "margin") -> bytes:
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in inputs]
    given = helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, 1])
    made = helper.make_graph(list(nodes), "g", taken, [given])
    opsets = [helper.make_opsetid("", 17)]
    model: bytes = helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


def test_onnx_that_answers_with_a_margin(tmp_path: Path) -> None:
    total = helper.make_node("ReduceMean", ["x"], ["margin"], axes=[1], keepdims=1)
    (tmp_path / "m.onnx").write_bytes(graph(total))
    native = same(opened(tmp_path / "m.onnx"), nulls=False)
    np.testing.assert_allclose(native, drawn()[0].mean(axis=1), atol=1e-6)


MEAN = helper.make_node("ReduceMean", ["x"], ["score"], axes=[1], keepdims=1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (graph(MEAN, output="score"), "“score” is no probability"),
        (
            graph(helper.make_node("Add", ["x", "y"], ["margin"]), inputs=("x", "y")),
            "takes x, y, not one matrix",
        ),
        (graph(helper.make_node("Identity", ["x"], ["margin"])), "it answers with"),
        (graph(helper.make_node("Det", ["x"], ["margin"])), "operator Det"),
    ],
)
def test_onnx_of_another_shape_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(TrainingError, match=words):
        opened(tmp_path / "m.onnx")


def test_onnx_with_a_subgraph_is_refused(tmp_path: Path) -> None:
    inner = onnx.load_from_string(graph(MEAN, output="score")).graph
    node = helper.make_node("Add", ["x", "x"], ["margin"], body=inner)
    (tmp_path / "m.onnx").write_bytes(graph(node))
    with pytest.raises(TrainingError, match="sub-graph"):
        opened(tmp_path / "m.onnx")


@pytest.mark.slow
def test_a_pickle_is_opened_elsewhere(tmp_path: Path) -> None:
    """What is kept of it is its digest."""
    joblib.dump(scaled(), tmp_path / "m.joblib")
    found = opened(tmp_path / "m.joblib")
    native = same(found, nulls=False)
    np.testing.assert_allclose(native, scaled().decision_function(drawn()[0]), atol=1e-5)
    assert found.kept == digests.canonical({"sha256": digests.of_file(tmp_path / "m.joblib")})


class Telling:
    """A pickle that tells what it finds where it is opened, by failing with it."""

    def __reduce__(self) -> Any:
        told = (
            "__import__('json').dumps([__import__('os').getpid(), dict(__import__('os').environ),"
            " __import__('os').getcwd()])"
        )
        return exec, (f"raise ValueError({told})",)


class Writing:
    """A pickle that writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return exec, (f"open({self.path!r}, 'w').write('x' * 100)",)


def test_a_pickle_finds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVO_LEDGER", "postgresql://user:hidden@db/relevo")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Telling()))
    with pytest.raises(TrainingError, match=r"m\.pkl: ValueError") as caught:
        opened(tmp_path / "m.pkl")
    told = str(caught.value)
    assert "hidden" not in told
    assert "RELEVO_LEDGER" not in told
    assert f"[{os.getpid()}," not in told


def test_a_pickle_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Writing(str(tmp_path / "written"))))
    with pytest.raises(TrainingError, match=r"m\.pkl"):
        opened(tmp_path / "m.pkl")
    written = tmp_path / "written"
    assert not written.exists() or written.stat().st_size == 0


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    joblib.dump({"not": "a model"}, tmp_path / "m.joblib")
    with pytest.raises(TrainingError, match="holds dict"):
        opened(tmp_path / "m.joblib")
