"""Estimates without labels: their formulas, that their intervals hold, and that they say when not to believe them."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import estimation, performance
from relevo.estimation import Estimated, estimate, estimated_loss, holds
from relevo.findings import LOST
from relevo.gate import METRICS
from relevo.performance import Answered
from relevo.recalibration import Effect, Recalibration, log_odds, recalibrate, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MIDDLE, THRESHOLD = -1.5, 0.3


def drawn(
    rows: int, generator: np.random.Generator, *, level: float = 0.0, slope: float = 1.0, move: float = 0.0
) -> tuple[Floats, Flags]:
    """Scores whose middle is moved by ``move``; the outcome's log-odds are a line in theirs."""
    x = MIDDLE + move + generator.normal(0, 1.2, rows)
    return sigmoid(x), generator.random(rows) < sigmoid(MIDDLE + level + slope * (x - MIDDLE))


def learned(
    seed: int = 0, count: int = 10, rows: int = 1500, spread: float = 0.2, **line: float
) -> Recalibration:
    generator = np.random.default_rng(seed)
    level = line.pop("level", 0.0)
    return recalibrate(
        [
            drawn(rows, generator, level=level + spread * float(generator.normal()), **line)
            for _ in range(count)
        ]
    )


def exact(p: Floats) -> Recalibration:
    """Nothing to put right and nothing unsure, for the formulas alone."""
    x = log_odds(p)
    return Recalibration(
        rows=10_000,
        positives=2000,
        centre=0.0,
        level=Effect((0.0,), (1e-9,), 1e-9),
        slope=Effect((1.0,), (1e-9,), 1e-9),
        misfit=0.0,
        lowest=float(x.min()),
        highest=float(x.max()),
        edges=(),
        counts=(10_000,),
    )


def test_the_formulas_are_means_over_every_draw_of_the_outcomes() -> None:
    """Ten rows have 1,024 possible outcomes; the expected confusion is exact, ratios are near their means."""
    p = np.array([0.9, 0.8, 0.8, 0.65, 0.5, 0.35, 0.3, 0.2, 0.1, 0.05])
    d = p >= 0.5
    found = estimate(p, d, exact(p))
    weights, tp, pairs, right, accuracy, brier = [], [], [], [], [], []
    for outcome in itertools.product([False, True], repeat=10):
        y = np.array(outcome)
        weights.append(float(np.where(y, p, 1 - p).prod()))
        tp.append(int((d & y).sum()))
        accuracy.append(float((d == y).mean()))
        brier.append(float(((p - y) ** 2).mean()))
        pairs.append(int(y.sum() * (~y).sum()))
        right.append(float((p[y][:, None] > p[~y]).sum() + (p[y][:, None] == p[~y]).sum() / 2))
    weight = np.array(weights)
    assert found.confusion["tp"] == pytest.approx(weight @ tp)
    assert sum(found.confusion.values()) == pytest.approx(10)
    assert found.metrics["accuracy"].value == pytest.approx(weight @ accuracy)
    assert found.metrics["brier"].value == pytest.approx(weight @ brier)
    assert found.metrics["roc_auc"].value == pytest.approx((weight @ right) / (weight @ pairs))
    assert found.metrics["f1"].value == pytest.approx(2 * p[d].sum() / (d.sum() + p.sum()))
    assert found.metrics["precision"].value == pytest.approx(p[d].mean())
    assert found.metrics["recall"].value == pytest.approx(p[d].sum() / p.sum())


def test_estimates_of_exact_probabilities_are_the_means_of_what_is_realised() -> None:
    """And the interval is that of the draws of the outcomes alone."""
    generator = np.random.default_rng(1)
    p, _ = drawn(400, generator)
    d = p >= THRESHOLD
    found = estimate(p, d, exact(p))
    real: dict[str, list[float]] = {name: [] for name in METRICS}
    for _ in range(400):
        one = Answered.of(p, d, generator.random(400) < p).measured()
        for name in METRICS:
            real[name].append(one[name].value)
    for name in METRICS:
        mean, spread = float(np.mean(real[name])), float(np.std(real[name]))
        assert found.metrics[name].value == pytest.approx(mean, abs=0.3 * spread)
        assert found.metrics[name].high - found.metrics[name].low == pytest.approx(3.92 * spread, rel=0.15)


