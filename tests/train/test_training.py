from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from relevo.candidates import Candidate, Tuning, lightgbm, logistic, xgboost
from relevo.encoding import encode_columns
from relevo.errors import PackageError
from relevo.package.onnx_audit import audit
from relevo.train import Fit, TrainingSet, calibration, encoders, train
from relevo.train.training import scaled_rounds
from support import small

if TYPE_CHECKING:
    from collections.abc import Callable

CANDIDATES = (logistic(), lightgbm(n_estimators=40), xgboost(n_estimators=40))
BUDGET = Tuning(trials=3)


@pytest.fixture(params=CANDIDATES, ids=lambda candidate: candidate.name)
def candidate(request: pytest.FixtureRequest) -> Candidate:
    found = request.param
    assert isinstance(found, Candidate)
    return found


def test_it_learns(candidate: Candidate, rows: Callable[..., TrainingSet]) -> None:
    """New rows of the same kind are told apart, and the probabilities mean what they say."""
    fit = train(candidate, BUDGET, "f1", rows(3000))
    new = rows(3000, seed=1)
    margin = small.native_margin(fit, encode_columns(fit.encoders, new.columns))
    probability = calibration.probability(margin, **fit.calibration)
    positive, negative = probability[new.target], probability[~new.target]
    assert np.mean(positive[:, None] > negative[None, :]) > 0.75
    assert probability.mean() == pytest.approx(new.target.mean(), abs=0.03)
    assert 0 < fit.threshold < 1


def test_both_models_answer_alike(candidate: Candidate, rows: Callable[..., TrainingSet]) -> None:
    """And the loader allows the one that is packaged."""
    data = rows()
    fit = train(candidate, BUDGET, "f1", data)
    matrix = encode_columns(fit.encoders, data.columns)
    found = onnxruntime.InferenceSession(fit.onnx).run(["margin"], {"features": matrix})[0]
    assert np.array_equal(found.ravel(), small.native_margin(fit, matrix))
    audit(fit.onnx)


def test_the_newest_rows_are_learned_from(rows: Callable[..., TrainingSet]) -> None:
    """The encoders of the last model are those of all rows."""
    data = rows()
    fit = train(logistic(), BUDGET, "f1", data)
    assert fit.encoders == encoders.learn(data, seed=BUDGET.seed).encoders


def test_the_seed_and_the_trials_decide(candidate: Candidate, rows: Callable[..., TrainingSet]) -> None:
    """The run's name, the clock and what was done before do not."""
    first = train(candidate, BUDGET, "f1", rows(), run="one")
    again = train(candidate, BUDGET, "f1", rows(), run="two")
    assert again == first
    assert again.digest == first.digest
    assert train(candidate, replace(BUDGET, seed=1), "f1", rows()).digest != first.digest


SCRIPT = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
sys.path.insert(0, sys.argv[1])
from conftest import some_rows
from relevo.candidates import Tuning, lightgbm, logistic, xgboost
from relevo.train import train
for candidate in (logistic(), lightgbm(n_estimators=40), xgboost(n_estimators=40)):
    print(train(candidate, Tuning(trials=3), "f1", some_rows()).digest)
"""


@pytest.mark.slow
def test_another_process_gets_the_same_bytes(rows: Callable[..., TrainingSet]) -> None:
    """On one processor, with one thread allowed and another hash seed."""
    here = [train(candidate, BUDGET, "f1", rows()).digest for candidate in CANDIDATES]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(Path(__file__).parent)],
        env={**os.environ, **one},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == here
    assert done.stderr == ""


def test_json_there_and_back(candidate: Candidate, rows: Callable[..., TrainingSet]) -> None:
    fit = train(candidate, BUDGET, "f1", rows())
    plain = json.loads(json.dumps(fit.to_json(), allow_nan=False))
    again = Fit.from_json(plain, fit.blobs)
    assert again == fit
    assert again.digest == fit.digest


def test_altered_bytes_are_refused(rows: Callable[..., TrainingSet]) -> None:
    fit = train(logistic(), BUDGET, "f1", rows())
    name = fit.to_json()["onnx"]
    with pytest.raises(PackageError, match=r"The onnx model .* is absent or altered"):
        Fit.from_json(fit.to_json(), {**fit.blobs, name: fit.onnx[:-1]})
    with pytest.raises(PackageError, match=r"The native model .* is absent or altered"):
        Fit.from_json(fit.to_json(), {name: fit.onnx})


def test_more_rows_bear_more_rounds() -> None:
    assert scaled_rounds([100, 100], [250, 1000], 1000) == 150
    assert scaled_rounds([0], [100], 200) == 0


def test_rounds_stay_within_what_the_candidate_allows(rows: Callable[..., TrainingSet]) -> None:
    """So that a candidate can be held to a size."""
    fixed = lightgbm(n_estimators=15, early_stopping_rounds=0, min_child_samples=5)
    assert train(fixed, BUDGET, "f1", rows()).rounds == 15
