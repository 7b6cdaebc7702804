from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo import stats
from relevo.train import threshold


@given(rows=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=100, deadline=None)
def test_no_cut_is_better(rows: list[tuple[int, bool]]) -> None:
    """Every cut between two of the possible scores is tried, and those below and above all."""
    score, target = np.array([s for s, _ in rows]) / 12, np.array([y for _, y in rows])
    for metric in ("f1", "accuracy"):
        cut = threshold.best(score, target, metric)
        found = stats.measures(stats.Scored(score, cut), target)[metric]
        others = [stats.measures(stats.Scored(score, at / 24), target)[metric] for at in range(-1, 26, 2)]
        assert found == pytest.approx(max(others))


def test_the_cut_lies_midway_between_scores() -> None:
    cut = threshold.best(np.array([0.9, 0.8, 0.4, 0.1]), np.array([True, True, False, False]), "f1")
    assert cut == pytest.approx(0.6)


def test_where_all_should_be_yes_the_cut_is_just_below_the_lowest_score() -> None:
    cut = threshold.best(np.array([0.5, 0.3]), np.array([False, True]), "f1")
    assert 0.3 - threshold.NEAR < cut < 0.3 - threshold.NEAR / 3


@given(
    rows=st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60),
    seed=st.integers(0, 99),
)
@settings(max_examples=200, deadline=None)
def test_differences_of_a_billionth_flip_no_decision(rows: list[tuple[int, bool]], seed: int) -> None:
    """As where the same shares of a forest were added in another order, before or after the cut was chosen."""
    noise = np.random.default_rng(seed)
    share, target = np.array([s for s, _ in rows]) / 8, np.array([y for _, y in rows])
    score = share + noise.uniform(-1e-9, 1e-9, len(rows))
    for metric in ("f1", "accuracy"):
        cut = threshold.best(score, target, metric)
        again = score + noise.uniform(-1e-9, 1e-9, len(rows))
        assert np.array_equal(again >= cut, score >= cut)
        assert len({(s, yes) for s, yes in zip(share, score >= cut, strict=True)}) == len(set(share.tolist()))


def test_where_none_should_be_yes_the_cut_is_above_all() -> None:
    score = np.array([0.5, 0.3, 0.2])
    assert threshold.best(score, np.array([False, False, True]), "accuracy") > 0.5


@pytest.mark.parametrize("metric", ["precision", "recall", "pr_auc", "roc_auc", "brier", "log_loss"])
def test_other_metrics_take_the_cut_of_f1(metric: str) -> None:
    draw = np.random.default_rng(0)
    score, target = draw.random(200), draw.random(200) < 0.3
    assert threshold.best(score, target, metric) == threshold.best(score, target, "f1")
