from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from relevo.train import calibration


def test_it_is_the_likeliest_sigmoid() -> None:
    """As a general optimiser finds it on Platt's smoothed targets."""
    draw = np.random.default_rng(0)
    margin = draw.normal(size=500) * 2 + 1
    target = draw.random(500) < 1 / (1 + np.exp(-(0.7 * margin - 1.2)))
    positive = target.sum()
    wanted = np.where(target, (positive + 1) / (positive + 2), 1 / (500 - positive + 2))

    def loss(x: np.ndarray) -> float:
        linear = x[0] * margin + x[1]
        return float(np.logaddexp(0, linear).sum() - wanted @ linear)

    best = optimize.minimize(loss, [0.0, 0.0], tol=1e-12).x
    assert calibration.platt(margin, target) == pytest.approx(tuple(best), abs=1e-4)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1000.0, 1e-3), (-5.0, 1e4)])
def test_any_scale_of_margins_will_do(shift: float, scale: float) -> None:
    draw = np.random.default_rng(1)
    unit = draw.normal(size=300)
    target = draw.random(300) < 1 / (1 + np.exp(-unit))
    expected = calibration.probability(unit, *calibration.platt(unit, target))
    margin = unit * scale + shift
    found = calibration.probability(margin, *calibration.platt(margin, target))
    assert found == pytest.approx(expected, abs=1e-5)


def test_separable_margins_stay_finite() -> None:
    """The smoothed targets keep the slope from growing without end."""
    target = np.arange(100) >= 50
    a, b = calibration.platt(np.where(target, 3.0, -3.0), target)
    probability = calibration.probability(np.array([-3.0, 3.0]), a, b)
    assert probability == pytest.approx([1 / 52, 51 / 52], abs=1e-6)


def test_order_is_never_turned_round() -> None:
    """Margins that point the wrong way leave the prior, rising by next to nothing."""
    target = np.arange(200) < 50
    margin = np.where(target, -1.0, 1.0)
    a, b = calibration.platt(margin, target)
    assert a > 0
    assert calibration.probability(margin, a, b) == pytest.approx(0.25, abs=0.01)


def test_equal_margins_leave_the_prior() -> None:
    target = np.arange(200) < 50
    a, b = calibration.platt(np.full(200, 0.3), target)
    assert calibration.probability(np.full(1, 0.3), a, b) == pytest.approx(0.25, abs=0.01)


def test_one_margin_for_all_gives_the_prior() -> None:
    """Sums in another order leave a last bit between equal margins, which is no slope."""
    target = np.arange(100) % 4 == 0
    margin = np.where(np.arange(100) % 2, 0.7, np.nextafter(0.7, 1))
    a, b = calibration.platt(margin, target)
    assert calibration.probability(np.array([-50.0, 0.7, 50.0]), a, b) == pytest.approx(0.25, abs=0.01)
