from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from relevo import stats
from relevo.gate import METRICS
from relevo.stats import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray


def drawn(rows: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    target = draw.random(rows) < 0.25
    probability = 1 / (1 + np.exp(-(draw.normal(size=rows) + target - 1.5)))
    return probability, target


def theirs(p: NDArray[np.float64], y: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    yes = p >= threshold
    return {
        "f1": metrics.f1_score(y, yes, zero_division=0),
        "precision": metrics.precision_score(y, yes, zero_division=0),
        "recall": metrics.recall_score(y, yes),
        "pr_auc": metrics.average_precision_score(y, p),
        "roc_auc": metrics.roc_auc_score(y, p),
        "brier": metrics.brier_score_loss(y, p),
        "log_loss": metrics.log_loss(y, p),
        "accuracy": metrics.accuracy_score(y, yes),
    }


@given(
    rows=st.lists(st.tuples(st.integers(1, 19), st.booleans()), min_size=2, max_size=60),
    threshold=st.integers(0, 20),
)
@settings(max_examples=100, deadline=None)
def test_measures_are_those_of_scikit_learn(rows: list[tuple[int, bool]], threshold: int) -> None:
    """With ties in plenty."""
    p, y = np.array([score for score, _ in rows]) / 20, np.array([outcome for _, outcome in rows])
    if y.all() or not y.any():
        return
    found = stats.measures(Scored(p, threshold / 20), y)
    assert found == pytest.approx(theirs(p, y, threshold / 20))
    assert tuple(found) == METRICS


def test_a_metric_that_needs_both_classes_is_undefined_without() -> None:
    p = np.array([0.2, 0.7])
    found = stats.measures(Scored(p, 0.5), np.array([False, False]))
    assert math.isnan(found["roc_auc"])
    assert math.isnan(found["pr_auc"])
    assert found["accuracy"] == 0.5


def test_the_bootstrap_is_that_of_rows() -> None:
    """Mean and spread of each metric are those of drawing rows with replacement, one sample at a time."""
    p, y = drawn(400)
    cells = stats.resampled([Scored(p, 0.3)], y, seed=1, resamples=2000)[0]
    draw = np.random.default_rng(2)
    samples = [draw.integers(0, 400, 400) for _ in range(600)]
    rows = [stats.measures(Scored(p[at], 0.3), y[at]) for at in samples]
    for name in METRICS:
        plain = np.array([row[name] for row in rows])
        assert cells[name].mean() == pytest.approx(plain.mean(), abs=4 * plain.std() / math.sqrt(600))
        assert cells[name].std() == pytest.approx(plain.std(), rel=0.15)


@pytest.mark.slow
def test_grouped_scores_give_the_same_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many rows neighbouring scores share a cell, which moves no interval of a value or a difference visibly."""
    p, y = drawn(9000)
    other = np.clip(p + np.random.default_rng(5).normal(0, 0.05, 9000), 0.001, 0.999)
    pair, single = [Scored(p, 0.3), Scored(other, 0.35)], [Scored(p, 0.3)]
    exact = [stats.resampled(models, y, seed=3, resamples=400) for models in (pair, single)]
    monkeypatch.setattr(stats, "CELLS", 100)
    grouped = [stats.resampled(models, y, seed=3, resamples=400) for models in (pair, single)]
    for name in METRICS:
        close(grouped[1][0][name], exact[1][0][name])
        before, after = (found[0][1][name] - found[0][0][name] for found in (exact, grouped))
        close(after, before)


def rare(rows: int, positives: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """A good model's probabilities, a worse one's, and the outcomes, of which few are positive."""
    draw = np.random.default_rng(7)
    target = np.arange(rows) < positives
    score = draw.normal(size=rows) + 4 * target
    worse = score + draw.normal(size=rows) * 0.7
    good, poor = (1 / (1 + np.exp(-2 * (each - 3))) for each in (score, worse))
    return good, poor, target


@pytest.mark.slow
@pytest.mark.parametrize("common", [False, True])
def test_many_rows_of_which_few_are_of_one_class(monkeypatch: pytest.MonkeyPatch, common: bool) -> None:
    """The intervals are those of the bootstrap in which no scores are put together."""
    good, poor, y = rare(12_000, 150)
    if common:
        good, poor, y = 1 - good, 1 - poor, ~y
    pair, single = [Scored(good, 0.3), Scored(poor, 0.3)], [Scored(good, 0.3)]
    monkeypatch.setattr(stats, "CELLS", 2000)
    grouped = [stats.resampled(models, y, seed=3, resamples=400) for models in (pair, single)]
    monkeypatch.setattr(stats, "CELLS", len(y))
    exact = [stats.resampled(models, y, seed=4, resamples=400) for models in (pair, single)]
    for name in METRICS:
        close(grouped[1][0][name], exact[1][0][name])
        before, after = (found[0][1][name] - found[0][0][name] for found in (exact, grouped))
        close(after, before)


@pytest.mark.parametrize("cuts", [64, 256])
def test_the_areas_of_a_resample_are_those_of_its_rows(cuts: int) -> None:
    """The same resamples, counted by row and by place; of all rows' areas by place the difference is left out."""
    good, poor, y = rare(20_000, 250)
    draw = np.random.default_rng(1)
    drawn_rows = draw.multinomial(len(y), np.full(len(y), 1 / len(y)), size=100)
    weight = np.stack([np.ones(len(y)), *drawn_rows]).astype(np.float64)
    found = []
    for score in (good, poor):
        by_row, by_place = (stats._places(score, y, most) for most in (len(y), cuts))
        cells = np.unique(by_place * 2 + y, return_inverse=True)
        counted = np.stack([np.bincount(cells[1], weights=row) for row in weight]).astype(np.float64)
        exact = stats.areas(weight, by_row, y)
        placed = stats.areas(counted, cells[0] // 2, cells[0] % 2 == 1)
        found.append([(each - each[0], other - other[0]) for each, other in zip(exact, placed, strict=True)])
    for (exact, placed), (theirs, thinned) in zip(*found, strict=True):
        tolerance = 1e-9 if cuts > 250 else 0.25 * (exact - theirs).std()
        assert np.sqrt(np.mean((placed - exact) ** 2)) < tolerance
        assert np.sqrt(np.mean((placed - thinned - exact + theirs) ** 2)) < tolerance


def test_the_cells_are_bounded() -> None:
    """Two models that have little in common, and many rows of both classes."""
    p, y = drawn(200_000)
    other = drawn(200_000, seed=1)[0]
    for models in ([Scored(p, 0.3)], [Scored(p, 0.3), Scored(other, 0.3)]):
        assert len(stats._few_cells(models, y).count) <= stats.CELLS * 2 * len(models)


def close(after: NDArray[np.float64], before: NDArray[np.float64]) -> None:
    spread = before.std()
    assert after.mean() == pytest.approx(before.mean(), abs=0.3 * spread)
    assert after.std() == pytest.approx(spread, rel=0.15)


def test_resamples_are_the_same_rows_for_all_models() -> None:
    p, y = drawn(300)
    first, second = stats.resampled([Scored(p, 0.3), Scored(p.copy(), 0.3)], y, seed=0, resamples=50)
    for name in METRICS:
        assert first[name] == pytest.approx(second[name], rel=1e-12)


def test_a_threshold_of_each_row_decides_it() -> None:
    """Two halves answered by two models: the counts are those of the halves together."""
    p, y = drawn(300)
    threshold = np.where(np.arange(300) < 150, 0.3, 0.6)
    yes = p >= threshold
    found = stats.measures(Scored(p, threshold), y)
    assert found["accuracy"] == pytest.approx((yes == y).mean())
    assert found["precision"] == pytest.approx(y[yes].mean())
    assert found["roc_auc"] == stats.measures(Scored(p, 0.5), y)["roc_auc"]


def test_repeats_widen_what_is_resampled() -> None:
    """The mean of equal repeats spreads as one does; where repeats differ, that comes on top."""
    p, y = drawn(300)
    one = stats.resampled([Scored(p, 0.3)], y, seed=0, resamples=400)[0]
    assert stats.over_repeats([one] * 4, seed=1)["f1"] == pytest.approx(one["f1"])
    shifted = [{name: values + shift for name, values in one.items()} for shift in (-0.2, 0.2)]
    both = stats.over_repeats(shifted, seed=1)["f1"]
    assert both.mean() == pytest.approx(one["f1"].mean(), abs=0.03)
    assert both.std() ** 2 == pytest.approx(one["f1"].std() ** 2 + 0.2**2 / 2, rel=0.2)


def test_the_seed_decides() -> None:
    p, y = drawn(300)
    first, same, other = (
        stats.resampled([Scored(p, 0.3)], y, seed=seed, resamples=50)[0]["f1"] for seed in (0, 0, 1)
    )
    assert (first == same).all()
    assert (first != other).any()


def test_an_interval_leaves_out_what_is_undefined() -> None:
    found = stats.interval(0.5, np.array([np.nan, 0.4, 0.6]))
    assert found.low == pytest.approx(0.405)
    assert found.high == pytest.approx(0.595)
    assert math.isnan(stats.interval(0.5, np.array([np.nan])).low)


def clustered(groups: int, size: int, seed: int = 0) -> tuple[Scored, NDArray[np.bool_], NDArray[np.int64]]:
    """Groups whose rows share their score, and mostly their outcome."""
    draw = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    health, error = draw.normal(size=(2, groups))
    target = draw.random(len(group)) < 1 / (1 + np.exp(-1.5 * health[group]))
    return Scored(1 / (1 + np.exp(-health - 1.5 * error))[group], 0.5), target, group


def test_the_bootstrap_of_groups_is_that_of_whole_groups() -> None:
    """Also where they are of different sizes, and their numbers have gaps."""
    scored, y, group = clustered(60, 8)
    kept = np.random.default_rng(3).random(len(y)) < 0.6
    p, y, group = scored.probability[kept], y[kept], group[kept] * 7
    cells = stats.resampled([Scored(p, 0.5)], y, seed=1, resamples=2000, group=group)[0]
    draw = np.random.default_rng(2)
    members = [np.flatnonzero(group == name) for name in np.unique(group)]
    samples = [
        np.concatenate([members[one] for one in draw.integers(0, len(members), len(members))])
        for _ in range(600)
    ]
    rows = [stats.measures(Scored(p[at], 0.5), y[at]) for at in samples]
    for name in METRICS:
        plain = np.array([row[name] for row in rows])
        assert cells[name].mean() == pytest.approx(plain.mean(), abs=4 * plain.std() / math.sqrt(600))
        assert cells[name].std() == pytest.approx(plain.std(), rel=0.15)


def test_groups_of_one_row_are_rows() -> None:
    p, y = drawn(300)
    plain, grouped = (
        stats.resampled([Scored(p, 0.3)], y, seed=1, resamples=50, group=group)[0]
        for group in (None, np.arange(300)[::-1])
    )
    for name in METRICS:
        assert np.array_equal(plain[name], grouped[name])


def test_intervals_of_grouped_rows_hold() -> None:
    """Resampling rows they would hold ROC-AUC in three cases of five."""
    true = 0.6675
    whole, y, _ = clustered(200_000, 1, seed=99)
    assert stats.measures(whole, y)["roc_auc"] == pytest.approx(true, abs=0.004)
    held = {"rows": 0, "groups": 0}
    for seed in range(100):
        scored, y, group = clustered(100, 20, seed)
        for name, of_row in (("rows", None), ("groups", group)):
            found = stats.resampled([scored], y, seed=seed, resamples=300, group=of_row)[0]["roc_auc"]
            low, high = np.quantile(found, [0.025, 0.975])
            held[name] += low <= true <= high
    assert held["rows"] < 75
    assert held["groups"] >= 88
