"""``relevo up`` as users start it: one command, several processes, and whatever dies is there again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relevo.ledger.agenda import Begun
from relevo.workspace import Workspace
from support import project as flights
from support.service import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.records import Job

pytestmark = pytest.mark.slow  # each test starts services of its own

SETTINGS = "[up]\npoll = 0.2\nlease = {lease}\nfarewell = '1s'\ncases = ''\nreport = ''\n"
PATIENCE = 1200.0
"""Seconds for a run: it has a low priority, and the machine may have other work."""


class Up:
    """A running ``relevo up`` and the documents it prints."""

    def __init__(self, root: Path, *arguments: str, **variables: str) -> None:
        self.root = root
        self._lines: Queue[str] = Queue()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RELEVO_")}
        with (root / "said.txt").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relevo", "up", str(root), "--json", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment | {"LC_ALL": "C.UTF-8"} | variables,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def wait(self, key: str, seconds: float = 180) -> dict[str, Any]:
        """The next document that has this key."""
        while True:
            try:
                found: dict[str, Any] = json.loads(self._lines.get(timeout=seconds))
            except Empty:
                raise AssertionError((self.root / "said.txt").read_text()) from None
            if key in found:
                return found

    def children(self) -> dict[str, psutil.Process]:
        """The service and the scheduler."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            name = "scheduler" if "relevo.cli.scheduler" in command(child) else "service"
            found[name] = child
        return found

    def tree(self) -> list[psutil.Process]:
        whole = psutil.Process(self.process.pid)
        return [whole, *whole.children(recursive=True)]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for the end; returns the exit code."""
        code = self.process.wait(180)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def running() -> Iterator[list[Up]]:
    """What a test started, ended after it however it went."""
    found: list[Up] = []
    yield found
    for up in found:
        if up.process.poll() is None:
            kill(up.tree())
        up.ended()


def jobs(root: Path, name: str) -> list[Job]:
    """A task's jobs that were begun, newest first."""
    found = Workspace.open(root, create=False).ledger.agenda.jobs("flights", 1000)
    return [job for job in found if job.name == name and job.status != "skipped"]


def stepped(root: Path) -> bool:
    """Whether the newest run has done a step."""
    ledger = Workspace.open(root, create=False).ledger
    return any(ledger.steps(run.id) for run in ledger.runs("flights", limit=1))


def settle(root: Path, lease: float = 60) -> Path:
    """Write the settings; ``lease`` is long, so that no holder loses its own, and short for one that is killed."""
    (root / "relevo.toml").write_text(SETTINGS.format(lease=lease))
    return root


def command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def answers(url: str, path: str) -> bool:
    try:
        with urllib.request.urlopen(url + path, timeout=60) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            process.kill()


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=120)[1]


def test_a_new_project_is_run_at_once_served_and_ended_in_order(tmp_path: Path, running: list[Up]) -> None:
    root = settle(flights.make(tmp_path / "flights"))
    up = Up(root, "--port", "0", "--workers", "1")
    running.append(up)
    plan = up.wait("tasks")
    assert (plan["project"], plan["leads"]) == ("flights", True)
    assert {"first run", "monitor", "deliver"} <= {task["name"] for task in plan["tasks"]}
    served = up.wait("url")
    assert served["version"] == ""
    until(lambda: answers(served["url"], "/ready"), PATIENCE)
    until(lambda: [job.status for job in jobs(root, "first run")] == ["done"], PATIENCE)
    assert [job.attempt for job in jobs(root, "first run")] == [1]
    tree = up.tree()
    assert up.end() == 0
    assert gone(tree)


def test_kill_9_of_all_in_the_midst_of_a_run_and_the_next_goes_on(tmp_path: Path, running: list[Up]) -> None:
    root = settle(flights.make(tmp_path / "flights"), lease=15)
    up = Up(root, "--no-serve")
    running.append(up)
    up.wait("tasks")
    until(lambda: any("relevo run" in " ".join(command(one)) for one in up.tree()), PATIENCE)
    until(lambda: stepped(root), PATIENCE)
    tree = up.tree()
    kill(tree)
    assert gone(tree)
    assert [job.status for job in jobs(root, "first run")] == ["running"]
    following = Up(settle(root), "--no-serve")
    running.append(following)
    following.wait("tasks")
    until(lambda: [job.status for job in jobs(root, "first run")] == ["done"], PATIENCE)
    assert [(job.attempt, job.facts["exit"]) for job in jobs(root, "first run")] == [(2, 0)]
    assert Workspace.open(root).ledger.champion("flights") is not None
    assert following.end(signal.SIGINT) == 0


def test_a_scheduler_that_dies_is_there_again_and_the_service_does_not_notice(
    released: Path, running: list[Up]
) -> None:
    up = Up(settle(released), "--port", "0", "--workers", "1")
    running.append(up)
    up.wait("tasks")
    url = up.wait("url")["url"]
    before = up.children()
    for _ in range(2):
        up.children()["scheduler"].kill()
        assert up.wait("tasks")["leads"], "at once: it is the same holder"
        assert answers(url, "/ready")
    after = up.children()
    assert after["service"] == before["service"]
    assert after["scheduler"] != before["scheduler"]
    assert up.end() == 0


def test_a_service_that_dies_is_there_again_on_the_same_port(released: Path, running: list[Up]) -> None:
    up = Up(settle(released), "--port", "0", "--workers", "2")
    running.append(up)
    url = up.wait("url")["url"]
    scheduler = up.children()["scheduler"]
    up.children()["service"].kill()
    assert up.wait("url")["url"] == url
    assert answers(url, "/ready")
    assert up.children()["scheduler"] == scheduler
    assert up.end() == 0


