"""Requests by the clock: all that were due count, from when they were due."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from relevo.loadtest import bodies, draws, open_loop
from relevo.loadtest.open_loop import Pace
from relevo.loadtest.target import target
from support.loopback import Asked, answering, held_port, reply

if TYPE_CHECKING:
    from support.service import Service


def test_a_schedule_is_even_or_random_and_repeatable() -> None:
    assert list(Pace(4, 1).schedule()) == [0, 0.25, 0.5, 0.75]
    drawn = list(Pace(1000, 5, "poisson", seed=3).schedule())
    assert drawn == list(Pace(1000, 5, "poisson", seed=3).schedule())
    assert len(drawn) == pytest.approx(5000, abs=300)  # four standard deviations
    gaps = [after - before for before, after in itertools.pairwise(drawn)]
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)  # 1/e


def test_every_request_of_the_schedule_is_asked_of_the_service(running: Service) -> None:
    asked = target(running.url, timeout=60)
    before = running.metric("relevo_predictions_total")
    outcome = open_loop.run(asked, bodies.drawn(draws.form(asked), 0), Pace(200, 1))
    found = outcome.figures
    assert (found.requests, found.failed, found.rate) == (200, 0, 200)
    assert running.metric("relevo_predictions_total") - before == 200
    assert sum(point["requests"] for point in outcome.course()) == 200
    assert 0 < found.p50 <= found.p95 <= found.p99 <= found.max


def test_a_stall_is_charged_to_all_who_were_due_meanwhile() -> None:
    stall, first = threading.Lock(), itertools.count()

    def answer(_: Asked) -> bytes:
        with stall:
            if next(first) == 0:
                time.sleep(0.6)
        return reply(200)

    with answering(answer) as server:
        outcome = open_loop.run(target(server.url, timeout=60), [b"{}"], Pace(100, 1, connections=1))
    # Counted from when they were sent, all but the first would seem quick.
    late = sum(n for place, n in outcome.tally.total().latencies.items() if place > 1150)  # about 0.1 s
    assert outcome.figures.requests == 100
    assert late >= 50


def test_unanswered_requests_count_as_failures_and_the_bound_is_told() -> None:
    over = threading.Event()

    def answer(_: Asked) -> bytes:
        over.wait(600)
        return reply(200)

    with answering(answer) as server:
        asked = target(server.url, timeout=0.4)
        outcome = open_loop.run(asked, [b"{}"], Pace(50, 0.5, connections=4))
        over.set()
    found = outcome.figures
    assert (found.requests, found.failures) == (25, {"timeout": 25})
    assert outcome.facts["connections"]["highest"] == 4
    assert outcome.facts["connections"]["held_back"] >= 17
    assert any("--connections" in note for note in outcome.notes)


def test_failures_are_told_apart() -> None:
    statuses = itertools.cycle(
        [reply(200), reply(503), None, b"nonsense\r\n\r\n", reply(200, connection="close")]
    )
    lock = threading.Lock()

    def answer(_: Asked) -> bytes | None:
        with lock:
            return next(statuses)

    with answering(answer) as server:
        outcome = open_loop.run(target(server.url, timeout=60), [b"{}"], Pace(50, 1))
    assert outcome.figures.failures == {"503": 10, "closed": 10, "not HTTP": 10}


def test_an_answer_that_ends_with_the_stream_is_an_answer() -> None:
    with answering(lambda _: b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello") as server:
        outcome = open_loop.run(target(server.url, timeout=60), [b"{}"], Pace(20, 0.5))
    assert (outcome.figures.requests, outcome.figures.failed) == (10, 0)


def test_an_answer_that_ends_too_early_is_none() -> None:
    broken = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhello"
    with answering(lambda _: broken) as server:
        outcome = open_loop.run(target(server.url, timeout=60), [b"{}"], Pace(20, 0.5))
    assert outcome.figures.failures == {"closed": 10}


def test_nobody_there_is_a_failure_for_each() -> None:
    with held_port() as port:
        outcome = open_loop.run(target(f"http://127.0.0.1:{port}", timeout=60), [b"{}"], Pace(20, 0.5))
    assert outcome.figures.failures == {"refused": 10}


def test_the_key_headers_and_bodies_are_sent() -> None:
    with answering(lambda _: reply(200)) as server:
        asked = target(f"{server.url}/m", "/invocations", ["X-A: 1"], key="open-sesame")
        open_loop.run(asked, [b'{"a": 1}', b'{"a": 2}'], Pace(20, 0.2, connections=1))
    one = server.asked[0]
    assert (one.method, one.path) == ("POST", "/m/invocations")
    assert one.headers["authorization"] == "Bearer open-sesame"
    assert one.headers["x-a"] == "1"
    assert [each.body for each in server.asked] == [b'{"a": 1}', b'{"a": 2}'] * 2
