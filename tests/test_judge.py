from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from relevo.evaluate import Evaluation, evaluate, paired
from relevo.gate import Gate
from relevo.judge import CaseResult, judge
from relevo.stats import Interval

if TYPE_CHECKING:
    from relevo.records import Reason, Verdict

TRUTH = np.arange(400) % 4 == 0
GOOD = np.where(TRUTH, 0.7, 0.2) + np.linspace(-0.2, 0.2, 400)
POOR = 0.3 + np.linspace(-0.2, 0.2, 400)


def measured(probability: object, threshold: float = 0.5) -> Evaluation:
    return evaluate(probability, TRUTH, threshold, resamples=50)  # type: ignore[arg-type]


BASELINES = {"always-yes": measured(np.full(400, 0.25), 0.0), "tree": measured(POOR, 0.3)}


def reason(verdict: Verdict, check: str) -> Reason:
    return next(found for found in verdict.reasons if found.check == check)


def test_a_good_first_candidate_is_accepted() -> None:
    gate = Gate(minimum={"f1": 0.5, "brier": 0.2})
    verdict = judge(gate, "f1", measured(GOOD), BASELINES, None, [])
    assert verdict.accepted
    assert [found.check for found in verdict.reasons] == [
        "rows",
        "minimum:f1",
        "minimum:brier",
        "baselines",
        "champion",
    ]


def test_a_metric_below_its_minimum_refuses() -> None:
    verdict = judge(Gate(minimum={"f1": 0.999}), "f1", measured(GOOD), BASELINES, None, [])
    found = reason(verdict, "minimum:f1")
    assert not verdict.accepted
    assert not found.passed
    assert "below the 0.999 required" in found.text
    assert found.figures["required"] == 0.999


def test_a_loss_above_its_limit_refuses() -> None:
    verdict = judge(Gate(minimum={"log_loss": 0.01}), "f1", measured(GOOD), BASELINES, None, [])
    assert "above the 0.010 allowed" in reason(verdict, "minimum:log_loss").text
    assert not verdict.accepted


def test_no_better_than_a_baseline_refuses() -> None:
    """The strongest baseline is named; equal is not more."""
    verdict = judge(Gate(), "f1", BASELINES["always-yes"], BASELINES, None, [])
    found = reason(verdict, "baselines")
    assert not found.passed
    assert found.figures["baseline"] == "always-yes"


def test_baselines_may_be_left_out() -> None:
    verdict = judge(Gate(beats_baselines=False), "f1", measured(POOR), BASELINES, None, [])
    assert verdict.accepted


@pytest.mark.parametrize("metric", ["brier", "log_loss"])
def test_a_lower_loss_is_better_than_a_baseline(metric: str) -> None:
    verdict = judge(Gate(), metric, measured(GOOD), BASELINES, None, [])
    assert reason(verdict, "baselines").passed


def test_recall_is_not_compared_with_always_yes() -> None:
    """Nothing can beat a recall of 1."""
    verdict = judge(Gate(), "recall", measured(GOOD, 0.3), BASELINES, None, [])
    assert reason(verdict, "baselines").figures["baseline"] == "tree"


def test_recall_can_be_shown_where_most_rows_are_positive() -> None:
    """There the majority, and the cut of a tree, name every row too."""
    everything = measured(np.full(400, 0.6), 0.0)
    baselines = {"majority": everything, "prior-random": measured(POOR, 0.3), "tree": everything}
    found = reason(judge(Gate(), "recall", measured(GOOD, 0.6), baselines, None, []), "baselines")
    assert found.passed
    assert found.figures["baseline"] == "prior-random"


def test_recall_passes_where_every_baseline_names_every_row() -> None:
    everything = {"majority": measured(np.full(400, 0.6), 0.0)}
    found = reason(judge(Gate(), "recall", measured(GOOD, 0.6), everything, None, []), "baselines")
    assert found.passed
    assert "names every row, and is not compared" in found.text
    assert found.figures["baseline"] is None


