"""Decision rules over a population, held against exact expectations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from relevo.decide import cut_at, decide, expected_f1, top_k
from relevo.decisions import BestThreshold, Costs, ExpectedF1, TopK, fixed_threshold


def exact_f1(p: np.ndarray, named: np.ndarray) -> float:
    """The expectation of F1 over all 2^n outcomes of independent rows; 0 where nothing is named or positive."""
    total = 0.0
    for outcome in product((0, 1), repeat=len(p)):
        truth = np.array(outcome)
        weight = np.prod(np.where(truth == 1, p, 1 - p))
        size = named.sum() + truth.sum()
        total += weight * (2 * (truth[named]).sum() / size if size else 0.0)
    return float(total)


def best_exact(p: np.ndarray) -> float:
    """The highest exact expectation that any set of rows reaches."""
    return max(exact_f1(p, np.array(chosen, bool)) for chosen in product((0, 1), repeat=len(p)))


@pytest.mark.slow
def test_small_populations_are_cut_almost_as_well_as_enumeration_does() -> None:
    """The plug-in is exact in the limit; at nine rows it gives up little, and seldom."""
    rng = np.random.default_rng(0)
    lost = []
    for _ in range(12):
        p = rng.beta(0.7, 1.5, 9)
        found = expected_f1(p)
        named = p >= found.threshold
        assert named.sum() == found.positive
        lost.append(best_exact(p) - exact_f1(p, named))
    assert max(lost) < 0.05
    assert np.mean(lost) < 0.01


def test_in_a_large_population_the_expected_f1_is_the_one_that_happens() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.1, 5, 50_000)
    found = expected_f1(p)
    named = p >= found.threshold

    def happens(chosen: np.ndarray) -> float:
        seen = []
        for _ in range(60):
            truth = rng.random(len(p)) < p
            seen.append(2 * (truth & chosen).sum() / (chosen.sum() + truth.sum()))
        return float(np.mean(seen))

    assert happens(named) == pytest.approx(found.expected_f1, abs=0.005)
    order = np.argsort(-p)
    for other in (found.positive // 2, found.positive * 2):
        chosen = np.zeros(len(p), bool)
        chosen[order[:other]] = True
        assert happens(chosen) < found.expected_f1 - 0.005


def test_half_the_best_f1_lies_where_the_threshold_does() -> None:
    """Lipton, Elkan & Naryanaswamy 2014, theorem 1."""
    rng = np.random.default_rng(2)
    for size in (2, 10, 1000):
        p = rng.random(size)
        found = expected_f1(p)
        assert p[p >= found.threshold].min() >= found.expected_f1 / 2
        below = p[p < found.threshold]
        assert not len(below) or below.max() <= found.expected_f1 / 2


def test_equal_probabilities_stay_together_and_the_threshold_lies_between() -> None:
    found = expected_f1([0.9, 0.6, 0.6, 0.6, 0.1])
    assert found.positive == 4
    assert found.threshold == pytest.approx(0.35)
    assert found.expected_f1 == pytest.approx(2 * 2.7 / (4 + 2.8))
    everything = expected_f1([0.4, 0.4])
    assert (everything.positive, everything.threshold) == (2, 0.4)
    near = [0.5, np.nextafter(0.5, 0.0), 0.0]
    assert expected_f1(near).positive == (np.array(near) >= expected_f1(near).threshold).sum()


@pytest.mark.parametrize("p", [[], [0.0, 0.0, 0.0]])
def test_where_nothing_can_be_positive_nothing_is_named(p: list[float]) -> None:
    found = expected_f1(p)
    assert (found.threshold, found.positive, found.expected_f1) == (1.0, 0, 0.0)
    assert cut_at(p, 0.5).expected_f1 == 0.0


def test_a_fixed_threshold_is_measured_alike() -> None:
    p = [0.9, 0.5, 0.2]
    assert cut_at(p, 0.5).positive == 2
    assert cut_at(p, 0.5).expected_f1 == pytest.approx(2 * 1.4 / (2 + 1.6))
    best = expected_f1(p)
    assert cut_at(p, best.threshold) == best


def test_top_k_takes_the_likeliest_of_each_group_and_of_equal_ones_the_first() -> None:
    p = np.array([0.1, 0.9, 0.9, 0.9, 0.4, 0.2, 0.3])
    groups = np.array(["b", "a", "a", "a", "b", "b", "c"])
    assert top_k(p, groups, 2).tolist() == [False, True, True, False, True, True, True]
    assert top_k(np.empty(0), np.empty(0), 2).tolist() == []


def test_top_k_counts_as_sorting_by_hand_does() -> None:
    rng = np.random.default_rng(3)
    p, groups = rng.integers(0, 20, 3000) / 20, rng.integers(0, 200, 3000)
    wanted = np.zeros(3000, bool)
    for group in range(200):
        rows = [row for row in range(3000) if groups[row] == group]
        wanted[sorted(rows, key=lambda row: (-p[row], row))[:5]] = True
    assert (top_k(p, groups, 5) == wanted).all()


def test_each_rule_decides_in_its_way() -> None:
    p = np.array([0.9, 0.45, 0.4, 0.05])
    groups = np.array([1, 1, 2, 2])

    def named(rule: dict[str, object]) -> list[bool]:
        return [bool(yes) for yes in decide(rule, p, threshold=0.42, groups=groups)]

    assert named({"rule": "best_threshold"}) == [True, True, False, False]
    assert named({"rule": "expected_f1"}) == [True, True, True, False]
    assert named({"rule": "top_k", "k": 1, "by": "x"}) == [True, False, True, False]
    with pytest.raises(ValueError, match="groups"):
        decide({"rule": "top_k", "k": 1, "by": "x"}, p, threshold=0.5)


def test_costs_fix_the_threshold_where_yes_and_no_cost_the_same() -> None:
    costs = Costs(false_positive=2, false_negative=15, true_positive=-5, true_negative=0)
    p = costs.threshold
    yes = p * costs.true_positive + (1 - p) * costs.false_positive
    no = p * costs.false_negative + (1 - p) * costs.true_negative
    assert yes == pytest.approx(no)
    assert fixed_threshold(costs, 0.7) == p
    for rule in (BestThreshold(), ExpectedF1(), TopK(5, "customer_id")):
        assert fixed_threshold(rule, 0.7) == 0.7