def test_grouped_scores_rank_rare_positives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40,000 rows about 170 are positive, many of them among the 150 highest scores."""
    p = sigmoid(np.random.default_rng(0).normal(-7, 1.8, 40_000))
    grouped = estimate(p, p >= THRESHOLD, exact(p), draws=200).metrics
    monkeypatch.setattr(estimation, "GROUPS", len(p))
    found = estimate(p, p >= THRESHOLD, exact(p), draws=200).metrics
    for name in ("pr_auc", "roc_auc"):
        spread = found[name].high - found[name].low
        assert grouped[name].value == pytest.approx(found[name].value, abs=0.1 * spread)
        assert grouped[name].high - grouped[name].low == pytest.approx(spread, rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "spread"),
    [({}, 0.0), ({"level": 0.4, "slope": 0.7}, 0.0), ({}, 0.3), ({"level": -0.3, "slope": 1.2}, 0.5)],
)
def test_intervals_hold_what_is_realised(line: dict[str, float], spread: float) -> None:
    """Over 150 references with their windows: exact, miscalibrated, and where days differ. The check passes."""
    generator = np.random.default_rng(11)
    inside: dict[str, list[bool]] = {name: [] for name in METRICS}
    passed = 0
    level = line.get("level", 0.0)

    def block(rows: int, move: float = 0.0) -> tuple[Floats, Flags]:
        own = {**line, "level": level + spread * float(generator.normal())}
        return drawn(rows, generator, move=move, **own)

    for _ in range(150):
        reference = recalibrate([block(500) for _ in range(8)])
        p, y = block(400, move=0.3)
        d = p >= THRESHOLD
        found = estimate(p, d, reference, draws=400).metrics
        real = Answered.of(p, d, y).measured()
        for name in METRICS:
            inside[name].append(found[name].low <= real[name].value <= found[name].high)
        passed += holds(p, reference)[0]
    least = 0.95 - 3.1 * math.sqrt(0.95 * 0.05 / 150)
    assert {name: float(np.mean(one)) for name, one in inside.items() if np.mean(one) < least} == {}
    assert passed >= 142


def test_plain_calibration_would_not_hold_where_days_differ() -> None:
    """What the blocks are for: with all rows as one exact block, the interval misses most of such windows."""
    generator = np.random.default_rng(2)
    inside = {True: 0, False: 0}
    for _ in range(20):
        levels = 0.5 * generator.normal(size=9)
        parts = [drawn(1000, generator, level=float(level)) for level in levels]
        p, y = parts.pop()
        whole = recalibrate([(np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts]))])
        certain = Recalibration(
            **{
                **vars(whole),
                "level": Effect(whole.level.found, whole.level.errors, 1e-6),
                "slope": Effect(whole.slope.found, whole.slope.errors, 1e-6),
            }
        )
        came = Answered.of(p, p >= THRESHOLD, y).measured()["precision"].value
        for blocked, line in ((True, recalibrate(parts)), (False, certain)):
            found = estimate(p, p >= THRESHOLD, line, draws=300).metrics["precision"]
            inside[blocked] += found.low <= came <= found.high
    assert inside[True] >= 17
    assert inside[False] <= 10


def test_many_scores_in_groups_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    p, _ = drawn(3000, np.random.default_rng(3))
    reference = learned()
    grouped = estimate(p, p >= THRESHOLD, reference)
    monkeypatch.setattr(estimation, "GROUPS", 5000)
    every = estimate(p, p >= THRESHOLD, reference)
    for name in METRICS:
        one, other = grouped.metrics[name], every.metrics[name]
        width = other.high - other.low
        assert one.value == pytest.approx(other.value, abs=0.03 * width)
        assert one.low == pytest.approx(other.low, abs=0.1 * width)
        assert one.high == pytest.approx(other.high, abs=0.1 * width)


def test_the_order_of_rows_does_not_matter_and_a_repetition_says_the_same() -> None:
    p, _ = drawn(300, np.random.default_rng(4))
    reference = learned()
    one, again, other = (estimate(q, q >= THRESHOLD, reference) for q in (p, p, p[::-1]))
    assert again.to_json() == one.to_json()
    assert vars(other.metrics["f1"]) == pytest.approx(vars(one.metrics["f1"]))


def test_estimates_are_plain_json_with_every_metric() -> None:
    p, _ = drawn(300, np.random.default_rng(4))
    costs = {"false_positive": 1.0, "false_negative": 5.0}
    found = estimate(p, p >= THRESHOLD, learned(), costs=costs)
    plain = found.to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert set(plain["metrics"]) == set(METRICS)
    assert plain["cost"]["value"] == pytest.approx((found.confusion["fp"] + 5 * found.confusion["fn"]) / 300)
    assert all(one.low <= one.value <= one.high for one in found.metrics.values())


@pytest.mark.parametrize("p", [[], [math.nan]])
def test_without_rows_nothing_is_estimated(p: list[float]) -> None:
    found = estimate(np.array(p), np.zeros(len(p), bool), learned())
    assert found.rows == 0
    assert set(found.to_json()["metrics"]) == set(METRICS)
    assert all(one["value"] is None for one in found.to_json()["metrics"].values())
    assert holds(np.array(p), learned()) == (False, ["The window has no rows."])


def test_one_row_and_equal_scores_have_defined_answers() -> None:
    reference = learned()
    single = estimate(np.array([0.2]), np.array([False]), reference)
    assert math.isnan(single.metrics["roc_auc"].value)
    assert math.isnan(single.metrics["precision"].value)
    assert 0 < single.metrics["accuracy"].value < 1
    same = estimate(np.full(200, 0.2), np.zeros(200, bool), reference)
    assert same.metrics["roc_auc"].value == pytest.approx(0.5)
    assert same.metrics["recall"].value == 0


def test_an_answer_without_a_probability_is_left_out() -> None:
    p, _ = drawn(200, np.random.default_rng(4))
    reference = learned()
    more = estimate(np.append(p, math.nan), np.append(p >= THRESHOLD, True), reference)
    assert more.to_json() == estimate(p, p >= THRESHOLD, reference).to_json()


def expected(seed: int = 7) -> dict[str, Any]:
    p, y = drawn(15_000, np.random.default_rng(seed))
    return performance.realised(Answered.of(p, p >= THRESHOLD, y), label_delay=0)["metrics"]  # type: ignore[no-any-return]


def estimated(seed: int, reference: Recalibration, **line: float) -> Estimated:
    p, _ = drawn(1000, np.random.default_rng(seed), **line)
    return estimate(p, p >= THRESHOLD, reference)


def test_a_loss_is_estimated_where_scores_gather_where_they_tell_little() -> None:
    """Every score about the threshold: the ranking is worth less, and no label is needed to know it."""
    p = sigmoid(np.random.default_rng(0).normal(MIDDLE, 0.25, 2000))
    found = estimated_loss(
        estimate(p, p >= THRESHOLD, learned()),
        expected()["roc_auc"],
        metric="roc_auc",
        margin=0.02,
        risk=0.001,
    )
    assert found is not None
    assert (found.kind, found.about, found.severity, found.rows) == (
        "estimated loss",
        "roc_auc",
        "page",
        2000,
    )
    assert found.kind in LOST
    assert found.p is not None
    assert 0 < found.p < 0.001
    assert "estimated at 0." in found.told()


def test_a_loss_of_brier_is_a_larger_one() -> None:
    """Moved towards the middle, outcomes are less certain; F1 is better for there being more of them."""
    found = estimated(1, learned(), move=1.5)
    reference = expected()
    assert estimated_loss(found, reference["brier"], metric="brier", margin=0.01, risk=0.01) is not None
    assert estimated_loss(found, reference["f1"], metric="f1", margin=0.01, risk=0.01) is None


def test_a_loss_is_seldom_estimated_where_there_is_none() -> None:
    reference, known = learned(), expected()
    windows = [estimated(seed, reference) for seed in range(30)]
    found = [
        estimated_loss(window, known[metric], metric=metric, margin=0.0, risk=0.05)
        for window in windows
        for metric in ("roc_auc", "f1", "log_loss")
    ]
    assert sum(one is not None for one in found) <= 4


def test_a_smaller_risk_asks_for_more() -> None:
    """Also beyond what the draws can tell."""
    samples = np.random.default_rng(0).normal(0.7, 0.01, 1000)
    limits = [estimation._limits(np.sort(samples), risk) for risk in (0.05, 0.01, 1e-4, 1e-8)]
    assert [one.low for one in limits] == sorted((one.low for one in limits), reverse=True)
    assert limits[2].low == pytest.approx(0.7 - 3.72 * 0.01, abs=0.005)


def test_the_check_passes_for_windows_like_the_reference() -> None:
    reference = learned()
    for seed in range(10):
        p, y = drawn(500, np.random.default_rng(seed))
        assert holds(p, reference, realised=[Answered.of(p, p >= THRESHOLD, y)]) == (True, [])


def reasons(p: Floats, reference: Recalibration, **more: Any) -> str:
    good, found = holds(p, reference, **more)
    assert good is not bool(found)
    return " ".join(found)


def test_the_check_names_what_is_wrong_with_the_window() -> None:
    generator = np.random.default_rng(0)
    reference = learned()
    p, _ = drawn(500, generator)
    assert "beyond the lowest or the highest" in reasons(sigmoid(generator.normal(6, 0.5, 500)), reference)
    assert "are worth" in reasons(sigmoid(generator.normal(MIDDLE + 3.2, 0.3, 500)), reference)
    assert "Of colour, size more than 5%" in reasons(
        p, reference, unseen={"size": 0.2, "colour": 0.06, "age": 0.01}
    )


def test_the_check_names_what_is_wrong_with_the_reference() -> None:
    p, _ = drawn(500, np.random.default_rng(0))
    few = learned(count=1, rows=60)
    assert "rows of the rarer outcome" in reasons(p, few)
    assert "say nothing sure" in reasons(p, learned(slope=0.0))
    bent = np.random.default_rng(1).uniform(0.05, 0.95, 20_000)
    outcome = np.random.default_rng(2).random(20_000) < np.abs(bent - 0.4)
    assert "even when recalibrated" in reasons(p, recalibrate([(bent, outcome)]))


@pytest.mark.parametrize(
    ("line", "words"),
    [({"level": 2.0}, "were positive where"), ({"slope": -0.2}, "the ROC-AUC was")],
)
def test_recent_outcomes_can_contradict(line: dict[str, float], words: str) -> None:
    """Outcomes have become frequent, or the scores no longer rank them: both leave the scores as they were."""
    generator = np.random.default_rng(5)
    reference = learned()
    good = [Answered.of(p, p >= THRESHOLD, y) for p, y in (drawn(800, generator) for _ in range(3))]
    p, y = drawn(800, generator, **line)
    bad = Answered.of(p, p >= THRESHOLD, y)
    assert holds(p, reference, realised=good)[0]
    assert words in reasons(p, reference, realised=[*good, bad])
    assert holds(p, reference, realised=[bad, *good, good[0]])[0]  # long ago


def test_realised_windows_are_learned_from_as_blocks() -> None:
    """A lasting change that was realised four times is followed, and is no surprise the fifth time."""
    generator = np.random.default_rng(6)
    before = [drawn(1000, generator) for _ in range(5)]
    after = [drawn(1000, generator, level=0.8) for _ in range(5)]
    p, y = after.pop()
    came = Answered.of(p, p >= THRESHOLD, y).measured()["precision"].value
    alone, following = (
        estimate(p, p >= THRESHOLD, recalibrate(blocks)).metrics["precision"]
        for blocks in (before, [*before, *after])
    )
    assert abs(following.value - came) < abs(alone.value - came)
    assert following.low <= came <= following.high
