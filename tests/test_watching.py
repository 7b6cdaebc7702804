"""A version within its margins is left alone, however often one looks; a faulty one is found soon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo.watching import BINS, GROWTH, RISK, Counts, Finding, Margins, Side, Watch, reference_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

SCORES = np.array([0.5**place for place in range(BINS)]) / sum(0.5**place for place in range(BINS))
TIMES = np.array([0.0] * 6 + [0.5, 0.3, 0.15, 0.05] + [0.0] * 15)
REFERENCE = (SCORES * 20_000).astype(int).tolist()


class Requests:
    """Draws what one version does with requests; ``failures`` and ``refusals`` are its rates."""

    def __init__(
        self,
        seed: int,
        failures: float = 0.0,
        refusals: float = 0.0,
        scores: Any = SCORES,
        times: Any = TIMES,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._kinds = [1 - failures - refusals, failures, refusals]
        self._scores, self._times = scores, times
        self.counts = Counts()

    def come(self, number: int) -> None:
        """Let as many come."""
        answered, failed, refused = self._random.multinomial(number, self._kinds).tolist()
        part = {
            "answered": answered,
            "failed": failed,
            "refused": refused,
            "scores": self._random.multinomial(answered, self._scores).tolist(),
            "times": self._random.multinomial(answered, self._times).tolist(),
        }
        self.counts = Counts.merge([self.counts.to_json(), part])


def watched(
    tried: Requests, before: Requests, *, share: float = 0.1, most: int = 30_000, risk: float = RISK
) -> tuple[Finding | None, int]:
    """Look after each request that makes a look due, until something is found; gives it and the requests tried."""
    watch = Watch(risk=risk)
    number = 50
    while tried.counts.asked < most:
        tried.come(number - tried.counts.asked)
        before.come(round((1 - share) / share * (number - before.counts.asked * share / (1 - share))))
        found = watch.judge(Side(tried.counts, REFERENCE), Side(before.counts, REFERENCE))
        if found is not None:
            return found, tried.counts.asked
        number = int(np.ceil(number * GROWTH))
    return None, tried.counts.asked


def shifted(by: float) -> Any:
    """Scores of which a share stands at the upper end."""
    moved = SCORES * (1 - by)
    moved[-1] += by
    return moved


def slower(share: float) -> Any:
    """Times of which a share is 16 ms."""
    moved = TIMES * (1 - share)
    moved[14] += share
    return moved


MARGINS = Margins()
WORST = {
    "equal": {},
    "failures": {"failures": MARGINS.failures},
    "refusals": {"refusals": MARGINS.refusals},
    "times": {"times": slower(MARGINS.times)},
    "scores": {"scores": shifted(MARGINS.scores)},
    "all": {
        "failures": MARGINS.failures,
        "refusals": MARGINS.refusals,
        "times": slower(MARGINS.times),
        "scores": shifted(MARGINS.scores),
    },
}


@pytest.mark.parametrize("kind", WORST)
def test_a_version_just_within_its_margins_is_found_guilty_no_more_often_than_stated(kind: str) -> None:
    """100 watches of 27 looks each, at the worst that is still allowed; the statement is 1 %."""
    alarms = sum(
        watched(Requests(seed, **WORST[kind]), Requests(9_000 + seed), share=0.3)[0] is not None
        for seed in range(100)
    )
    assert alarms <= 100 * RISK


def test_the_risk_is_that_of_the_watch_and_not_of_a_look() -> None:
    """With a risk of a half and equal versions, half would be an alarm if each look spent it anew."""
    alarms = [
        watched(Requests(seed, refusals=0.2), Requests(7_000 + seed, refusals=0.18), risk=0.5)[0]
        for seed in range(60)
    ]
    assert sum(one is not None for one in alarms) <= 30


@pytest.mark.parametrize(
    ("kind", "faults", "requests"),
    [
        ("failures", {"failures": 1.0}, 50),
        ("failures", {"failures": 0.05}, 1_000),
        ("refusals", {"refusals": 0.5}, 100),
        ("refusals", {"refusals": 0.08}, 1_500),
        ("times", {"times": slower(1.0)}, 100),
        ("times", {"times": slower(0.25)}, 1_000),
        ("scores", {"scores": shifted(1.0)}, 150),
        ("scores", {"scores": shifted(0.3)}, 2_500),
    ],
)
def test_a_faulty_version_is_found_within_so_many_requests(
    kind: str, faults: dict[str, Any], requests: int
) -> None:
    for seed in range(20):
        found, asked = watched(Requests(seed, **faults), Requests(500 + seed))
        assert found is not None
        assert (found.signal, asked <= requests) == (kind, True)


def test_what_the_version_before_does_too_is_not_held_against_it() -> None:
    habits: dict[str, Any] = {
        "failures": 0.2,
        "refusals": 0.3,
        "scores": shifted(0.6),
        "times": slower(0.5),
    }
    assert watched(Requests(1, **habits), Requests(2, **habits), most=10_000)[0] is None


def test_a_better_model_may_score_otherwise_as_its_own_reference_says() -> None:
    other = shifted(0.5)
    tried, before = Requests(3, scores=other), Requests(4)
    tried.come(5_000)
    before.come(5_000)
    reference = (other * 20_000).astype(int).tolist()
    assert Watch().judge(Side(tried.counts, reference), Side(before.counts, REFERENCE)) is None
    found = Watch().judge(Side(tried.counts, REFERENCE), Side(before.counts, REFERENCE))
    assert found is not None
    assert found.signal == "scores"


def test_a_small_reference_makes_it_careful() -> None:
    tried, before = Requests(3, scores=shifted(0.3)), Requests(4)
    tried.come(5_000)
    before.come(5_000)
    few = (SCORES * 100).astype(int).tolist()
    assert Watch().judge(Side(tried.counts, few), Side(before.counts, few)) is None


def test_with_nothing_to_compare_only_failures_are_judged() -> None:
    refused, failed = Requests(1, refusals=1.0), Requests(1, failures=0.5)
    refused.come(1_000)
    failed.come(1_000)
    assert Watch().judge(Side(refused.counts, REFERENCE), None) is None
    found = Watch().judge(Side(failed.counts), None)
    assert found is not None
    assert found.signal == "failures"
    empty = Watch().judge(Side(failed.counts, REFERENCE), Side(Counts(), REFERENCE))
    assert empty is None


def test_it_looks_only_when_the_requests_have_grown_by_a_quarter() -> None:
    tried, before, watch = Requests(1), Requests(2), Watch()
    looks = []
    for _ in range(200):
        tried.come(1)
        before.come(9)
        watch.judge(Side(tried.counts), Side(before.counts))
        looks.append(watch.look)
    assert [looks.index(number) + 1 for number in range(1, 8)] == [50, 63, 79, 99, 124, 155, 194]


def test_a_finding_says_its_figures_in_one_sentence() -> None:
    tried, before = Requests(1, failures=1.0), Requests(2)
    found, _ = watched(tried, before)
    assert found is not None
    assert found.told() == (
        "Failures: 100.0% of 50 requests (at least 86.6%); without it 0.0% of 450 (at most 1.6%). "
        "The margin is 1.0%, the risk of a false alarm 1.0%."
    )


def test_counts_of_several_processes_add_up_and_survive_json() -> None:
    one, two = Counts(), Counts()
    one.found += [0.0, 0.05, 0.999, 1.0]
    one.seconds += [0.0, 1e9]
    two.found += [float("nan"), 0.5]
    two.refused += 1
    two.seconds += [3e-6]
    parts = [json.loads(json.dumps(part.to_json())) for part in (one, two)]
    whole = Counts.merge(parts)
    assert (whole.answered, whole.failed, whole.refused, whole.asked) == (5, 1, 1, 7)
    assert (whole.scores[0], whole.scores[1], whole.scores[10], whole.scores[-1]) == (1, 1, 1, 2)
    assert (whole.times[0], whole.times[2], whole.times[-1], sum(whole.times)) == (1, 1, 1, 3)
    assert Counts.merge([]).to_json() == Counts().to_json()


@pytest.mark.parametrize("profile", [{}, {"score": {}}, {"score": {"counts": [1, 2]}}, {"score": None}])
def test_a_package_without_a_fitting_reference_has_none(profile: dict[str, Any]) -> None:
    assert reference_scores(profile) is None
    counts: Sequence[int] = [1] * BINS
    assert reference_scores({"score": {"counts": counts}}) == counts
