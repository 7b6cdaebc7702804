"""The search for the most users within limits."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LoadTestError
from relevo.loadtest import capacity
from relevo.loadtest.capacity import Level, needed, search
from relevo.loadtest.closed_loop import Users
from relevo.loadtest.measured import Figures, Limits, Outcome
from relevo.loadtest.target import target
from support.loopback import answering, reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def level(users: int, *missed: str, busy: float = 0.1, interrupted: bool = False) -> Level:
    figures = Figures(1000, 100.0, 0, {}, 1.0, 1.0, 1.0, 1.0, 1.0)
    return Level(users, figures, 10, busy, enough=True, missed=missed, interrupted=interrupted)


def up_to(limit: int, busy: float = 0.1) -> Callable[[int], Level]:
    return lambda users: level(users, *(["p95"] if users > limit else []), busy=busy)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 64, 65, 100, 700])
def test_the_largest_number_is_found_to_a_twentieth_and_confirmed(limit: int) -> None:
    found = search(up_to(limit), 1024)
    assert limit - max(1, limit // 20) < found.users <= limit
    assert (found.confirmed, found.reached) == (True, True)
    assert [one.users for one in found.levels].count(found.users) == 2
    assert len(found.levels) < 20


def test_not_even_one_user_may_be_too_many() -> None:
    found = search(up_to(0), 1024)
    assert (found.users, found.confirmed, len(found.levels)) == (0, False, 1)


def test_the_most_that_may_be_tried_is_only_a_lower_bound() -> None:
    found = search(up_to(10_000), 100)
    assert (found.users, found.confirmed, found.reached) == (100, True, False)


def test_a_number_that_does_not_hold_twice_gives_way_to_the_next_below() -> None:
    tried = Counter[int]()

    def measure(users: int) -> Level:
        tried[users] += 1
        return level(users, *(["errors"] if users > 12 or (users > 8 and tried[users] > 1) else []))

    found = search(measure, 1024)
    assert (found.users, found.confirmed) == (8, True)


def test_a_busy_generator_is_told_only_where_the_limits_were_missed() -> None:
    assert search(up_to(10, busy=0.97), 1024).generator
    assert not search(up_to(10, busy=0.5), 1024).generator
    assert not search(
        lambda n: level(n, *(["p95"] if n > 4 else []), busy=0.95 if n <= 4 else 0.3), 64
    ).generator


def test_an_interruption_ends_the_search_with_what_had_passed() -> None:
    found = search(lambda users: level(users, interrupted=users == 8), 1024)
    assert (found.users, found.confirmed, found.reached, found.interrupted) == (4, False, False, True)


def test_a_level_needs_requests_enough_for_its_limits() -> None:
    assert needed(Limits(0.2)) == 1000
    assert needed(Limits(0.2, 0.001)) == 3000
    assert needed(Limits(0.2, 0.0)) == 1000


@pytest.mark.slow
def test_levels_are_measured_with_real_users(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "from locust import FastHttpUser, constant, task\n\n\nclass A(FastHttpUser):\n"
        "    wait_time = constant(0.05)\n\n    @task\n    def ask(self):\n        self.client.post('/')\n"
    )
    told: list[int] = []

    def run(seconds: int) -> Outcome:
        told.clear()
        asked, users = target(server.url, timeout=60), Users(1, 1, seconds)
        return capacity.run(asked, tmp_path / "f.py", users, Limits(60.0), lambda one: told.append(one.users))

    with answering(lambda _: reply(200)) as server:
        try:
            outcome = run(1)
        except LoadTestError as error:
            if "asked nothing" not in str(error):
                raise
            outcome = run(4)  # its time was over before Locust had begun
    found = outcome.facts["capacity"]
    assert (found["users"], found["confirmed"], found["lower_bound"]) == (1, True, True)
    assert told == [1, 1]
    first = outcome.facts["levels"][0]
    assert first["seconds"] > 5  # too few requests in one second: measured again, ten times as long
    assert not first["enough"]
    assert any("Too few" in note for note in outcome.notes)
