"""Distances of binned samples: bounds and symmetries, and intervals and tests that hold at the rate they state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo import distances, homogeneity
from relevo.distances import Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROUNDS = 600
SHAPES = {
    "deciles": np.full(10, 0.1),
    "levels": (1 / np.arange(1, 23)) / (1 / np.arange(1, 23)).sum(),
    "rare": np.array([0.9, 0.05, 0.03, 0.01, 0.005, 0.003, 0.001, 0.0005, 0.0005]),
    "two": np.array([0.97, 0.03]),
}
counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)


def tilted(p: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    q: NDArray[np.float64] = p * np.exp(np.linspace(-3, 3, len(p)) * by)
    q /= q.sum()
    return q


def every(samples: Samples) -> dict[str, distances.Estimates]:
    weights = np.full(samples.p.shape, 0.3)
    weights[:, -1] = 0
    return {
        "tv": distances.total_variation(samples),
        "psi": distances.population_stability(samples),
        "js": distances.jensen_shannon(samples),
        "w": distances.wasserstein(samples, weights),
    }


def truth(p: NDArray[np.float64], q: NDArray[np.float64]) -> dict[str, float]:
    middle = (p + q) / 2
    divergence = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2
    return {
        "tv": float(np.abs(q - p).sum() / 2),
        "psi": float(((q - p) * np.log(q / p)).sum()),
        "js": math.sqrt(max(0.0, divergence)),
        "w": float(0.3 * np.abs(np.cumsum(q - p)[:-1]).sum()),
    }


def one(pairs: list[tuple[int, int]]) -> Samples:
    r, c = (np.array([column]) for column in zip(*pairs, strict=True))
    return Samples.of(r, c)


@settings(deadline=None, max_examples=25)
@given(counts)
def test_distances_are_within_their_bounds_and_their_intervals(pairs: list[tuple[int, int]]) -> None:
    for name, found in every(one(pairs)).items():
        value, low, high = (float(part[0]) for part in (found.value, found.low, found.high))
        assert 0 <= low <= value <= high, name
        assert math.isfinite(high)
        assert high <= {"tv": 1, "js": 1, "psi": distances.APART, "w": 0.3 * (len(pairs) - 1)}[name] + 1e-9


@settings(deadline=None, max_examples=25)
@given(counts)
def test_distances_are_the_same_either_way(pairs: list[tuple[int, int]]) -> None:
    turned = every(one([(c, r) for r, c in pairs]))
    for name, found in every(one(pairs)).items():
        for part in ("value", "low", "high"):
            assert getattr(found, part) == pytest.approx(getattr(turned[name], part), abs=1e-6), name


@settings(deadline=None, max_examples=25)
@given(counts, st.randoms(use_true_random=False))
def test_the_order_of_bins_says_nothing_but_to_wasserstein(pairs: list[tuple[int, int]], random: Any) -> None:
    other = list(pairs)
    random.shuffle(other)
    turned = every(one(other))
    for name, found in every(one(pairs)).items():
        if name != "w":
            assert found.value == pytest.approx(turned[name].value, abs=1e-6), name


@settings(deadline=None, max_examples=25)
@given(counts)
def test_padding_with_empty_bins_says_nothing(pairs: list[tuple[int, int]]) -> None:
    padded = every(one([*pairs, (0, 0), (0, 0)]))
    for name in ("tv", "psi", "js"):
        assert every(one(pairs))[name].high == pytest.approx(padded[name].high, abs=1e-6)


def test_with_many_rows_a_distance_is_that_of_the_shares() -> None:
    p, q = SHAPES["levels"], tilted(SHAPES["levels"], 0.3)
    samples = Samples.of(*(np.round(shares * 1e9).astype(np.int64)[None, :] for shares in (p, q)))
    for name, found in every(samples).items():
        assert found.value[0] == pytest.approx(truth(p, q)[name], rel=1e-3), name
        assert found.high[0] - found.low[0] < 1e-3 * found.value[0] + 1e-4


def test_what_shares_nothing_is_as_far_apart_as_can_be() -> None:
    found = every(one([(10_000, 0), (0, 10_000)]))
    assert (found["tv"].value[0], found["js"].high[0]) == (1, 1)
    assert found["js"].value[0] > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "m"), [(1_000_000, 200), (10_000, 2_000), (300, 300), (1_000_000, 20_000)])
def test_intervals_hold_the_truth(shape: str, shift: float, n: int, m: int) -> None:
    """95 % is stated; 600 draws of a rate of 5 % give more than 8 % once in 2,000, and few rows cost some more."""
    p, q = SHAPES[shape], tilted(SHAPES[shape], shift)
    generator = np.random.default_rng([n, m, len(p), round(100 * shift)])
    samples = Samples.of(generator.multinomial(n, p, ROUNDS), generator.multinomial(m, q, ROUNDS))
    for name, found in every(samples).items():
        true = truth(p, q)[name]
        missed = (found.low > true + 1e-9) | (found.high < true - 1e-9)
        assert missed.mean() <= 0.13, name
        if not shift:  # which is what an alarm would come of
            assert missed.mean() <= 0.06, name


def test_intervals_hold_the_truth_in_95_of_100_on_the_whole() -> None:
    generator = np.random.default_rng(8)
    rates: dict[str, list[float]] = {}
    for p in SHAPES.values():
        for shift in (0.0, 0.05, 0.2):
            q = tilted(p, shift)
            samples = Samples.of(generator.multinomial(50_000, p, 100), generator.multinomial(1_000, q, 100))
            for name, found in every(samples).items():
                true = truth(p, q)[name]
                held = (found.low <= true + 1e-9) & (found.high >= true - 1e-9)
                rates.setdefault(name, []).append(float(held.mean()))
    assert {name for name, some in rates.items() if np.mean(some) < 0.94} == set()


@pytest.mark.parametrize("shape", SHAPES)
def test_chance_is_taken_off_at_200_rows(shape: str) -> None:
    """The plain distances of two samples of one distribution are far from 0 there; the median corrected is near."""
    p = SHAPES[shape]
    generator = np.random.default_rng(9)
    drawn = generator.multinomial(200, p, ROUNDS)
    samples = Samples.of(generator.multinomial(100_000, p, ROUNDS), drawn)
    plain = np.abs(samples.q - samples.p).sum(axis=1) / 2
    corrected = distances.total_variation(samples).value
    assert np.median(corrected) < 0.8 * np.median(plain)
    assert np.median(distances.population_stability(samples).value) < 0.01


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "m"), [(1_000_000, 30), (1_000_000, 200), (300, 300), (100_000, 5_000)])
def test_p_values_raise_no_alarm_above_their_level(shape: str, n: int, m: int) -> None:
    """Of 10,000 draws at most 1.4 times the level, plus 4 standard deviations of such a count, may be below it."""
    generator = np.random.default_rng([n, m])
    p, rounds = SHAPES[shape], 10_000
    found = homogeneity.p_values(generator.multinomial(n, p, rounds), generator.multinomial(m, p, rounds))
    assert found.min() >= 0
    assert found.max() <= 1
    for level in (0.05, 0.01, 0.001):
        assert (found <= level).sum() <= 1.4 * level * rounds + 4 * math.sqrt(level * rounds)


def test_p_values_find_what_moved() -> None:
    p = SHAPES["deciles"]
    generator = np.random.default_rng(10)
    moved = generator.multinomial(2_000, tilted(p, 0.1), 200)
    assert (homogeneity.p_values(generator.multinomial(100_000, p, 200), moved) < 0.01).mean() > 0.99


def test_few_rows_in_few_bins_are_tested_exactly() -> None:
    """A third of 30 rows null, where 3 % were: no chi-square test may be made of so few."""
    found = homogeneity.p_values(np.array([[9_700, 300]]), np.array([[20, 10]]))
    assert found[0] < 1e-6


@pytest.mark.parametrize(("counts", "p"), [((8, 10, 1, 10), 0.00547749), ((3, 4, 1, 4), 0.4857143)])
def test_fishers_test_is_fishers(counts: tuple[int, int, int, int], p: float) -> None:
    """Fisher's tea (1935, *The Design of Experiments*): 34/70 two-sided; the other, by R's fisher.test."""
    assert homogeneity.fisher(*counts) == pytest.approx(p, rel=1e-5)


@pytest.mark.parametrize(
    ("x", "freedom", "p"),
    [(3.841459, 1, 0.05), (5.991465, 2, 0.05), (23.209251, 10, 0.01), (0, 3, 1), (36.7808, 21, 0.0178)],
)
def test_the_chi_squares_tail_is_that_of_the_tables(x: float, freedom: int, p: float) -> None:
    assert homogeneity.exceeded(x, freedom) == pytest.approx(p, rel=3e-2 if freedom == 21 else 1e-5)


NOTHING: dict[str, Callable[[], Samples]] = {
    "no rows": lambda: one([(0, 0), (0, 0)]),
    "no current rows": lambda: one([(50, 0), (50, 0)]),
    "no reference rows": lambda: one([(0, 3), (0, 4)]),
}


@pytest.mark.parametrize("case", NOTHING)
def test_without_rows_nothing_is_known(case: str) -> None:
    samples = NOTHING[case]()
    for name, found in every(samples).items():
        assert (found.value[0], found.low[0]) == (0, 0), name
    assert distances.total_variation(samples).high[0] == 1
    assert homogeneity.p_values(np.array([[50, 50]]), np.array([[0, 0]]))[0] == 1


def test_a_constant_has_not_moved() -> None:
    for found in every(one([(100, 3), (0, 0)])).values():
        assert (found.value[0], found.low[0], found.high[0]) == (0, 0, 0)
