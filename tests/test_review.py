"""Reviews: figures, intervals, misses and segments."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from relevo import review, stats
from relevo.review import Seen, by_segment, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pairs(rows: int, seed: int = 0, rate: float = 0.05) -> Seen:
    rng = np.random.default_rng(seed)
    truth = rng.random(rows) < rate
    probability = np.round(np.clip(rng.beta(1, 8, rows) + 0.3 * truth, 0, 1), 3)
    return Seen(probability, probability >= 0.35, rng.random(rows) < 0.1 + 0.4 * truth, truth)


def test_figures_are_those_of_scikit_learn() -> None:
    seen = pairs(5000)
    found = judge(seen)
    assert found.model["f1"].value == pytest.approx(f1_score(seen.truth, seen.positive))
    assert found.model["roc_auc"].value == pytest.approx(roc_auc_score(seen.truth, seen.probability))
    assert found.model["pr_auc"].value == pytest.approx(average_precision_score(seen.truth, seen.probability))
    assert found.naive is not None
    assert found.difference is not None
    assert found.naive["f1"].value == pytest.approx(f1_score(seen.truth, seen.naive))
    assert found.difference.value == pytest.approx(found.model["f1"].value - found.naive["f1"].value)
    assert (found.rows, found.outcomes, found.missed) == (5000, seen.truth.sum(), 0)


@pytest.mark.slow
def test_intervals_are_those_of_resampling_every_pair() -> None:
    """What the cells leave out does not matter: the plain bootstrap gives the same intervals."""
    seen = pairs(3000, seed=1)
    assert seen.naive is not None
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 3000, 3000)
        ours, theirs = (f1_score(seen.truth[rows], decided[rows]) for decided in (seen.positive, seen.naive))
        drawn.append(
            (
                ours,
                average_precision_score(seen.truth[rows], seen.probability[rows]),
                roc_auc_score(seen.truth[rows], seen.probability[rows]),
                ours - theirs,
            )
        )
    found = judge(seen)
    intervals = [found.model["f1"], found.model["pr_auc"], found.model["roc_auc"], found.difference]
    for interval, samples in zip(intervals, zip(*drawn, strict=True), strict=True):
        assert interval is not None
        low, high = np.quantile(samples, [0.025, 0.975])
        assert interval.low == pytest.approx(low, abs=0.25 * (high - low))
        assert interval.high == pytest.approx(high, abs=0.25 * (high - low))


def test_an_outcome_that_was_not_asked_for_is_a_miss() -> None:
    seen = pairs(2000, seed=2)
    found = judge(Seen(seen.probability, seen.positive, seen.naive, seen.truth, missed=40))
    truth = np.append(seen.truth, np.ones(40, bool))
    positive = np.append(seen.positive, np.zeros(40, bool))
    score = np.append(seen.probability, np.full(40, -1.0))
    assert found.model["f1"].value == pytest.approx(f1_score(truth, positive))
    assert found.model["recall"].value == pytest.approx((truth & positive).sum() / truth.sum())
    assert found.model["pr_auc"].value == pytest.approx(average_precision_score(truth, score))
    assert found.model["roc_auc"].value == pytest.approx(roc_auc_score(truth, score))
    assert (found.outcomes, found.missed) == (truth.sum(), 40)


def test_a_million_and_a_half_pairs_take_seconds() -> None:
    seen = pairs(1_500_000, seed=3, rate=0.003)
    start = time.process_time()
    found = judge(seen)
    assert time.process_time() - start < 30
    assert found.model["pr_auc"].low < found.model["pr_auc"].value < found.model["pr_auc"].high
    assert found.model["pr_auc"].value == pytest.approx(average_precision_score(seen.truth, seen.probability))


def test_very_many_positives_are_put_together_with_little_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(20_000) < 0.4
    probability: NDArray[np.float64] = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    seen = Seen(probability, probability > 0.5, None, truth)
    monkeypatch.setattr(review, "MOST", 500)
    found = judge(seen, resamples=50)
    assert found.model["roc_auc"].value == pytest.approx(roc_auc_score(truth, probability), abs=1e-3)
    assert found.model["pr_auc"].value == pytest.approx(average_precision_score(truth, probability), abs=1e-2)
    assert (found.naive, found.difference) == (None, None)


def test_without_an_outcome_or_a_pair_figures_are_absent() -> None:
    none = np.zeros(3, bool)
    found = judge(Seen(np.array([0.1, 0.2, 0.9]), np.array([False, False, True]), none, none))
    assert found.model["f1"].value == 0.0
    assert math.isnan(found.model["roc_auc"].value)
    assert found.to_json()["model"]["roc_auc"]["value"] is None
    nothing = judge(Seen(np.empty(0), np.empty(0, bool), None, np.empty(0, bool)))
    assert (nothing.rows, nothing.outcomes) == (0, 0)
    assert stats.Interval(0.0, 0.0, 0.0).value == nothing.model["f1"].value


def test_segments_are_judged_apart_and_the_largest_first() -> None:
    seen = pairs(3000, seed=6)
    values = np.array(["north", "south", "sea"], object)[np.arange(3000) % 3]
    values[:2] = None
    by = Seen(seen.probability, seen.positive, seen.naive, seen.truth, 5, {"region": values})
    found = by_segment(by)["region"]
    assert set(found) == {"-", "north", "south", "sea"}
    north = values == "north"
    assert found["north"].model["f1"].value == pytest.approx(
        f1_score(seen.truth[north], seen.positive[north])
    )
    assert found["north"].rows == north.sum()
    assert set(by_segment(by, most=2)["region"]) < {"north", "south", "sea"}
