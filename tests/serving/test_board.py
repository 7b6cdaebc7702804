"""What workers tell each other survives them, whole."""

from __future__ import annotations

import os
import signal
from typing import Any

from relevo.serving.board import Board, Share, bury
from relevo.serving.metrics import Metrics


def note(metrics: Metrics, status: int, seconds: float) -> None:
    metrics.requests["/v1/predict", status] += 1
    metrics.took(seconds)


def nothing() -> dict[str, Any]:
    return {}


def counted(requests: int, decided: list[int]) -> Metrics:
    metrics = Metrics()
    for _ in range(requests):
        note(metrics, 200, 0.002)
    metrics.predictions["1.0.0", ("no", "yes")] = decided
    metrics.unseen["airline"] = [requests]
    metrics.refusals["contract"] = 1
    return metrics


def test_what_adds_up_is_added() -> None:
    total = Metrics()
    for metrics in (counted(2, [1, 4]), counted(3, [10, 20])):
        total.merge(metrics.state())
    assert total.requests == {("/v1/predict", 200): 5}
    assert total.predictions == {("1.0.0", ("no", "yes")): [11, 24]}
    assert (total.unseen, total.refusals) == ({"airline": [5]}, {"contract": 2})
    assert sum(total.seconds) == 5
    assert round(total.seconds_sum, 6) == 0.01


def test_a_place_starts_empty_and_gives_the_newest_record() -> None:
    board = Board(2)
    assert board.get(0) is None
    for number in range(5):
        board.put(0, {"n": number})
        assert board.get(0) == {"n": number}
    assert board.get(1) is None


def test_a_record_too_large_leaves_the_one_before() -> None:
    board = Board(1)
    board.put(0, {"n": 1})
    board.put(0, {"n": "x" * (1 << 20)})
    assert board.get(0) == {"n": 1}


def test_a_successor_counts_on_and_the_sum_never_goes_down() -> None:
    board = Board(2)
    first, second = counted(4, [1, 3]), counted(1, [0, 1])
    share = Share(board, 0, first, "0", nothing)
    Share(board, 1, second, "1", nothing).publish()
    note(first, 200, 0.001)
    total, gauges = share.total()
    assert total.requests["/v1/predict", 200] == 6
    assert [one["process"] for one in gauges] == ["0", "1"]
    bury(board, 0)
    heir = Metrics()
    share = Share(board, 0, heir, "0", nothing)
    note(heir, 200, 0.001)
    total, _ = share.total()
    assert total.requests["/v1/predict", 200] == 7
    assert total.predictions["1.0.0", ("no", "yes")] == [1, 4]


def test_of_the_dead_only_the_counts_are_shown() -> None:
    board = Board(2)
    Share(board, 0, counted(4, [1, 3]), "0", nothing).publish()
    bury(board, 0)
    total, gauges = Share(board, 1, Metrics(), "1", nothing).total()
    assert total.requests["/v1/predict", 200] == 4
    assert [one["process"] for one in gauges] == ["1"]


def test_processor_time_of_all_is_counted_once() -> None:
    board = Board(1)
    metrics = Metrics()
    metrics.cpu = 100.0
    total, _ = Share(board, 0, metrics, "0", nothing).total()
    used = sum(os.times()[:2])
    assert 100.0 <= total.cpu <= 100.0 + used


def test_a_writer_killed_at_any_moment_leaves_a_whole_record() -> None:
    board = Board(1)
    for size in range(20):
        child = os.fork()
        if not child:
            number = 0
            while True:
                number += 1
                board.put(0, {"n": number, "x": [number] * (200 + size)})
        for _ in range(200):
            found = board.get(0)
            assert found is None or set(found["x"]) == {found["n"]}
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = board.get(0)
        assert found is None or set(found["x"]) == {found["n"]}