def test_a_model_that_names_every_row_is_no_better_than_always_yes() -> None:
    found = reason(judge(Gate(), "recall", measured(GOOD, 0.0), BASELINES, None, []), "baselines")
    assert not found.passed
    assert found.figures["baseline"] == "always-yes"


def test_an_undefined_metric_refuses() -> None:
    one_class = evaluate([0.1, 0.2], [False, False], 0.5, resamples=10)
    verdict = judge(Gate(minimum={"roc_auc": 0.6}), "roc_auc", one_class, {"tree": one_class}, None, [])
    assert not verdict.accepted
    assert "roc_auc is undefined" in reason(verdict, "minimum:roc_auc").text
    assert "baseline tree with undefined" in reason(verdict, "baselines").text


def test_what_is_compared_is_shown_apart() -> None:
    nearly = measured(GOOD)
    nearly = replace(nearly, metrics={**nearly.metrics, "f1": Interval(0.79996, 0.7, 0.9)})
    baselines = {"tree": replace(nearly, metrics={**nearly.metrics, "f1": Interval(0.799961, 0.7, 0.9)})}
    verdict = judge(Gate(minimum={"f1": 0.8}), "f1", nearly, baselines, None, [])
    assert "f1 is 0.79996, below the 0.80000 required" in reason(verdict, "minimum:f1").text
    assert "f1 is 0.799960, no better" in reason(verdict, "baselines").text
    assert "with 0.799961." in reason(verdict, "baselines").text


def test_worse_than_the_champion_refuses() -> None:
    against = paired(GOOD, 0.5, POOR, 0.3, TRUTH, "f1", resamples=200)
    verdict = judge(Gate(beats_baselines=False), "f1", measured(POOR, 0.3), BASELINES, against, [])
    found = reason(verdict, "champion")
    assert not verdict.accepted
    assert found.figures["worse"] == 1.0
    assert "more than 0.050 is too much" in found.text


def test_a_doubtful_candidate_is_refused() -> None:
    """Not shown to be worse is not enough: it must be shown not to be worse by more than the margin."""
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.5
    champion, challenger = (np.where(rng.random(60) < 0.8, truth, ~truth) * 0.8 + 0.1 for _ in range(2))
    against = paired(champion, 0.5, challenger, 0.5, truth, "accuracy", resamples=400)
    assert 0.05 < against.worse(0.02) < 0.95
    verdict = judge(Gate(beats_baselines=False), "accuracy", measured(GOOD), BASELINES, against, [])
    assert not reason(verdict, "champion").passed


