"""Logistic regression on imputed, clipped and scaled features. Native format: JSON of its numbers.

A feature adds ``weight · x``, x clipped to the range that was learned from, or ``missing`` where it is
NaN: the imputed median and the effect of the missing indicator, added up. All sums are in double.
The range is that of finite values; what is infinite counts as its end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.extras import need
from relevo.train.algorithms import CLASS_WEIGHT, refusals, row_weights, trees

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from relevo.candidates import Setting, Texts
    from relevo.train.encoders import Sample

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

FORMAT = "logistic-json"
TEXTS: Texts = "mean"
SPACE: Mapping[str, Setting] = {"C": (0.001, 10.0), CLASS_WEIGHT: (0.0, 1.0)}
FIRST: Mapping[str, str | float | None] = {"C": 0.1, CLASS_WEIGHT: 0.5}
LOGARITHMIC = frozenset({"C"})
ALIASES: Mapping[str, str] = {}
KNOWN = frozenset(SPACE) | {"max_iter"}
ARRAYS = ("weight", "missing", "low", "high")
MOST = 50
"""Newton's steps; it needs about eight."""


@dataclass(frozen=True)
class Design:
    """A sample imputed and scaled, with a column for each feature that was missing somewhere."""

    matrix: Floats
    low: Floats
    high: Floats
    median: Floats
    mean: Floats
    scale: Floats
    indicated: NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """k weights, what each feature adds when missing, the range of each, and the bias."""

    weight: Floats
    missing: Floats
    low: Floats
    high: Floats
    bias: float
    rounds: int = 0

    def margin(self, matrix: Matrix) -> Floats:
        """Log-odds, rounded to float32 as the ONNX model's are."""
        known = np.clip(matrix.astype(np.float64), self.low, self.high) * self.weight
        sums = np.where(np.isnan(matrix), self.missing, known).sum(axis=1) + self.bias
        return sums.astype(np.float32).astype(np.float64)  # type: ignore[no-any-return]

    def native(self) -> bytes:
        """JSON."""
        plain = {name: getattr(self, name).tolist() for name in ARRAYS}
        return json.dumps({**plain, "bias": self.bias}, separators=(",", ":"), sort_keys=True).encode()

    def to_onnx(self, native: bytes, width: int) -> bytes:
        """See the function of this name."""
        return to_onnx(native, width)


def learn(
    sample: Sample,
    settings: Mapping[str, Any],
    *,
    seed: int,
    validation: Sample | None = None,
    rounds: int | None = None,
) -> Model:
    """Fit by Newton's method; there are no rounds to stop early, and nothing is drawn."""
    del validation, rounds
    if "logistic" not in sample.prepared:
        sample.prepared["logistic"] = _design(sample.matrix)
    design: Design = sample.prepared["logistic"]
    estimator = need("sklearn.linear_model", "train").LogisticRegression(
        C=settings["C"],
        solver="newton-cholesky",
        max_iter=settings.get("max_iter", MOST),
        random_state=seed,
    )
    with refusals("logistic", ValueError):
        weights = row_weights(sample.target, settings[CLASS_WEIGHT])
        estimator.fit(design.matrix, sample.target, sample_weight=weights)
    coefficients = estimator.coef_[0]
    width = len(design.median)
    weight = coefficients[:width] / design.scale
    missing = weight * design.median
    missing[design.indicated] += coefficients[width:]
    bias = float(estimator.intercept_[0] - weight @ design.mean)
    return Model(weight, missing, design.low, design.high, bias)


def rehearse(sample: Sample, wanted: Mapping[str, Setting], *, seed: int) -> None:
    """Whatever can be learned here can be exported."""


def revive(native: bytes, refit: Callable[[], Model]) -> Callable[[Matrix], Floats]:  # noqa: ARG001 - the bytes hold it
    """``margin`` of these bytes."""
    return partial(margin, native)


def margin(native: bytes, matrix: Matrix) -> Floats:
    """Log-odds from the JSON."""
    return _read(native).margin(matrix)


def to_onnx(native: bytes, width: int) -> bytes:
    """The same sums in double; features without NaN cost nothing more."""
    helper, numpy_helper = need("onnx.helper", "train"), need("onnx.numpy_helper", "train")
    double = need("onnx", "train").TensorProto.DOUBLE
    single = need("onnx", "train").TensorProto.FLOAT
    found = _read(native)
    constants = {
        "low": found.low,
        "high": found.high,
        "weight": found.weight,
        "missing": found.missing,
        "ones": np.ones((width, 1)),
        "bias": np.array([found.bias]),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["unknown"]),
        helper.make_node("Cast", ["features"], ["doubles"], to=double),
        helper.make_node("Max", ["doubles", "low"], ["raised"]),
        helper.make_node("Min", ["raised", "high"], ["clipped"]),
        helper.make_node("Mul", ["clipped", "weight"], ["known"]),
        helper.make_node("Where", ["unknown", "missing", "known"], ["parts"]),
        helper.make_node("Gemm", ["parts", "ones", "bias"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["margin"], to=single),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return trees.model(nodes, tensors, width)


def _read(native: bytes) -> Model:
    plain = json.loads(native)
    weight, missing, low, high = (np.array(plain[name], np.float64) for name in ARRAYS)
    return Model(weight, missing, low, high, float(plain["bias"]))


def _design(matrix: Matrix) -> Design:
    """Infinities, which are the largest numbers here, count as the ends of the range of all others."""
    values = matrix.astype(np.float64)
    unknown = np.isnan(values)
    empty = unknown.all(axis=0)
    finite = np.where(np.abs(values) < np.finfo(np.float32).max, values, np.nan)
    finite[:, np.isnan(finite).all(axis=0)] = 0.0
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    seen = np.clip(np.where(empty, 0.0, values), low, high)
    median = np.nanmedian(seen, axis=0)
    imputed = np.where(unknown, median, seen)
    mean, scale = imputed.mean(axis=0), imputed.std(axis=0)
    scale[~(scale > 0)] = 1.0
    indicated = np.flatnonzero(unknown.any(axis=0) & ~empty)
    whole = np.hstack([(imputed - mean) / scale, unknown[:, indicated].astype(np.float64)])
    return Design(whole, low, high, median, mean, scale, indicated)
