"""When a task is due: cron and its time zones, and fixed intervals."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from relevo.scheduler.due import Times, refuse, upcoming
from relevo.scheduler.task import After, Appears, Cron, Every, Task

NEW_YORK = "America/New_York"
"""It skips 02:00 to 03:00 on 2031-03-09, and has 01:00 to 02:00 twice on 2031-11-02."""


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def between(when: Cron | Every, start: datetime, end: datetime) -> list[datetime]:
    """Every time that is found due when one looks each five minutes."""
    found: list[datetime] = []
    times, now = Times(when), start
    while now <= end:
        last = times.last(now)
        if last is not None and last > start and (not found or last > found[-1]):
            found.append(last)
        now += timedelta(minutes=5)
    return found


def local(times: list[datetime], zone: str) -> list[str]:
    return [time.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M%z") for time in times]


@pytest.mark.parametrize(
    ("when", "last", "following"),
    [
        (Cron("0 3 * * 1"), "2031-05-05T03:00", "2031-05-12T03:00"),
        (Cron("0 3 * * 1", "America/Santiago"), "2031-05-05T07:00", "2031-05-12T07:00"),
        (Cron("* * * * *"), "2031-05-05T12:34", "2031-05-05T12:35"),
        (Cron("0 0 29 2 *"), "2028-02-29T00:00", "2032-02-29T00:00"),
        (Every(60), "2031-05-05T12:34", "2031-05-05T12:35"),
        (Every(3600), "2031-05-05T12:00", "2031-05-05T13:00"),
    ],
)
def test_the_last_time_and_the_next(when: Cron | Every, last: str, following: str) -> None:
    times, now = Times(when), at("2031-05-05T12:34:56")
    assert (times.last(now), times.next(now)) == (at(last), at(following))


def test_a_due_time_is_the_last_at_its_very_moment() -> None:
    now = at("2031-05-05T03:00")
    assert Times(Cron("0 3 * * *")).last(now) == Times(Every(3600)).last(now) == now
    assert Times(Cron("0 3 * * *")).last(now - timedelta(microseconds=1)) == now - timedelta(days=1)


def test_a_time_that_the_clock_leaves_out_is_due_once_right_after() -> None:
    found = between(Cron("30 2 * * *", NEW_YORK), at("2031-03-08T03:00", NEW_YORK), at("2031-03-10T23:00"))
    assert local(found, NEW_YORK) == ["03-09 03:00-0400", "03-10 02:30-0400"]


def test_a_time_that_the_clock_shows_twice_is_due_once() -> None:
    found = between(Cron("30 1 * * *", NEW_YORK), at("2031-11-01T03:00", NEW_YORK), at("2031-11-03T23:00"))
    assert local(found, NEW_YORK) == ["11-02 01:30-0400", "11-03 01:30-0500"]


def test_what_is_due_each_hour_is_due_25_times_on_a_day_of_25_hours() -> None:
    start = at("2031-11-01T23:30", NEW_YORK)
    assert len(between(Cron("0 * * * *", NEW_YORK), start, start + timedelta(hours=25))) == 25


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/7 * * * *", "0 */5 * * *", "15 1,2 * * 0"])
def test_last_and_next_agree_wherever_one_begins_to_look(expression: str) -> None:
    """The two changes of the clock in a year, from random moments: no time is seen from one and not from another."""
    draw = random.Random(expression)
    when = Cron(expression, NEW_YORK)
    for change in (at("2031-03-09T07:00"), at("2031-11-02T06:00")):
        for _ in range(50):
            now = change + timedelta(seconds=draw.uniform(-2 * 86400, 2 * 86400))
            following = Times(when).next(now)
            assert following is not None
            assert Times(when).last(following) == following
            assert Times(when).last(following - timedelta(seconds=1)) == Times(when).last(now)


def test_a_clock_set_back_is_answered_anew() -> None:
    times, now = Times(Cron("0 3 * * *")), at("2031-05-05T12:00")
    assert times.last(now) == at("2031-05-05T03:00")
    assert times.last(now - timedelta(days=7)) == at("2031-04-28T03:00")
    assert times.next(now - timedelta(days=7)) == at("2031-04-29T03:00")


@pytest.mark.parametrize("expression", ["", "0 3 * *", "61 * * * *", "0 3 * * 1 *", "@daily", "0 0 31 2 *"])
def test_what_is_no_time_of_crons_is_refused(expression: str) -> None:
    assert "0 3 * * 1" in refuse(Cron(expression))


@pytest.mark.parametrize("zone", ["Chile", "Mars/Olympus", "", "../etc/passwd"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    assert "is not a time zone" in refuse(Cron("0 3 * * 1", zone))


def test_what_is_usable_is_not_refused() -> None:
    assert refuse(Cron("*/5 9-17 * jan-mar mon-fri", "America/Santiago")) == ""


def test_upcoming_names_times_files_and_tasks() -> None:
    task = Task(
        name="monitor",
        command=(),
        whens=(
            Cron("0 3 * * *"),
            Every(3600),
            Appears(("/data/*.csv",)),
            Appears(("/x",), name="labels"),
            After("run"),
        ),
        needs="champion",
    )
    assert upcoming(task, at("2031-05-05T12:34")) == {
        "name": "monitor",
        "next": "2031-05-05T13:00:00+00:00",
        "files": ["/data/*.csv", "labels"],
        "after": ["run"],
        "needs": "champion",
    }


def test_a_task_survives_json() -> None:
    import json

    task = Task(
        name="run",
        command=("-m", "relevo", "run"),
        whens=(Cron("0 3 * * 1", "UTC"), Every(60), Appears(("a", "b"), each=True, pause=3.5), After("x")),
        needs="champion",
        group="run",
        fine=(0, 3),
    )
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task
