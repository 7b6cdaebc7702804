from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from relevo import bounds


@pytest.mark.parametrize(("count", "n"), [(0, 50), (1, 50), (25, 50), (50, 50), (3, 10_000)])
def test_a_rates_bounds_enclose_what_was_seen_and_mirror_each_other(count: int, n: int) -> None:
    low, high = bounds.lower(count, n, 0.001), bounds.upper(count, n, 0.001)
    assert 0 <= low <= count / n <= high <= 1
    assert low == pytest.approx(1 - bounds.upper(n - count, n, 0.001), abs=1e-12)


def test_a_rates_bounds_are_those_of_the_inequality() -> None:
    """All of n: kl(1, q) = -ln q, so the bound is risk ** (1 / n)."""
    assert bounds.lower(50, 50, 0.001) == pytest.approx(0.001 ** (1 / 50), rel=1e-9)
    assert bounds.lower(0, 0, 0.001) == 0
    assert bounds.upper(0, 0, 0.001) == 1


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("n", [50, 1_000])
def test_bounds_are_missed_no_more_often_than_stated(rate: float, n: int) -> None:
    drawn = np.random.default_rng(5).binomial(n, rate, 4_000).tolist()
    risk = 0.05
    above = {count: bounds.lower(count, n, risk) > rate for count in set(drawn)}
    below = {count: bounds.upper(count, n, risk) < rate for count in set(drawn)}
    assert sum(above[count] for count in drawn) / len(drawn) <= risk
    assert sum(below[count] for count in drawn) / len(drawn) <= risk


def test_the_band_of_a_distribution_is_massarts() -> None:
    assert bounds.band(200, 0.05, sides=2) == pytest.approx(math.sqrt(math.log(40) / 400))
    assert bounds.band(0, 0.05) == math.inf
    values = np.sort(np.random.default_rng(6).random((2_000, 100)), axis=1)
    steps = np.arange(1, 101) / 100
    farthest = np.maximum(np.abs(steps - values), np.abs(values - steps + 0.01)).max(axis=1)
    assert (farthest > bounds.band(100, 0.05, sides=2)).mean() <= 0.05


def test_all_looks_together_spend_the_risk() -> None:
    shares = [bounds.spent(look) for look in range(1, 100_000)]
    assert all(a > b for a, b in pairwise(shares))
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert sum(shares) < 1


def test_an_interval_of_a_share_is_wilsons() -> None:
    """The example of Newcombe 1998, *Two-sided confidence intervals for the single proportion*, table I."""
    assert bounds.interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert bounds.interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert bounds.interval(0, 0) == (0, 1)
    assert bounds.interval(5, 5)[1] == 1
