"""Realised figures of a window, its slices, how complete its outcomes are, and whether it shows a loss."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import performance
from relevo.findings import LOST, Finding
from relevo.gate import METRICS
from relevo.performance import Answered

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE, THRESHOLD = 0.15, 0.25
CHECKED = (*METRICS, "ece")


def answered(
    rows: int, generator: np.random.Generator, *, slope: float = 1.0, shift: float = 0.0, **more: Any
) -> Answered:
    """Probabilities that are exact where ``slope`` is 1 and ``shift`` 0; a smaller slope says less."""
    middle = math.log(RATE / (1 - RATE))
    far = generator.normal(0, 1.3, rows)
    outcome = generator.random(rows) < 1 / (1 + np.exp(-(middle + shift + slope * far)))
    p = 1 / (1 + np.exp(-(middle + far)))
    return Answered.of(p, p >= THRESHOLD, outcome, **more)


def expected(rows: int, generator: np.random.Generator) -> dict[str, Any]:
    return performance.realised(answered(rows, generator), label_delay=0)["metrics"]  # type: ignore[no-any-return]


def test_a_windows_figures_are_plain_json() -> None:
    whole = answered(500, np.random.default_rng(0), age=np.full(500, 3.0), delay=np.linspace(0, 2, 500))
    found = performance.realised(whole, label_delay=1, costs={"false_positive": 1, "false_negative": 5})
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "rows", "positives", "predicted", "coverage", "complete", "delay", "metrics", "cost", "slices",
    }  # fmt: skip
    assert tuple(found["metrics"]) == CHECKED
    assert all(set(one) == {"value", "low", "high"} for one in (*found["metrics"].values(), found["cost"]))
    assert (found["rows"], found["predicted"], found["coverage"], found["complete"]) == (500, 500, 1, True)
    assert found["delay"] == pytest.approx({"median_days": 1, "p90_days": 1.8})


def test_only_known_outcomes_are_measured() -> None:
    """Outcomes that are unknown, and answers without a probability, leave the figures as they are."""
    whole = answered(300, np.random.default_rng(1))
    more = Answered.of(
        [*whole.probability, 0.9, math.nan, 0.9],
        [*whole.decision, True, True, True],
        [*whole.outcome, None, True, math.nan],
    )
    one, other = (performance.realised(a, label_delay=0) for a in (whole, more))
    assert other["metrics"] == one["metrics"]
    assert (other["rows"], other["predicted"]) == (300, 302)


def test_nothing_has_no_figures() -> None:
    found = performance.realised(
        Answered.of([], [], [], age=np.empty(0)), label_delay=30, costs={"false_positive": 1}
    )
    assert found["metrics"] == {name: {"value": None, "low": None, "high": None} for name in CHECKED}
    assert found["cost"] == {"value": None, "low": None, "high": None}
    assert (found["rows"], found["coverage"], found["complete"]) == (0, None, False)
    assert found["delay"] == {"median_days": None, "p90_days": None}


def test_coverage_is_of_what_should_be_known() -> None:
    """Two of three predictions older than 30 days have an outcome; a young one counts neither way."""
    late = Answered.of([0.1] * 4, [False] * 4, [False, True, None, None], age=np.array([40, 31, 50, 2]))
    assert performance.coverage(late, 30) == pytest.approx(2 / 3)
    assert performance.coverage(late, 60) is None


@pytest.mark.parametrize(
    ("outcomes", "age", "complete"),
    [
        ([1, 1, None, None], 31.0, True),  # no more will come
        ([1, 1, None, None], 5.0, False),  # these two may have come early for being positive
        ([1, 0, 0, 0], 5.0, True),
    ],
)
def test_a_window_is_complete_when_hardly_an_outcome_can_come(
    outcomes: list[int | None], age: float, complete: bool
) -> None:
    found = Answered.of([0.2] * 4, [False] * 4, outcomes, age=np.full(4, age))
    assert performance.complete(found, 30) is complete


def test_slices_are_measured_apart_and_the_rarest_together() -> None:
    generator = np.random.default_rng(3)
    values: list[str | None] = [None if i % 50 == 0 else f"{min(i % 7, i % 11)}" for i in range(1000)]
    whole = answered(1000, generator, slices={"airline": values})
    found = performance.realised(whole, label_delay=0, most=4)["slices"]["airline"]
    names = ["-" if value is None else value for value in values]
    top = sorted(set(names), key=lambda name: (-names.count(name), name))[:3]
    assert list(found) == [*top, performance.OTHER]
    assert sum(one["rows"] for one in found.values()) == 1000
    assert sum(one["positives"] for one in found.values()) == int(whole.outcome.sum())
    part = whole.take(np.array(names) == top[0])
    alone = performance.realised(part, label_delay=0)
    assert found[top[0]]["metrics"] == alone["metrics"]
    assert set(found[top[0]]) == {"rows", "positives", "metrics", "cost"}


def test_few_values_are_all_shown() -> None:
    whole = answered(60, np.random.default_rng(3), slices={"kind": ["a", "b", None] * 20})
    assert set(performance.realised(whole, label_delay=0, most=3)["slices"]["kind"]) == {"a", "b", "-"}


METRICS_TRIED = ("roc_auc", "f1", "brier")
RISK, TIMES = 0.05, 500


def alarms(times: int, margin: float, **changed: float) -> dict[str, float]:
    """How often a window of 400 rows shows a loss against a reference of 1,500."""
    generator = np.random.default_rng(7)
    found = dict.fromkeys(METRICS_TRIED, 0)
    for _ in range(times):
        reference, window = expected(1500, generator), answered(400, generator, **changed)
        for metric in METRICS_TRIED:
            lost = performance.loss(window, reference[metric], metric=metric, margin=margin, risk=RISK)
            found[metric] += lost is not None
    return {metric: count / times for metric, count in found.items()}


@pytest.mark.slow
def test_a_loss_is_seldom_found_where_there_is_none() -> None:
    """With no margin the rate is the risk itself: .05, in that many windows at most .05 + 3.1 deviations."""
    most = RISK + 3.1 * math.sqrt(RISK * (1 - RISK) / TIMES)
    found = alarms(TIMES, 0.0)
    assert max(found.values()) <= most
    assert min(found.values()) >= RISK / 4  # and it is no promise kept by never saying anything


def test_a_margin_is_what_must_be_exceeded() -> None:
    assert max(alarms(100, 0.05).values()) <= 0.01


def test_a_loss_is_found_where_there_is_one() -> None:
    """Scores that say nothing any more, or outcomes twice as frequent, in four windows of five at least."""
    useless = alarms(20, 0.02, slope=0.0)
    assert useless["roc_auc"] >= 0.95
    assert useless["f1"] >= 0.8
    assert alarms(20, 0.02, shift=1.0)["brier"] >= 0.8


def test_a_loss_says_what_it_was() -> None:
    generator = np.random.default_rng(4)
    reference = expected(4000, generator)["roc_auc"]
    window = answered(1000, generator, slope=0.2)
    found = performance.loss(window, reference, metric="roc_auc", margin=0.02, risk=1e-4)
    assert isinstance(found, Finding)
    assert (found.kind, found.about, found.severity, found.rows) == ("loss", "roc_auc", "page", 1000)
    assert found.kind in LOST
    assert found.expected == reference["value"]
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.p is not None
    assert 0 < found.p < 1e-4
    assert "roc_auc is 0." in found.told()
    assert Finding.of_json(json.loads(json.dumps(found.to_json()))) == found


def test_p_is_the_smallest_risk_that_would_have_found_it() -> None:
    generator = np.random.default_rng(5)
    reference = expected(2000, generator)["roc_auc"]
    window = answered(400, generator, slope=0.5)
    found = performance.loss(window, reference, metric="roc_auc", margin=0.0, risk=0.2)
    assert found is not None
    assert found.p is not None

    def at(risk: float) -> Finding | None:
        return performance.loss(window, reference, metric="roc_auc", margin=0.0, risk=risk)

    assert at(found.p * 1.05) is not None
    assert at(found.p * 0.95) is None


@pytest.mark.parametrize(
    ("window", "reference"),
    [
        (Answered.of([0.2, 0.3], [False, True], [True, True]), {"value": 0.9, "low": 0.89, "high": 0.91}),
        (Answered.of([0.2, 0.3], [False, True], [True, False]), {"value": None, "low": None, "high": None}),
        (Answered.of([], [], []), {"value": 0.9, "low": 0.89, "high": 0.91}),
    ],
)
def test_without_a_figure_there_is_no_loss(window: Answered, reference: dict[str, float | None]) -> None:
    assert performance.loss(window, reference, metric="roc_auc", margin=0.0, risk=0.5) is None


def test_a_surer_reference_shows_more() -> None:
    """The uncertainty of what is compared with counts."""
    generator = np.random.default_rng(9)
    window = answered(2000, generator, slope=0.8)
    value = expected(100_000, generator)["roc_auc"]["value"]
    sure, unsure = ({"value": value, "low": value - by, "high": value + by} for by in (0.001, 0.1))
    assert performance.loss(window, sure, metric="roc_auc", margin=0.0, risk=0.01) is not None
    assert performance.loss(window, unsure, metric="roc_auc", margin=0.0, risk=0.01) is None


def rows(found: Answered) -> NDArray[np.float64]:
    return np.stack([found.probability, found.decision, found.outcome])


def test_order_of_rows_does_not_matter() -> None:
    generator = np.random.default_rng(6)
    one = answered(200, generator)
    order = generator.permutation(200)
    other = Answered.of(one.probability[order], one.decision[order], one.outcome[order])
    found, again = (performance.realised(a, label_delay=0)["metrics"] for a in (one, other))
    for name in CHECKED:
        assert again[name] == pytest.approx(found[name], rel=1e-12)
    assert rows(one).sum() == pytest.approx(rows(other).sum())
