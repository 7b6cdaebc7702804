"""What defines a model that was brought along, and what is told of it before there is any data."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from relevo import Candidate, estimator, pretrained
from relevo.definition import brought
from relevo.sql import Column

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def pipeline(**settings: Any) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(**settings))


def told(make: Callable[[], Any], root: Path, **others: Any) -> list[Any]:
    return brought.told(estimator(make, **others), root)


def test_settings_deep_down_define_it(tmp_path: Path) -> None:
    usual = told(pipeline, tmp_path)
    assert told(lambda: pipeline(C=2.0), tmp_path) != usual
    assert told(lambda: make_pipeline(LogisticRegression()), tmp_path) != usual
    assert told(pipeline, tmp_path, text="code") != usual


def test_threads_and_seeds_do_not(tmp_path: Path) -> None:
    usual = told(lambda: RandomForestClassifier(n_jobs=1, random_state=0), tmp_path)
    assert told(lambda: RandomForestClassifier(n_jobs=2, random_state=7), tmp_path) == usual


@pytest.mark.slow
def test_it_is_the_same_in_every_process(tmp_path: Path) -> None:
    """No address of this process is in it, not even of a function."""
    code = (
        "import json, numpy; from pathlib import Path; from relevo import estimator;"
        "from relevo.definition import brought; from sklearn.pipeline import make_pipeline;"
        "from sklearn.preprocessing import FunctionTransformer, OneHotEncoder;"
        "from sklearn.ensemble import RandomForestClassifier;"
        "make = lambda: make_pipeline(FunctionTransformer(numpy.log1p, kw_args={'where': object}),"
        " OneHotEncoder(dtype=numpy.float32), RandomForestClassifier());"
        "print(json.dumps(brought.told(estimator(make), Path())))"
    )
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in "12"
    }
    (text,) = found
    assert b"0x" not in text
    assert b"numpy" in text


def test_a_file_is_its_content(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{}", encoding="utf-8")
    before = brought.told(pretrained("m.json"), tmp_path)
    (tmp_path / "m.json").write_text("{ }", encoding="utf-8")
    assert brought.told(pretrained("m.json"), tmp_path) != before


def fails() -> Any:
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (estimator(fails), "make() fails: RuntimeError: no such thing"),
        (estimator(LogisticRegression, {"c": (0.1, 1.0)}), "has no setting “c”"),
        (estimator(pipeline, {"logistic__C": 1.0}), "Did you mean “logisticregression__C”?"),
        (
            estimator(RandomForestClassifier, cast("Any", {"criterion": ("gini", "entropy")})),
            "Write (low, high), or a list",
        ),
        (estimator(RandomForestClassifier, {"max_depth": (9, 3)}), "max_depth=(9, 3) is not a range"),
        (estimator(RandomForestClassifier, {"max_depth": []}), "“max_depth” has no value to choose from"),
        (estimator(lambda: RandomForestClassifier), "no estimator"),
        (estimator(lambda: make_pipeline(FunctionTransformer(), OneHotEncoder())), "is no classifier"),
        (estimator(pipeline, text="words"), "text='words' is unknown"),  # type: ignore[arg-type]
        (pretrained("gone.onnx"), "there is no file"),
        (pretrained("model.pt"), "no model that Relevo reads"),
        (pretrained("m.joblib"), "opening it runs whatever it says"),
        (pretrained("m.pkl"), "trust=True"),
    ],
)
def test_mistakes_are_told_with_their_remedy(candidate: Candidate, words: str, tmp_path: Path) -> None:
    (found,) = brought.mistakes(candidate, tmp_path, "project.py")
    assert found.field == f"Candidate {candidate.name}"
    assert words in str(found)


def test_a_file_takes_no_texts() -> None:
    features = (Column("airline", "text"), Column("hour", "integer"), Column("city", "text"))
    (found,) = brought.texts(pretrained("m.onnx"), features, "project.py")
    assert "airline, city" in str(found)
    assert brought.texts(estimator(pipeline), features, "project.py") == []


def test_names_come_from_the_file() -> None:
    assert pretrained("models/Best Model 3.onnx").name == "best-model-3"
