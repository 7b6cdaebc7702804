"""Calibration: out-of-fold margins become probabilities by Platt's sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEPS = 100
CLOSE = 1e-7
"""Gradient at which Newton's method stops."""
RIDGE = 1e-12
FLATTEST = 1e-6


def platt(margin: Floats, target: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit a and b of probability = 1 / (1 + exp(-(a · margin + b))) by maximum likelihood.

    Newton's method with backtracking on the smoothed targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2)
    (Platt 1999; Lin, Lin & Weng 2007, *A note on Platt's probabilistic outputs*, algorithm 1; their A
    and B are -a and -b). A slope of zero or less would turn the model's order round: it is flattened
    to almost nothing instead, which leaves the prior.
    """
    positive = int(np.count_nonzero(target))
    high, low = (positive + 1) / (positive + 2), 1 / (len(target) - positive + 2)
    wanted = np.where(target, high, low)
    # Newton's steps are best taken on a margin of unit size.
    centre, scale = float(margin.mean()), float(margin.std())
    if scale <= CLOSE * max(1.0, abs(centre)):
        scale = 1.0  # one margin for all, but for what rounding left: there is no slope to find
    unit = (margin - centre) / scale
    slope, shift = _newton(unit, wanted)
    if slope <= 0:
        slope, shift = FLATTEST, float(np.log(wanted.mean() / (1 - wanted.mean())))
    return slope / scale, shift - slope * centre / scale


def probability(margin: Floats, a: float, b: float) -> Floats:
    """The calibrated probability, as a package computes it."""
    with np.errstate(over="ignore"):
        found: Floats = 1.0 / (1.0 + np.exp(-(margin * a + b)))
    return found


def _newton(unit: Floats, wanted: Floats) -> tuple[float, float]:
    slope, shift = 0.0, float(np.log(wanted.mean() / (1 - wanted.mean())))
    loss = _loss(unit, wanted, slope, shift)
    for _ in range(STEPS):
        p = probability(unit, slope, shift)
        error, curve = p - wanted, p * (1 - p)
        by_slope, by_shift = float(error @ unit), float(error.sum())
        if max(abs(by_slope), abs(by_shift)) < CLOSE * len(unit):
            break
        aa, ab, bb = float(curve @ unit**2) + RIDGE, float(curve @ unit), float(curve.sum()) + RIDGE
        determinant = aa * bb - ab * ab
        to_slope = (ab * by_shift - bb * by_slope) / determinant
        to_shift = (ab * by_slope - aa * by_shift) / determinant
        step = 1.0
        while step > RIDGE:
            after = _loss(unit, wanted, slope + step * to_slope, shift + step * to_shift)
            if after < loss:
                break
            step /= 2
        else:
            break
        slope, shift, loss = slope + step * to_slope, shift + step * to_shift, after
    return slope, shift


def _loss(unit: Floats, wanted: Floats, slope: float, shift: float) -> float:
    linear = unit * slope + shift
    return float(np.logaddexp(0.0, linear).sum() - wanted @ linear)
