"""No prediction is answered that is not logged, and all that were logged reach the lake, once."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relevo.collect import collect
from support import service, small
from support.service import GOOD, UNCOLLECTED, until, until_idle

if TYPE_CHECKING:
    from relevo.workspace import Workspace

pytestmark = pytest.mark.slow  # each test starts services of its own

STILL = {"RELEVO_CLOCK": "2026-01-05T10:05:00+00:00 1e-9 0.0"}
"""A clock that stands, so that no segment ends with its quarter of an hour."""


def logged(root: Path) -> list[str]:
    """Ids in the journal, whole lines only."""
    found = []
    for segment in (root / ".relevo" / "log").glob("predictions-*.jsonl"):
        with suppress(FileNotFoundError):  # collected this moment
            lines = segment.read_bytes().splitlines(keepends=True)
            found += [json.loads(line)["id"] for line in lines if line.endswith(b"\n")]
    return found


def in_the_lake(made: Workspace) -> list[str]:
    """Ids in the lake."""
    with made.lake.connect() as connection:
        made.lake.bind(connection, "predictions", as_="found")
        return [row[0] for row in connection.execute("select id from found").fetchall()]


def test_what_was_answered_before_a_kill_is_in_the_lake_once(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    running = service.start(tmp_path, variables=UNCOLLECTED)
    rng = random.Random(5)
    asked = [small.body(small.request(rng)) for _ in range(50)]

    def kill() -> None:
        until(lambda: running.metric("relevo_requests_total") > 500)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(120)

    load = service.press(running.url, asked, kill, until_broken=True)
    running.process.communicate()
    running.client.close()
    assert load.broken == 16
    answered = {answer["id"] for _, answer in load.answers}
    journal = logged(tmp_path)
    assert len(journal) == len(set(journal))
    assert answered <= set(journal)
    collect(made)
    found = in_the_lake(made)
    assert len(found) == len(set(found))
    assert answered <= set(found)


def test_stopping_brings_everything_into_the_lake(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    running = service.start(tmp_path)
    ids = [answer["id"] for answer in running.ask([GOOD] * 20).json()]
    ids.append(running.ask(GOOD).json()["id"])
    assert running.stop() == 0
    assert logged(tmp_path) == []
    assert sorted(in_the_lake(made)) == sorted(ids)


def test_the_next_start_collects_what_a_killed_one_left(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    first = service.start(tmp_path)
    left = first.ask(GOOD).json()["id"]
    first.stop(signal.SIGKILL)
    second = service.start(tmp_path)
    until_idle(second, lambda: left not in logged(tmp_path))
    until_idle(second, lambda: second.metric("relevo_journal_backlog_bytes") == 0)
    assert second.stop() == 0
    assert in_the_lake(made) == [left]


def test_what_is_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    running = service.start(tmp_path)

    def stop() -> None:
        until(lambda: running.metric("relevo_requests_total") > 200)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0)

    load = service.press(running.url, [GOOD], stop)
    running.process.communicate(timeout=180)
    running.client.close()
    assert running.process.returncode == 0
    assert load.others == []
    found = in_the_lake(made)
    assert {answer["id"] for _, answer in load.answers} <= set(found)
    assert len(found) == len(set(found))


def test_a_full_disk_is_answered_with_503_and_never_unlogged(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: writing fails after some lines of the journal."""
    service.workspace(tmp_path)
    limit = 40_000

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    running = service.start(tmp_path, variables=STILL, preexec_fn=small_files)
    responses = [running.ask(GOOD) for _ in range(200)]
    answered = [response.json()["id"] for response in responses if response.status_code == 200]
    refused = [response for response in responses if response.status_code != 200]
    assert answered
    assert {(r.status_code, r.json()["type"]) for r in refused} == {(503, "/docs#not-logged")}
    assert {r.headers["retry-after"] for r in refused} == {"5"}
    assert running.ask([GOOD] * 200).status_code == 503
    assert running.client.get("/health").status_code == 200
    assert set(logged(tmp_path)) == set(answered)
    running.stop(signal.SIGKILL)


MOUNTED = """
set -e
mount -t tmpfs -o size=200k tmpfs "$1/.relevo/log"
exec "$2" -m relevo serve "$1" --port 0 --workers 1 --json
"""


def may_mount() -> bool:
    """Whether this user may mount a file system of its own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not may_mount(), reason="no user namespaces here")
def test_a_full_file_system_is_answered_with_503_until_there_is_space(tmp_path: Path) -> None:
    """The log is on a real file system of 200 kB, which the service alone sees."""
    service.workspace(tmp_path)
    (tmp_path / ".relevo" / "log").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh", str(tmp_path)]
    running = service.start(tmp_path, command=[*command, sys.executable], variables=STILL)
    log = Path(f"/proc/{running.process.pid}/root{tmp_path}/.relevo/log")
    ballast = log / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    answers = [running.ask(GOOD) for _ in range(500)]
    answered = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    refused = {(answer.status_code, answer.headers.get("retry-after")) for answer in answers[-10:]}
    assert answered
    assert refused == {(503, "5")}
    assert running.client.get("/ready").status_code == 200
    ballast.unlink()
    answered.append(running.ask(GOOD).json()["id"])
    lines = [line for path in log.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(answered)
    running.stop(signal.SIGKILL)


def test_a_disk_that_has_space_again_is_written_again(tmp_path: Path) -> None:
    """As on the full file system, by a limit on the size of files that is lifted."""
    service.workspace(tmp_path)
    hard = resource.RLIM_INFINITY

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    running = service.start(tmp_path, variables=STILL, preexec_fn=small_files)
    statuses = [running.ask(GOOD).status_code for _ in range(100)]
    assert (statuses[0], statuses[-1]) == (200, 503)
    assert running.metric('relevo_refusals_total{kind="not-logged"}') == statuses.count(503)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert running.ask(GOOD).status_code == 200
    assert len(logged(tmp_path)) == statuses.count(200) + 1
    running.stop(signal.SIGKILL)