@pytest.mark.parametrize("confidence", [0.8, 0.85, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("more", [0, 1])
def test_the_risk_that_is_allowed_passes_and_no_more(confidence: float, more: int) -> None:
    samples = np.where(np.arange(1000) < round(1000 * (1 - confidence)) + more, -1.0, 0.0)
    against = replace(paired(GOOD, 0.5, GOOD, 0.5, TRUTH, "f1", resamples=10), samples=samples)
    found = reason(
        judge(Gate(confidence=confidence), "f1", measured(GOOD), BASELINES, against, []), "champion"
    )
    assert found.passed == (not more)
    assert ("is too much" in found.text) == bool(more)


def test_a_risk_just_above_what_is_allowed_is_shown_so() -> None:
    samples = np.where(np.arange(10_000) < 502, -1.0, 0.0)
    against = replace(paired(GOOD, 0.5, GOOD, 0.5, TRUTH, "f1", resamples=10), samples=samples)
    found = reason(judge(Gate(), "f1", measured(GOOD), BASELINES, against, []), "champion")
    assert "with probability 0.0502 it is worse" in found.text
    assert "more than 0.0500 is too much" in found.text


@pytest.mark.parametrize(("rarer", "told"), [(10, True), (199, True), (200, False)])
def test_too_few_rows_for_the_error_rate_are_told(rarer: int, told: bool) -> None:
    truth = np.arange(6 * rarer) < rarer
    answers = np.where(truth, 0.9, 0.1)
    against = paired(answers, 0.5, answers, 0.5, truth, "recall", resamples=50)
    found = reason(judge(Gate(), "f1", measured(GOOD), BASELINES, against, []), "champion")
    assert found.passed
    assert (f"Only {rarer} rows of the rarer class are compared" in found.text) == told
    assert found.figures["rarer"] == rarer


def test_too_few_groups_for_the_error_rate_are_told() -> None:
    """However many rows they have."""
    truth, group = np.arange(3000) < 1000, np.arange(3000) // 10
    answers = np.where(truth, 0.9, 0.1)
    against = paired(answers, 0.5, answers, 0.5, truth, "recall", group=group, resamples=50)
    found = reason(judge(Gate(), "f1", measured(GOOD), BASELINES, against, []), "champion")
    assert "Only 100 groups with rows of the rarer class are compared" in found.text
    assert (found.figures["rarer"], found.figures["groups"]) == (100, 300)


def test_the_gate_keeps_its_error_rate() -> None:
    """Of candidates that lie exactly the margin below the champion, about one in twenty passes."""
    rng = np.random.default_rng(1)
    passed = 0
    for seed in range(200):
        truth = rng.random(500) < 0.5
        champion = np.where(rng.random(500) < 0.80, truth, ~truth) * 0.8 + 0.1
        challenger = np.where(rng.random(500) < 0.78, truth, ~truth) * 0.8 + 0.1
        against = paired(champion, 0.5, challenger, 0.5, truth, "accuracy", seed=seed, resamples=200)
        passed += against.worse(0.02) <= 0.05
    assert passed / 200 <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_within_the_margin_of_the_champion_passes() -> None:
    nearly = GOOD.copy()
    nearly[:4] = 0.45
    against = paired(GOOD, 0.5, nearly, 0.5, TRUTH, "f1", resamples=200)
    verdict = judge(Gate(margin=0.05), "f1", measured(nearly), BASELINES, against, [])
    assert verdict.accepted
    assert reason(verdict, "champion").figures["margin"] == 0.05


def test_a_critical_case_gone_wrong_refuses() -> None:
    """Every case has its reason, the right ones too."""
    cases = [
        CaseResult("night flight", "on time", "on time", passed=True),
        CaseResult("strike", "late", "on time", passed=False),
    ]
    verdict = judge(Gate(), "f1", measured(GOOD), BASELINES, None, cases)
    assert not verdict.accepted
    assert reason(verdict, "case:night flight").passed
    assert "“strike” is answered on time; late was expected" in reason(verdict, "case:strike").text


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        (Gate(), True),
        (Gate(minimum_rows=401), False),
        (Gate(minimum_positives=101), False),
        (Gate(minimum_rows=400, minimum_positives=100), True),
    ],
)
def test_too_few_held_out_rows_show_nothing(gate: Gate, passes: bool) -> None:
    """400 rows, of which 100 are of the rarer class."""
    verdict = judge(gate, "f1", measured(GOOD), BASELINES, None, [])
    found = reason(verdict, "rows")
    assert verdict.accepted == found.passed == passes
    assert (found.figures["rows"], found.figures["rarer"]) == (400, 100)
    assert passes or "RepeatedStratifiedSplit" in found.text


def test_the_rarer_class_may_be_the_negative_one() -> None:
    truth = np.arange(400) % 80 > 0
    evaluation = evaluate(np.where(truth, 0.9, 0.2), truth, 0.5, resamples=10)
    found = reason(judge(Gate(), "f1", evaluation, BASELINES, None, []), "rows")
    assert not found.passed
    assert "5 of them of the rarer class; 50 and 10 are the least" in found.text
