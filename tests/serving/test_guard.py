"""What answers badly is taken back by itself, with its evidence, and nobody sees a failed request."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import challenge
from relevo.journal import COUNTS, Journal
from relevo.records import CHALLENGER, CHAMPION, Release
from relevo.serving.access import Access
from relevo.serving.app import create_app
from relevo.serving.challenger import Challenger
from relevo.serving.counting import Counting
from relevo.serving.follow import Follower
from relevo.serving.guard import FRESH, Guard, Seen, merged
from relevo.serving.ids import Ids
from relevo.serving.metrics import Metrics
from relevo.serving.predict import Predict
from relevo.watching import Counts
from support import asgi, planted, service, small
from support.service import GOOD, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # each test starts services of its own


FLIGHTS = [small.body(small.request(random.Random(seed))) for seed in range(100)]


@pytest.mark.parametrize("fault", ["failing", "strict", "slow", "sure"])
def test_a_faulty_canary_is_taken_back_under_load_without_a_failed_request(
    tmp_path: Path, fault: str
) -> None:
    make: dict[str, Any] = {
        "failing": lambda: planted.failing(tmp_path / "changed"),
        "strict": planted.strict,
        "slow": planted.slow,
        "sure": planted.sure,
    }
    sound = {"reference": planted.reference()}
    made = service.workspace(tmp_path, sound, sound | make[fault]())
    running = service.start(tmp_path)
    newest = made.ledger.versions("flights")[0].version

    def tried() -> None:
        begun = challenge.canary(made, "flights", newest, share=0.3, who="test")
        until(lambda: made.ledger.standing("flights", CHALLENGER) is None)
        until(lambda: running.client.get("/v1/model").json()["challenger"] is None)
        last = made.ledger.releases("flights")[-1]
        assert (last.act, last.version, last.number) == ("withdraw", newest, begun.number + 1)
        signal = {"failing": "failures", "strict": "refusals", "slow": "times", "sure": "scores"}[fault]
        assert last.facts["finding"]["signal"] == signal
        assert last.facts["tried"]["counts"]["answered"] >= 0
        assert "The margin is" in last.why
        assert last.who.startswith("relevo serve on ")

    load = service.press(running.url, FLIGHTS, tried)
    assert (load.others, load.broken) == ([], 0)
    assert running.metric("relevo_rollbacks_total") == 1
    assert running.stop() == 0
    made.ledger.verify("flights")


def test_a_fresh_release_that_answers_badly_goes_back_to_the_version_before(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, planted.strict())
    running = service.start(tmp_path)
    newest = made.ledger.versions("flights")[0].version
    for _ in range(4):
        assert len(running.ask(FLIGHTS).json()) == 100
    service.promote(made, newest)
    until(lambda: running.client.get("/ready").json()["version"] == newest)

    def back() -> bool:
        for body in FLIGHTS[:20]:
            running.ask(body)
        return bool(running.client.get("/ready").json()["version"] == "1.0.0")

    until(back)
    last = made.ledger.releases("flights")[-1]
    assert (last.alias, last.act, last.version, last.previous) == (CHAMPION, "rollback", "1.0.0", newest)
    assert last.facts["before"]["version"] == "1.0.0"
    assert last.facts["before"]["counts"]["answered"] == 400
    assert last.facts["finding"]["signal"] == "refusals"
    assert "Refusals" in last.why
    assert running.stop() == 0
    made.ledger.verify("flights")


def test_a_champions_counts_are_of_its_last_hours_and_of_who_stood_beside_it(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, service.SECOND)
    metrics = Metrics()
    predict = _predict(tmp_path, metrics)
    challenger = Challenger(made, "flights", predict, metrics, None)
    access = Access(made, "flights", None)
    follower = Follower(made, "flights", CHAMPION, predict, metrics, access, None)
    found = follower.look()
    assert found is not None
    predict.swap(found)
    tally = metrics.tally
    found.counts.found += [0.5] * 3
    tally._since -= FRESH
    tally.age(found)
    found.counts.found += [0.5]
    assert {key: counts["answered"] for key, counts in tally.to_json().items()} == {"1-": 3, "1": 1}
    begun = challenge.canary(made, "flights", "1.0.1", share=0.5, who="test")
    challenger.look("news", made.ledger.standing("flights", CHALLENGER))
    challenger.take()
    assert predict.canary is not None
    predict.canary.served.counts.found += [0.5] * 7
    found.counts.found += [0.5] * 5
    number = begun.number
    beside = {f"1+{number}": 5, f"{number}@1": 7}
    assert {key: counts["answered"] for key, counts in tally.to_json().items()} == {"1-": 3, "1": 1, **beside}
    challenge.end(made.ledger, "flights", who="test")
    challenger.look("more news", made.ledger.standing("flights", CHALLENGER))
    challenger.take()
    found.counts.found += [0.5]
    assert tally.to_json()["1"]["answered"] == 2
    for release in range(100, 200):
        found.release = replace(found.release, number=release)
        tally.assign(found, None)
    assert len(tally.to_json()) < 40


@pytest.mark.parametrize("route", ["/v2/models/flights/infer", "/v1/predict?explain=true"])
def test_what_other_routes_answer_counts_as_what_they_fail_at_does(tmp_path: Path, route: str) -> None:
    """A rare failure is rare on each route; and no canary is compared with what it was not asked."""
    known = {"background": FLIGHTS[:5]}
    made = service.workspace(tmp_path, known, known | planted.failing(tmp_path / "changed"))
    newest = made.ledger.versions("flights")[0].version
    service.promote(made, newest)
    asked = [flight for flight in FLIGHTS if flight["Emp-I"] != "SKU"][:45]
    failing = GOOD | {"Emp-I": "SKU"}
    wrong = GOOD | {"Emp-I": None}
    with asgi.over(create_app(made, "flights", collect=False)) as ask:

        def post(flights: list[dict[str, Any]]) -> int:
            body: Any = flights
            if route.startswith("/v2"):
                tensors = [[flight[name] for flight in flights] for name in GOOD]
                body = {
                    "inputs": [
                        {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": data}
                        for name, data in zip(GOOD, tensors, strict=True)
                    ]
                }
            return ask("POST", route, json.dumps(body).encode(), {"content-type": "application/json"}).status

        def counted() -> dict[str, list[int]]:
            numbers = ("answered", "refused", "failed")
            found = ask.app.metrics.tally.to_json()
            return {key: [counts[name] for name in numbers] for key, counts in found.items()}

        for start in range(0, 45, 15):
            assert post(asked[start : start + 15]) == 200
        assert [post([failing]), post([wrong])] == [422, 422]
        assert counted() == {"2": [45, 1, 1]}
        challenge.canary(made, "flights", "1.0.0", share=0.5, who="test")
        ask.app.follower.look()
        assert ask.app.follower.challenger is not None
        ask.app.follower.challenger.take()
        assert post(asked[:15]) == 200
        assert post([failing]) == 422
        assert counted() == {"2": [60, 1, 2], "2+3": [0, 0, 0], "3@2": [0, 0, 0]}


def _predict(root: Path, metrics: Metrics) -> Predict:
    counting = Counting(Journal.open(root / "log", COUNTS), metrics)
    return Predict(Journal.open(root / "log"), metrics, Ids(), counting, project="flights", alias=CHAMPION)


class Judged:
    """A guard over a workspace with two versions, given counts as a service would count them."""

    def __init__(self, root: Path) -> None:
        self.made = service.workspace(root, {}, service.SECOND)
        self.metrics = metrics = Metrics()
        predict = _predict(root, metrics)
        self.guard = Guard(self.made, predict, lambda: [metrics.tally.to_json()])

    def release(self, alias: str = CHAMPION) -> Release:
        found = self.made.ledger.standing("flights", alias)
        assert found is not None
        return found

    def judge(self, canary: Release | None = None, **counts: Counts) -> None:
        self.guard.judge(Seen(self.release(), canary, {key.lstrip("r"): one for key, one in counts.items()}))


def counted(answered: int = 0, failed: int = 0) -> Counts:
    counts = Counts()
    counts.found += [0.5] * answered + [float("nan")] * failed
    return counts


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return Judged(tmp_path)


def test_what_moved_since_it_was_judged_stays(judged: Judged) -> None:
    ledger = judged.made.ledger
    first = challenge.canary(judged.made, "flights", "1.0.1", share=0.1, who="test")
    again = challenge.canary(judged.made, "flights", "1.0.1", share=0.2, who="test")
    counts = {f"{first.number}@1": counted(failed=100), f"1+{first.number}": counted(900)}
    judged.guard.judge(Seen(judged.release(), first, counts))
    assert judged.release(CHALLENGER) == again
    counts = {f"{again.number}@1": counted(failed=100), f"1+{again.number}": counted(900)}
    judged.guard.judge(Seen(judged.release(), again, counts))
    judged.guard.judge(Seen(judged.release(), again, counts))
    assert ledger.standing("flights", CHALLENGER) is None
    assert (len(ledger.releases("flights")), judged.metrics.rollbacks) == (4, 1)


def test_two_services_that_find_the_same_act_once(tmp_path: Path) -> None:
    one = Judged(tmp_path)
    two = Guard(one.made, one.guard._predict, list)
    begun = challenge.canary(one.made, "flights", "1.0.1", share=0.1, who="test")
    seen = Seen(
        one.release(), begun, {f"{begun.number}@1": counted(failed=100), f"1+{begun.number}": counted(900)}
    )
    for guard in (one.guard, two):
        guard.judge(seen)
    assert one.metrics.rollbacks == 1
    assert [release.act for release in one.made.ledger.releases("flights")] == [
        "promote",
        "challenge",
        "withdraw",
    ]


def test_with_nothing_counted_before_a_fresh_release_is_judged_by_its_failures_alone(judged: Judged) -> None:
    service.promote(judged.made, "1.0.1")
    refused = Counts()
    refused.refused = 1_000
    judged.judge(r2=refused)
    assert judged.release().version == "1.0.1"
    judged.judge(r2=Counts.merge([counted(failed=2_000).to_json(), refused.to_json()]))
    assert judged.release().version == "1.0.0"
    assert judged.release().facts["before"] is None


def test_a_rollback_and_a_first_release_are_never_taken_back(judged: Judged) -> None:
    judged.judge(r1=counted(failed=10_000))
    assert judged.release().number == 1
    service.promote(judged.made, "1.0.1")
    judged.made.ledger.release("flights", CHAMPION, "1.0.0", who="ana", why="", act="rollback")
    judged.judge(r3=counted(failed=10_000), r2=counted(10_000))
    assert judged.release().number == 3


def test_a_release_is_fresh_for_a_while_only(judged: Judged) -> None:
    service.promote(judged.made, "1.0.1")
    old = judged.release()
    then = datetime.now(UTC) - timedelta(seconds=FRESH + 1)
    aged = replace(old, released_at=then.isoformat(timespec="microseconds"))
    judged.guard.judge(Seen(aged, None, {"2": counted(failed=10_000)}))
    assert judged.release() == old


def test_the_tallies_of_several_workers_are_judged_as_one(judged: Judged) -> None:
    begun = challenge.canary(judged.made, "flights", "1.0.1", share=0.1, who="test")
    tried, beside = f"{begun.number}@1", f"1+{begun.number}"
    workers = [
        {tried: counted(failed=20).to_json(), beside: counted(400).to_json()},
        {tried: counted(failed=20).to_json()},
        {tried: counted(failed=20).to_json(), beside: counted(400).to_json()},
    ]
    judged.guard.judge(Seen(judged.release(), begun, merged(workers[:1])))
    assert judged.release(CHALLENGER) == begun
    judged.guard.judge(Seen(judged.release(), begun, merged(workers)))
    ended = judged.made.ledger.releases("flights")[-1]
    assert ended.act == "withdraw"
    assert ended.facts["tried"]["counts"]["failed"] == 60
    assert ended.facts["before"]["counts"]["answered"] == 800
