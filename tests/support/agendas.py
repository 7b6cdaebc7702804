"""What leases and jobs must do on any database. A backend's test inherits these and gives ``ledger`` and ``url``."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from relevo.ids import uuid7
from relevo.ledger.agenda import LONGEST, Begun

if TYPE_CHECKING:
    from relevo.ledger import Ledger
    from relevo.ledger.agenda import Agenda
    from relevo.records import Lease

NOON = datetime(2031, 5, 5, 12, tzinfo=UTC)
DUE = "2031-05-05T12:00:00.000000+00:00"
LATER = "2031-05-05T13:00:00.000000+00:00"
WEEK = timedelta(days=7)

RACER = """
import sys
from relevo.ledger import Ledger
from relevo.ledger.agenda import Begun
url, project, me, times = sys.argv[1:]
agenda = Ledger(url, timeout=30).agenda
for number in range(int(times)):
    lease = None
    while lease is None:
        lease = agenda.acquire(project, "schedule", me, 60)
    job = agenda.begin(lease, Begun("run", f"2031-01-01T00:{number:02}:00.000000+00:00"))
    if job is not None:
        agenda.finish(job, "done", facts={"by": me})
        print(number, me, lease.token)
    agenda.release(lease)
"""


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


class AgendaConformance:
    """Laws of ``Agenda``, on a database made empty for each test."""

    @pytest.fixture
    def project(self) -> str:
        return f"flights-{uuid7()}"

    @pytest.fixture
    def agenda(self, ledger: Ledger) -> Agenda:
        return ledger.agenda

    @pytest.fixture
    def lease(self, agenda: Agenda, project: str) -> Lease:
        lease = agenda.acquire(project, "schedule", "one", 60, at=NOON)
        assert lease is not None
        return lease

    # Leases

    def test_a_lease_is_one_holders_until_it_runs_out(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        assert (lease.holder, lease.token, lease.until) == ("one", 1, "2031-05-05T12:01:00.000000+00:00")
        assert agenda.acquire(project, "schedule", "two", 60, at=after(59.9)) is None
        taken = agenda.acquire(project, "schedule", "two", 60, at=after(60))
        assert taken is not None
        assert (taken.holder, taken.token) == ("two", 2)
        assert agenda.lease(project, "schedule") == taken

    def test_leases_of_other_projects_and_names_are_others(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        assert agenda.acquire(project, lease.name + "-other", "two", 60, at=NOON) is not None
        assert agenda.acquire(project + "-other", "schedule", "two", 60, at=NOON) is not None
        assert agenda.lease(project, "nothing") is None

    def test_a_lease_is_renewed_until_somebody_else_took_it(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        renewed = agenda.renew(lease, 60, at=after(50))
        assert renewed == replace(lease, until="2031-05-05T12:01:50.000000+00:00")
        assert agenda.acquire(project, "schedule", "two", 60, at=after(100)) is None
        late = agenda.renew(renewed, 60, at=after(500))
        assert late is not None, "it ran out, but nobody took it"
        assert agenda.acquire(project, "schedule", "two", 60, at=after(1000)) is not None
        assert agenda.renew(late, 60, at=after(1000)) is None

    def test_a_lease_given_back_is_free_and_its_token_is_not_used_again(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        agenda.release(lease)
        assert agenda.lease(project, "schedule") is None
        assert agenda.renew(lease, 60, at=NOON) is None
        taken = agenda.acquire(project, "schedule", "two", 60, at=NOON)
        assert taken is not None
        assert taken.token == 2
        agenda.release(lease)
        assert agenda.lease(project, "schedule") == taken, "what was lost cannot be given back"

    def test_a_holder_that_asks_again_gets_a_new_token(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        again = agenda.acquire(project, "schedule", "one", 60, at=after(1))
        assert again is not None
        assert again.token == 2
        assert agenda.renew(lease, 60, at=after(1)) is None

    def test_a_clock_set_back_lets_the_holder_go_on_and_a_dead_one_be_replaced(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        renewed = agenda.renew(lease, 60, at=NOON - WEEK)
        assert renewed is not None
        assert agenda.acquire(project, "schedule", "two", 60, at=NOON - WEEK) is None
        assert agenda.acquire(project, "schedule", "two", 60, at=NOON - 2 * WEEK) is not None

    def test_a_lease_has_a_longest_length(self, agenda: Agenda, project: str) -> None:
        for seconds in (0, -1, LONGEST + 1):
            with pytest.raises(ValueError, match=str(seconds)):
                agenda.acquire(project, "schedule", "one", seconds)
        assert agenda.lease(project, "schedule") is None

    # Jobs

    def test_a_job_is_begun_once_and_done_once(self, agenda: Agenda, project: str, lease: Lease) -> None:
        job = agenda.begin(lease, Begun("run", DUE, facts={"why": "cron"}), at=after(1))
        assert job is not None
        assert (job.status, job.attempt, job.holder, job.facts) == ("running", 1, "one#1", {"why": "cron"})
        assert agenda.begin(lease, Begun("run", DUE)) is None
        done = agenda.finish(job, "done", facts={"exit": 0}, at=after(2))
        assert done == replace(
            job,
            status="done",
            finished_at="2031-05-05T12:00:02.000000+00:00",
            facts={"why": "cron", "exit": 0},
        )
        assert agenda.begin(lease, Begun("run", DUE, tries=9)) is None
        assert agenda.finish(job, "failed") is None, "it has an end already"
        assert agenda.last(project, "run") == done

    def test_another_due_time_or_name_is_another_job(self, agenda: Agenda, lease: Lease) -> None:
        for name, due in (("run", DUE), ("run", LATER), ("monitor", DUE)):
            assert agenda.begin(lease, Begun(name, due)) is not None

    def test_a_job_that_failed_is_tried_again_while_it_has_tries(self, agenda: Agenda, lease: Lease) -> None:
        for attempt in (1, 2, 3):
            job = agenda.begin(lease, Begun("run", DUE, tries=3))
            assert job is not None
            assert (job.attempt, job.error) == (attempt, "")
            agenda.finish(job, "failed", "exit code 1")
        assert agenda.begin(lease, Begun("run", DUE, tries=3)) is None

    def test_a_job_left_running_is_taken_over_by_the_next_lease(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        left = agenda.begin(lease, Begun("run", DUE, facts={"seen": {"a": "1"}}))
        assert left is not None
        assert agenda.orphans(lease) == []
        following = agenda.acquire(project, "schedule", "two", 60, at=after(100))
        assert following is not None
        assert agenda.orphans(following) == [left]
        taken = agenda.begin(following, Begun("run", DUE))
        assert taken is not None
        assert (taken.attempt, taken.holder, taken.facts) == (2, "two#2", {"seen": {"a": "1"}})
        assert agenda.finish(left, "done") is None, "the first holder comes too late"
        assert agenda.finish(taken, "done") is not None

    def test_a_lost_lease_begins_nothing(self, agenda: Agenda, project: str, lease: Lease) -> None:
        assert agenda.acquire(project, "schedule", "two", 60, at=after(100)) is not None
        assert agenda.begin(lease, Begun("run", DUE)) is None
        assert agenda.skip(lease, "run", DUE, "too late") is None
        assert agenda.last(project, "run") is None

    def test_what_is_skipped_is_not_done_later(self, agenda: Agenda, project: str, lease: Lease) -> None:
        skipped = agenda.skip(lease, "run", DUE, "before its time", at=NOON)
        assert skipped is not None
        assert (skipped.status, skipped.attempt, skipped.error) == ("skipped", 0, "before its time")
        assert agenda.skip(lease, "run", DUE, "again") is None
        assert agenda.begin(lease, Begun("run", DUE, tries=3)) is None
        assert agenda.last(project, "run") == skipped

    def test_the_last_job_is_the_one_due_last(self, agenda: Agenda, project: str, lease: Lease) -> None:
        later = agenda.begin(lease, Begun("run", LATER))
        earlier = agenda.begin(lease, Begun("run", DUE))
        assert agenda.last(project, "run") == later
        assert agenda.last(project, "run", until=after(60)) == earlier
        assert agenda.last(project, "run", until=after(-1)) is None
        assert agenda.last(project, "monitor") is None

    def test_jobs_are_listed_newest_first_up_to_the_limit(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        for number, due in enumerate((LATER, DUE)):
            assert agenda.begin(lease, Begun("run", due), at=after(number)) is not None
        assert [job.due_at for job in agenda.jobs(project)] == [DUE, LATER]
        assert len(agenda.jobs(project, 1)) == 1
        assert agenda.jobs(project + "-other") == []

    def test_old_jobs_are_forgotten_except_those_under_way(
        self, agenda: Agenda, project: str, lease: Lease
    ) -> None:
        dues = [f"2031-05-{day:02}T12:00:00.000000+00:00" for day in range(1, 7)]
        for number, due in enumerate(dues):
            job = agenda.begin(lease, Begun("run", due))
            assert job is not None
            if number:
                agenda.finish(job, "done")
        assert agenda.forget(project, "run", kept=2) == 3
        assert sorted(job.due_at for job in agenda.jobs(project)) == [dues[0], *dues[4:]]
        assert agenda.forget(project, "run", kept=3) == 0

    # Several at once

    def test_of_several_threads_one_gets_the_lease(self, agenda: Agenda, project: str) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda who: agenda.acquire(project, "schedule", f"t{who}", 60), range(8)))
        assert len([lease for lease in found if lease is not None]) == 1

    def test_of_several_threads_one_begins_the_job(self, agenda: Agenda, lease: Lease) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: agenda.begin(lease, Begun("run", DUE)), range(8)))
        assert len([job for job in found if job is not None]) == 1

    def test_processes_that_race_do_each_job_once(self, agenda: Agenda, project: str, url: str) -> None:
        agenda.lease(project, "schedule")  # the tables are there
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, url, project, f"racer-{number}", "20"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        said = [line.split() for racer in racers for line in racer.communicate(timeout=300)[0].splitlines()]
        assert [racer.returncode for racer in racers] == [0, 0]
        assert Counter(number for number, _, _ in said) == Counter(str(number) for number in range(20))
        tokens = [int(token) for _, _, token in said]
        assert len(set(tokens)) == len(tokens)
        jobs = agenda.jobs(project)
        assert len(jobs) == 20
        assert {(job.status, job.attempt) for job in jobs} == {("done", 1)}
