"""From the model's margins to probabilities, in double precision."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 709.0  # the exponential of more is beyond a double


def calibrated(margin: NDArray[Any], a: float, b: float) -> NDArray[np.float64]:
    """Platt's calibration (Platt 1999, equation 2, with the sign of ``a`` turned) in double precision.

    No probability is less than 1e-308.
    """
    return np.array(calibrated_list(margin, a, b), np.float64)


def calibrated_list(margin: NDArray[Any], a: float, b: float) -> list[float]:
    """The same as a list.

    The exponential is the C library's, one by one: NumPy's is wider than the code of the model, and the processor's
    change from one to the other costs more than a single request's exponential.
    """
    return [1.0 / (1.0 + exp(min(-a * one - b, _FAR))) for one in margin.reshape(-1).tolist()]


def linear(margin: NDArray[Any], a: float, b: float) -> NDArray[np.float64]:
    """Calibrated log-odds, shape (n,), in double precision."""
    with np.errstate(over="ignore"):
        found: NDArray[np.float64] = margin.reshape(-1).astype(np.float64) * a + b
    return found


def probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function."""
    with np.errstate(over="ignore"):  # a score far beyond any learned one gives exactly 0
        found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-log_odds))
    return found
