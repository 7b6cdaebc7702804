"""Export: a fitted scikit-learn estimator becomes one ONNX graph of allowed operators, or is refused by step."""

from __future__ import annotations

from relevo.train.export.answers import fitted_margin, native_margin
from relevo.train.export.check import compare
from relevo.train.export.whole import to_onnx

__all__ = ["compare", "fitted_margin", "native_margin", "to_onnx"]