def test_when_the_command_is_killed_nothing_goes_on_behind_it(released: Path, running: list[Up]) -> None:
    up = Up(settle(released), "--port", "0", "--workers", "2")
    running.append(up)
    up.wait("url")
    tree = up.tree()
    up.process.kill()
    assert gone(tree[1:])


def test_of_two_on_one_ledger_one_schedules_and_the_other_takes_over(
    released: Path, running: list[Up]
) -> None:
    first = Up(settle(released, lease=15), "--no-serve")
    running.append(first)
    assert first.wait("tasks")["leads"]
    second = Up(settle(released, lease=120), "--no-serve")
    running.append(second)
    waits = second.wait("tasks")
    assert not waits["leads"]
    assert f":{first.process.pid}:" in waits["holder"]
    began = time.monotonic()
    kill(first.tree())
    assert second.wait("tasks")["leads"]
    assert time.monotonic() - began < 60
    third = Up(released, "--no-serve")
    running.append(third)
    assert not third.wait("tasks")["leads"]
    assert second.end() == 0
    assert third.wait("tasks", 60)["leads"], "what is given back need not run out"
    assert third.end() == 0


REHEARSED = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from relevo import clock
from relevo.scheduler.loop import Scheduler
from relevo.scheduler.task import Cron, Task
from relevo.workspace import Workspace
weekly = Task(name="weekly", command=("-c", "print('hello')"), whens=(Cron("0 3 * * 1", "America/Santiago"),))
workspace = Workspace.open(Path(sys.argv[1]))
workspace.ledger.agenda.jobs("flights")  # which makes the tables
start = datetime(2031, 5, 6, 12, tzinfo=UTC).timestamp()
clock.pace = clock.Pace(start, 7 * 86400 / 20, time.time())
os.environ[clock.VARIABLE] = clock.pace.text()
made = Scheduler(workspace, "flights", "one", [weekly])
readable, _ = os.pipe()
def go_on():
    return len(made._agenda.jobs("flights")) < 4 or bool(made.running)
made.run(go_on, readable)
"""


def test_three_rehearsed_weeks_have_three_weekly_jobs(tmp_path: Path) -> None:
    """A week takes twenty seconds, for every process of the rehearsal."""
    subprocess.run([sys.executable, "-c", REHEARSED, str(settle(tmp_path))], check=True, timeout=300)
    found = jobs(tmp_path, "weekly")[::-1]
    assert [job.due_at[:16] for job in found] == ["2031-05-12T07:00", "2031-05-19T07:00", "2031-05-26T07:00"]
    assert {(job.status, job.attempt) for job in found} == {("done", 1)}
    assert all(job.due_at < job.started_at for job in found)


def test_it_may_be_ended_before_it_is_ready(released: Path, running: list[Up]) -> None:
    up = Up(settle(released), "--port", "0")
    running.append(up)
    until(lambda: len(up.tree()) > 1)
    tree = up.tree()
    assert up.end(signal.SIGINT) == 0
    assert gone(tree)


def test_a_project_with_mistakes_ends_it_with_all_of_them(tmp_path: Path, running: list[Up]) -> None:
    root = settle(flights.make(tmp_path / "flights", rows=0))
    (root / "features.sql").write_text("select nothing from request")
    up = Up(root, "--port", "0")
    running.append(up)
    assert up.ended() == 1
    assert "features.sql" in (root / "said.txt").read_text()
    assert "Traceback" not in (root / "said.txt").read_text()


def test_a_mistake_made_later_leaves_service_and_tasks_as_they_were(
    released: Path, running: list[Up]
) -> None:
    good = (released / "features.sql").read_text()
    (released / "features.sql").write_text("select nothing from request")
    up = Up(settle(released), "--port", "0", "--workers", "1")
    running.append(up)
    assert up.wait("tasks")["tasks"] == []
    assert answers(up.wait("url")["url"], "/ready")
    (released / "features.sql").write_text(good)
    flights.edit(released / "project.py", ('name="flights",', 'name="flights",  # mended'))
    assert "monitor" in {task["name"] for task in up.wait("tasks")["tasks"]}
    assert up.end() == 0


def test_a_port_that_is_taken_ends_it_in_one_sentence(released: Path, running: list[Up]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up = Up(settle(released), "--port", str(taken.getsockname()[1]))
        running.append(up)
        assert "cannot be listened on" in up.wait("error")["message"]
        assert up.ended() == 1


def test_jobs_lists_what_comes_and_what_ran(released: Path) -> None:
    agenda = Workspace.open(released).ledger.agenda
    lease = agenda.acquire("flights", "schedule", "one", 60)
    assert lease is not None
    job = agenda.begin(lease, Begun("monitor", "2031-05-05T00:05:00.000000+00:00"))
    assert job is not None
    agenda.finish(job, "failed", "It ended with exit code 1.", {"seconds": 2.5})
    shown = flights.call("jobs", released)
    assert shown.code == 0
    assert "one schedules flights" in shown.out
    assert "2031-05-05 00:05:00  failed  1        2.5 s  It ended with exit code 1." in shown.out
    assert "when files appear: data/*.csv, holidays.csv" in shown.out
    found = flights.call("jobs", released, "--json").document
    assert found["scheduler"]["holder"] == "one"
    assert [one["error"] for one in found["jobs"]] == ["It ended with exit code 1."]
    assert {"monitor", "report"} <= {task["name"] for task in found["tasks"]}
