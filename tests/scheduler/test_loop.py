"""The loop: what is due is done exactly once, whatever the clock does and however often it is begun anew."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from relevo.scheduler.task import After, Appears, Cron, Every
from support.scheduling import (
    HELLO,
    MONDAY,
    PROJECT,
    SETTINGS,
    die,
    dues,
    look,
    python,
    ran,
    scheduler,
    settle,
    until,
)

if TYPE_CHECKING:
    import pytest

DAILY, HOURLY = Cron("0 3 * * *"), Cron("0 * * * *")
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


def test_a_task_is_run_when_it_is_due_and_what_it_did_is_known(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY))
    settle(made, MONDAY + HOUR / 2)
    assert ran(made) == [], "nothing was missed before it was there"
    settle(made, MONDAY + HOUR)
    [job] = ran(made)
    assert (job.status, job.attempt, job.error) == ("done", 1, "")
    assert (job.facts["exit"], job.facts["tail"]) == (0, "hello\n")
    assert job.facts["seconds"] > 0
    assert job.facts["peak_rss_bytes"] > 1 << 20


def test_a_due_time_is_done_once_however_often_it_is_looked_at_and_begun_anew(tmp_path: Path) -> None:
    for _ in range(3):
        made = scheduler(tmp_path, python(HELLO, HOURLY))
        for minutes in (0, 60, 61, 90, 119):
            settle(made, MONDAY + timedelta(minutes=minutes))
        made.stop()
    assert dues(made) == ["2031-05-05T13:00"]


def test_what_was_missed_is_caught_up_once(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY))
    settle(made, MONDAY)
    made.stop()
    made = scheduler(tmp_path, python(HELLO, HOURLY))
    settle(made, MONDAY + 3 * DAY + HOUR / 2)
    settle(made, MONDAY + 3 * DAY + HOUR / 2)
    assert dues(made) == ["2031-05-08T12:00"], "the newest, and not the 71 before"


def test_a_clock_that_jumps_a_week_ahead_and_back_repeats_nothing_and_stops_nothing(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, DAILY, name="daily"), python(HELLO, Every(60), name="minutely"))
    settle(made, MONDAY)
    settle(made, MONDAY + DAY)
    assert (dues(made, "daily"), len(dues(made, "minutely"))) == (["2031-05-06T03:00"], 1)
    settle(made, MONDAY + DAY + WEEK)
    assert dues(made, "daily") == ["2031-05-06T03:00", "2031-05-13T03:00"]
    assert len(dues(made, "minutely")) == 2
    settle(made, MONDAY + DAY + HOUR)
    assert dues(made, "daily") == ["2031-05-06T03:00", "2031-05-13T03:00"], "back again: this one is done"
    assert len(dues(made, "minutely")) == 3
    for days in range(2, 10):
        settle(made, MONDAY + days * DAY)
    assert dues(made, "daily") == [f"2031-05-{day:02}T03:00" for day in range(6, 15)]


def test_a_schedule_that_is_changed_does_not_catch_up_what_it_would_have_been(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, DAILY))
    settle(made, MONDAY)
    settle(made, MONDAY + DAY)
    made.replace([python(HELLO, Cron("0 1 * * 0"))])
    settle(made, MONDAY + DAY + HOUR)
    assert dues(made) == ["2031-05-06T03:00"]
    settle(made, MONDAY + WEEK)
    assert dues(made) == ["2031-05-06T03:00", "2031-05-11T01:00"]


def test_a_job_that_fails_is_tried_again_later_each_time(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python("import sys; print('no luck'); sys.exit(2)", HOURLY, tries=3))
    settle(made, MONDAY)
    start = MONDAY + HOUR
    seen = []
    for minutes in (0, 0.5, 1.1, 2, 2.9, 3.2, 10, 59):
        settle(made, start + timedelta(minutes=minutes))
        seen.append(ran(made)[0].attempt)
    assert seen == [1, 1, 2, 2, 2, 3, 3, 3], "a minute after the first, two after the second"
    [job] = ran(made)
    assert job.status == "failed"
    assert "exit code 2" in job.error
    assert "no luck" in job.error
    settle(made, start + HOUR)
    assert len(ran(made)) == 2, "the next time is another job"


def test_an_exit_code_that_is_fine_is_no_failure(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python("raise SystemExit(3)", HOURLY, fine=(0, 3)))
    settle(made, MONDAY)
    settle(made, MONDAY + HOUR)
    assert [(job.status, job.facts["exit"]) for job in ran(made)] == [("done", 3)]


def test_a_task_that_runs_is_not_begun_again_and_then_catches_up_once(tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    made = scheduler(tmp_path, python(waits, HOURLY))
    settle(made, MONDAY)
    for hours in (1, 2, 3):
        made.tick(MONDAY + hours * HOUR)
    assert dues(made) == ["2031-05-05T13:00"]
    go.touch()
    settle(made, MONDAY + 3.5 * HOUR)
    settle(made, MONDAY + 3.5 * HOUR)
    assert dues(made) == ["2031-05-05T13:00", "2031-05-05T15:00"]


def test_of_a_group_one_runs_at_a_time(tmp_path: Path) -> None:
    spans = tmp_path / "spans"
    notes = f"import time; f = open({str(spans)!r}, 'a', buffering=1); f.write('+'); time.sleep(0.2); f.write('-')"
    made = scheduler(tmp_path, *(python(notes, HOURLY, name=f"task{n}", group="run") for n in range(3)))
    settle(made, MONDAY)
    made.tick(MONDAY + HOUR)
    until(made, MONDAY + HOUR, lambda: spans.exists() and spans.read_text().count("-") == 3)
    settle(made, MONDAY + HOUR)
    assert spans.read_text() == "+-+-+-"
    assert made._agenda.lease(PROJECT, "run") is None, "given back"


def test_a_group_that_another_holds_is_waited_for(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY, group="run"))
    settle(made, MONDAY)
    other = made._agenda.acquire(PROJECT, "run", "other", 60, at=MONDAY + HOUR)
    assert other is not None
    settle(made, MONDAY + HOUR)
    assert ran(made) == []
    made._agenda.release(other)
    settle(made, MONDAY + HOUR)
    assert dues(made) == ["2031-05-05T13:00"]


def test_a_task_after_another_follows_each_of_its_jobs_that_was_done(tmp_path: Path) -> None:
    fails = tmp_path / "fails"
    first = f"import os, sys; sys.exit(os.path.exists({str(fails)!r}))"
    made = scheduler(
        tmp_path, python(first, HOURLY, name="first", tries=1), python(HELLO, After("first"), name="second")
    )
    settle(made, MONDAY)
    assert ran(made, "second") == []
    settle(made, MONDAY + HOUR)
    settle(made, MONDAY + HOUR + timedelta(minutes=1))
    assert len(ran(made, "second")) == 1
    fails.touch()
    settle(made, MONDAY + 2 * HOUR)
    settle(made, MONDAY + 2 * HOUR + timedelta(minutes=1))
    assert (len(ran(made, "first")), len(ran(made, "second"))) == (2, 1)


def test_a_need_that_is_not_met_puts_a_task_off(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY, needs="journal"))
    settle(made, MONDAY)
    settle(made, MONDAY + HOUR)
    assert ran(made) == []
    made._workspace.logs.mkdir()
    (made._workspace.logs / "labels-1.jsonl").touch()
    settle(made, MONDAY + HOUR + timedelta(minutes=7))
    assert dues(made) == ["2031-05-05T13:00"]


# Files


def test_a_file_that_appears_leads_to_one_job_also_across_a_restart(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    task = python(HELLO, Appears((str(tmp_path / "data" / "*.csv"),)))
    made = scheduler(tmp_path, task)
    look(made, MONDAY)
    assert ran(made) == [], "there is none yet"
    for number in (1, 2):
        (tmp_path / "data" / f"{number}.csv").write_text("a,b\n")
        look(made, MONDAY + number * HOUR)
        look(made, MONDAY + number * HOUR + HOUR / 2)
        assert len(ran(made)) == number
        made.stop()
        made = scheduler(tmp_path, task)
        look(made, MONDAY + number * HOUR + 0.8 * HOUR)
        assert len(ran(made)) == number, "a restart repeats nothing"
    made.stop()
    (tmp_path / "data" / "1.csv").write_text("a,b\n1,2\n")
    made = scheduler(tmp_path, task)
    look(made, MONDAY + DAY)
    assert len(ran(made)) == 3, "nor does it miss what came meanwhile"


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    place = tmp_path / "rows.csv"
    made = scheduler(tmp_path, python(f"print(len(open({str(place)!r}).read()))", Appears((str(place),))))
    with place.open("w") as file:
        end = time.monotonic() + 8 * made.pause
        while time.monotonic() < end:
            file.write("row\n")
            file.flush()
            made.tick(MONDAY)
            time.sleep(made.pause / 8)
    assert ran(made) == []
    look(made, MONDAY)
    [job] = ran(made)
    assert int(job.facts["tail"]) == place.stat().st_size


def test_with_each_every_pattern_must_have_a_file(tmp_path: Path) -> None:
    patterns = tuple(str(tmp_path / name) for name in ("a.csv", "b*.csv"))
    made = scheduler(tmp_path, python(HELLO, Appears(patterns, each=True)))
    (tmp_path / "a.csv").touch()
    look(made, MONDAY)
    assert ran(made) == []
    (tmp_path / "b1.csv").touch()
    look(made, MONDAY)
    assert len(ran(made)) == 1


def test_files_that_come_all_the_time_lead_to_a_job_once_in_a_pause(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, Appears((str(tmp_path / "*.csv"),), pause=3600)))
    for minute in range(0, 180, 20):
        (tmp_path / f"{minute}.csv").touch()
        look(made, MONDAY + timedelta(minutes=minute))
    assert dues(made) == ["2031-05-05T12:00", "2031-05-05T13:00", "2031-05-05T14:00"]


def test_a_job_by_the_clock_counts_for_the_files_that_it_found(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY, Appears((str(tmp_path / "*.csv"),), pause=600)))
    (tmp_path / "1.csv").touch()
    look(made, MONDAY + timedelta(minutes=1))
    (tmp_path / "2.csv").touch()
    look(made, MONDAY + timedelta(minutes=5))
    assert len(ran(made)) == 1, "the pause is not over"
    look(made, MONDAY + HOUR)
    look(made, MONDAY + HOUR + timedelta(minutes=30))
    assert dues(made) == ["2031-05-05T12:01", "2031-05-05T13:00"]


# Leases, and what is left behind


def test_another_scheduler_waits_and_takes_over_when_the_first_stops(tmp_path: Path) -> None:
    first = scheduler(tmp_path, python(HELLO, HOURLY))
    second = scheduler(tmp_path, python(HELLO, HOURLY), holder="two")
    for made in (first, second):
        made.tick(MONDAY)
    assert (first.leads, second.leads) == (True, False)
    for made in (first, second, first, second):
        settle(made, MONDAY + HOUR)
    assert dues(first) == ["2031-05-05T13:00"]
    first.stop()
    second._patience = 0.0  # the clock of these tests jumps, after which nothing is taken over for a while
    second._before = None
    settle(second, MONDAY + HOUR)
    assert second.leads
    settle(second, MONDAY + 2 * HOUR)
    assert [(job.due_at[11:13], job.holder) for job in ran(second)] == [("13", "one#1"), ("14", "two#2")]


def test_after_a_jump_of_the_clock_nothing_is_taken_over_before_the_holder_could_renew(
    tmp_path: Path,
) -> None:
    first, second = scheduler(tmp_path), scheduler(tmp_path, holder="two")
    for made in (first, second):
        made.tick(MONDAY)
    second.tick(MONDAY + WEEK)
    assert not second.leads, "by its clock the lease has run out long ago"
    first.tick(MONDAY + WEEK)
    second._patience = 0.0
    second.tick(MONDAY + WEEK)
    assert (first.leads, second.leads) == (True, False)


def test_a_scheduler_that_lost_its_lease_ends_what_it_began(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python("import time; time.sleep(60)", HOURLY))
    settle(made, MONDAY)
    made.tick(MONDAY + HOUR)
    [pid] = [one.child.pid for one in made._running.values()]
    thief = made._agenda.acquire(PROJECT, "schedule", "two", 60, at=MONDAY + DAY)
    assert thief is not None
    made.tick(MONDAY + DAY)
    assert not made.leads
    assert made.running == []
    assert not Path(f"/proc/{pid}").exists()
    assert [job.status for job in made._agenda.orphans(thief)] == ["running"]


def test_what_a_dead_scheduler_left_is_begun_again_as_another_attempt(tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    code = f"open({str(counted)!r}, 'a').write('x')"
    dead = scheduler(tmp_path, python("import time; time.sleep(60)", HOURLY))
    settle(dead, MONDAY)
    dead.tick(MONDAY + HOUR)
    die(dead)
    made = scheduler(tmp_path, python(code, HOURLY), holder="two")
    settle(made, MONDAY + HOUR + timedelta(seconds=59))
    assert not made.leads
    made = scheduler(tmp_path, python(code, HOURLY), holder="two")
    settle(made, MONDAY + HOUR + timedelta(seconds=61))
    [job] = ran(made)
    assert (job.status, job.attempt, job.holder) == ("done", 2, "two#2")
    assert counted.read_text() == "x"


def test_what_was_left_gives_way_to_what_is_due_since(tmp_path: Path) -> None:
    dead = scheduler(tmp_path, python("import time; time.sleep(60)", HOURLY))
    settle(dead, MONDAY)
    dead.tick(MONDAY + HOUR)
    die(dead)
    made = scheduler(tmp_path, python(HELLO, HOURLY), holder="two")
    settle(made, MONDAY + 5 * HOUR)
    settle(made, MONDAY + 5 * HOUR)
    assert [(job.due_at[11:13], job.status) for job in ran(made)] == [("13", "failed"), ("17", "done")]
    assert "took its place" in ran(made)[0].error


def test_what_was_left_of_a_task_that_is_gone_is_closed(tmp_path: Path) -> None:
    dead = scheduler(tmp_path, python("import time; time.sleep(60)", HOURLY))
    settle(dead, MONDAY)
    dead.tick(MONDAY + HOUR)
    die(dead)
    made = scheduler(tmp_path, holder="two")
    settle(made, MONDAY + 2 * HOUR)
    assert [job.status for job in ran(made)] == ["failed"]


def test_stopping_lets_jobs_end_and_leaves_what_does_not_to_the_next(tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    waits = f"open({str(begun)!r}, 'w')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    quick = python(f"import os, time\n{waits}", HOURLY, name="quick")
    slow = python("import time; time.sleep(600)", HOURLY, name="slow")
    made = scheduler(tmp_path, quick, slow, settings=SETTINGS.replace("1s", "3s"))
    settle(made, MONDAY)
    until(made, MONDAY + HOUR, begun.exists)
    go.touch()
    began = time.monotonic()
    made.stop()
    assert 2.9 < time.monotonic() - began < 60
    assert [ran(made, name)[0].status for name in ("quick", "slow")] == ["done", "running"]
    assert made._agenda.lease(PROJECT, "schedule") is None
    following = scheduler(tmp_path, quick, python(HELLO, HOURLY, name="slow"), holder="two")
    settle(following, MONDAY + HOUR)
    assert [(job.status, job.attempt) for job in ran(following, "slow")] == [("done", 2)]
    assert len(ran(following, "quick")) == 1


def test_a_command_that_cannot_be_started_is_a_failure_that_is_told(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python("x" * 3_000_000, HOURLY, tries=1))
    settle(made, MONDAY)
    settle(made, MONDAY + HOUR)
    [job] = ran(made)
    assert job.status == "failed"
    assert job.error
    assert made.running == []


def test_old_jobs_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relevo.scheduler import loop

    monkeypatch.setattr(loop, "_FORGET", 1)
    made = scheduler(tmp_path, python("", HOURLY))
    lease = made._agenda.acquire(PROJECT, "schedule", "one", 60, at=MONDAY - DAY * 60)
    assert lease is not None
    for number in range(505):
        due = datetime.isoformat(MONDAY - DAY * 50 + number * HOUR, timespec="microseconds")
        made._agenda.skip(lease, "task", due, "", at=MONDAY)
    settle(made, MONDAY + HOUR)
    assert len(made._agenda.jobs(PROJECT, 1000)) == 500
    assert json.dumps(ran(made)[0].facts)
