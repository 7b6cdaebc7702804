"""No prediction is answered that is not logged, and all that were logged reach the lake, once."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from typing import TYPE_CHECKING

from relevo.collect import collect
from support import service, small
from support.service import GOOD, until

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.workspace import Workspace


def logged(root: Path) -> list[str]:
    """Ids in the journal, whole lines only."""
    return [
        json.loads(line)["id"]
        for segment in (root / ".relevo" / "log").glob("predictions-*.jsonl")
        for line in segment.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def in_the_lake(made: Workspace) -> list[str]:
    """Ids in the lake."""
    with made.lake.connect() as connection:
        made.lake.bind(connection, "predictions", as_="found")
        return [row[0] for row in connection.execute("select id from found").fetchall()]


def test_what_was_answered_before_a_kill_is_in_the_lake_once(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    running = service.start(tmp_path)
    rng = random.Random(5)
    asked = [small.body(small.request(rng)) for _ in range(50)]

    def kill() -> None:
        until(lambda: running.metric("relevo_requests_total") > 500)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(30)

    load = service.press(running.url, asked, kill)
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
    until(lambda: left not in logged(tmp_path), 60)
    assert second.metric("relevo_journal_backlog_bytes") == 0
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
    running.process.communicate(timeout=60)
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

    running = service.start(tmp_path, preexec_fn=small_files)
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
