"""Holds an exported estimator against the fitted one, and finds the step at which they part."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.errors import TrainingError
from relevo.extras import need
from relevo.package.model import TOLERANCE
from relevo.texts import t
from relevo.train import calibration
from relevo.train.export import places, whole
from relevo.train.export.answers import fitted_margin
from relevo.train.export.graph import handed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

CLOSE = 1e-9
"""How far a step's output may be off, against its largest number."""


def answered(onnx: bytes, matrix: Matrix) -> Floats:
    """What ONNX Runtime makes of a model, on one thread as in the package."""
    runtime = need("onnxruntime", "train")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["margin"], {"features": matrix})[0], np.float64)


def compare(estimator: Any, onnx: bytes, matrix: Matrix, names: Sequence[str] | None) -> None:
    """Raise ``TrainingError`` naming the step unless both give the same probabilities for every row."""
    native = fitted_margin(estimator, matrix, names)
    try:
        exported = answered(onnx, matrix).ravel()
    except Exception as error:  # the runtime raises classes of its own
        problem = t("ONNX Runtime refuses its export ({problem}).", problem=str(error)[:160])
        raise places.refused(_parting(estimator, matrix, names), problem) from error
    if not (gaps(native, exported) <= TOLERANCE).all():
        near(_parting(estimator, matrix, names), native, exported)


def gaps(native: Floats, exported: Floats) -> Floats:
    """How far the probabilities of two margins are apart, as if these were log-odds."""
    found: Floats = np.abs(
        calibration.probability(native, 1.0, 0.0) - calibration.probability(exported, 1.0, 0.0)
    )
    return found


def near(place: str, native: Floats, exported: Floats) -> None:
    """Raise ``TrainingError`` unless two margins give the same probabilities."""
    gap = gaps(native, exported)
    if not (gap <= TOLERANCE).all():
        raise TrainingError(
            t(
                "{place}: its export answers otherwise than it does, by up to {gap:.1e} where {most:.0e} is allowed.",
                place=place,
                gap=float(np.nanmax(gap)) if np.isfinite(gap).any() else 1.0,
                most=TOLERANCE,
            )
        )


def _parting(estimator: Any, matrix: Matrix, names: Sequence[str] | None) -> str:
    """The first step of a Pipeline whose output differs; its last when only the answer does."""
    if not hasattr(estimator, "steps"):
        return places.title(estimator)
    steps = estimator.steps
    for number in range(1, len(steps)):
        name, step = steps[number - 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = estimator[:number].transform(handed(matrix, names))
        wanted = np.asarray(wanted.toarray() if hasattr(wanted, "toarray") else wanted, np.float64)
        try:
            found = answered(whole.beginning(estimator, number, matrix.shape[1]), matrix)
        except Exception:  # noqa: BLE001 - whatever it is, it is this step's
            return places.inside("", name, step, number=number)
        if not np.allclose(found, wanted, rtol=CLOSE, atol=CLOSE * np.nanmax(np.abs(wanted)), equal_nan=True):
            return places.inside("", name, step, number=number)
    name, step = steps[-1]
    return places.inside("", name, step, number=len(steps))
