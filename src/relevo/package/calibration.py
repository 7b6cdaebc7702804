"""From the model's margins to probabilities, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 709.0  # the exponential of more is beyond a double


def calibrated(margin: NDArray[Any], a: float, b: float) -> NDArray[np.float64]:
    """Platt's calibration (Platt 1999, equation 2, with the sign of ``a`` turned) in double precision.

    One array is worked on in place: this is called for every single request. No probability is less than 1e-308.
    """
    found: NDArray[np.float64] = margin.reshape(-1).astype(np.float64)
    found *= -a
    found -= b
    np.minimum(found, _FAR, out=found)
    np.exp(found, out=found)
    found += 1.0
    return np.reciprocal(found, out=found)


def calibrated_few(margin: NDArray[Any], a: float, b: float) -> list[float]:
    """The same, to the last bit, as a list; quicker for a few rows, for which arrays cost more than they count."""
    linear = [min(-a * one - b, _FAR) for one in margin.reshape(-1).tolist()]
    return [1.0 / (1.0 + power) for power in np.exp(linear).tolist()]


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
