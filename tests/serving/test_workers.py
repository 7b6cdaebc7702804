"""Several workers are one service: they share a socket, follow one champion, and none is missed when it dies."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from relevo import keys
from relevo.journal import Journal
from relevo.serving import supervise
from relevo.serving.app import Worker, create_app
from relevo.serving.board import Board
from relevo.serving.drain import LINGER
from support import service, small
from support.service import GOOD, SECOND, UNCOLLECTED, until, until_idle, workers

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.workspace import Workspace

pytestmark = pytest.mark.slow  # each test starts services of its own

WORKERS = 3
TRIES = 5
"""Of what the processor's other users can spoil, each with a service of its own."""


def in_the_lake(made: Workspace) -> list[str]:
    with made.lake.connect() as connection:
        made.lake.bind(connection, "predictions", as_="found")
        return [row[0] for row in connection.execute("select id from found").fetchall()]


def callers(worker: int) -> list[int]:
    """The ports of who is connected to a worker."""
    found = psutil.Process(worker).net_connections("tcp")
    return [one.raddr.port for one in found if one.status == psutil.CONN_ESTABLISHED]


def counters(running: service.Service) -> dict[str, float]:
    """Every counter by its name and labels."""
    samples, kinds = {}, {}
    for line in running.client.get("/metrics").text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            kinds[name] = kind
        elif not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    wanted = tuple(name for name, kind in kinds.items() if kind in ("counter", "histogram"))
    return {name: value for name, value in samples.items() if name.startswith(wanted)}


def test_a_worker_killed_under_load_loses_no_answer_and_touches_no_other(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    running = service.start(tmp_path, workers=WORKERS)
    rng = random.Random(5)
    asked = [small.body(small.request(rng)) for _ in range(50)]
    before = workers(running)
    victim = max(before)
    held: list[int] = []

    def kill() -> None:
        until(lambda: running.metric("relevo_requests_total") > 500)
        os.kill(victim, signal.SIGSTOP)  # so that it takes no more
        until(lambda: psutil.Process(victim).status() == psutil.STATUS_STOPPED)
        held.append(len(callers(victim)))
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in workers(running) and len(workers(running)) == WORKERS)
        after = running.metric("relevo_requests_total")
        until(lambda: running.metric("relevo_requests_total") > after + 500)

    running.client.get("/health")
    load = service.press(running.url, asked, kill, connections=24)
    assert load.others == []
    assert load.broken <= held[0]  # only who was connected to the one that died
    assert before - {victim} < workers(running)
    assert running.ask(GOOD).status_code == 200
    assert running.stop() == 0
    found = in_the_lake(made)
    assert len(found) == len(set(found))
    assert {answer["id"] for _, answer in load.answers} <= set(found)
    assert "SIGKILL; another takes its place" in running.said.read_text()


def test_all_workers_take_over_a_version_under_load(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    running = service.start(tmp_path, workers=WORKERS)

    def answering(version: str) -> float:
        return running.metric(f'relevo_workers{{version="{version}"}}')

    def promote() -> None:
        until(lambda: answering("1.0.0") == WORKERS)
        for wanted in ("1.0.1", "1.0.0"):
            service.promote(made, wanted)
            until(lambda wanted=wanted: answering(wanted) == WORKERS)  # type: ignore[misc]

    load = service.press(running.url, [GOOD], promote)
    assert (load.others, load.broken) == ([], 0)
    assert {answer["version"] for _, answer in load.answers} == {"1.0.0", "1.0.1"}
    assert running.stop() == 0


def test_no_counter_goes_down_when_workers_die(tmp_path: Path) -> None:
    service.workspace(tmp_path)
    running = service.start(tmp_path, workers=2)
    before: dict[str, float] = {}
    for _ in range(3):
        running.ask([GOOD] * 7)
        shown = counters(running)
        for name, value in before.items():
            assert shown[name] >= value, name
        before = shown
        victim = max(workers(running), key=lambda pid: pid)
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: victim not in workers(running))  # type: ignore[misc]
        with suppress(Exception):
            running.client.get("/health")  # its connection may have been to the one that died
    assert before['relevo_predictions_total{version="1.0.0",label="late"}'] >= 0
    total = sum(value for name, value in before.items() if name.startswith("relevo_predictions_total"))
    assert total == 21
    assert running.stop() == 0


def test_stopping_finishes_answers_and_says_that_it_is_not_ready(tmp_path: Path) -> None:
    for number in range(1, TRIES + 1):
        made = service.workspace(tmp_path / str(number))
        running = service.start(tmp_path / str(number), workers=2)
        told: list[float] = []
        try:
            with ExitStack() as held:
                ids = answered_while_stopping(running, held, told)
        except (OSError, http.client.HTTPException):
            if number == TRIES or not told or time.monotonic() < told[0] + LINGER:
                raise
            running.stop()
        else:
            break
    running.client.close()
    running.process.communicate(timeout=180)
    assert running.process.returncode == 0
    assert sorted(in_the_lake(made)) == sorted(ids)


def answered_while_stopping(running: service.Service, held: ExitStack, told: list[float]) -> list[str]:
    """Tell a service to stop, and ask what it still has to answer; gives the ids, and ``told``: when it was."""
    host, _, port = running.url.removeprefix("http://").partition(":")
    kept = [http.client.HTTPConnection(host, int(port), timeout=60) for _ in range(3)]
    for one in kept:
        held.callback(one.close)
        one.request("GET", "/ready")
        assert one.getresponse().read()
    slow = held.enter_context(socket.create_connection((host, int(port)), timeout=60))
    body = json.dumps([GOOD]).encode()
    head = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    slow.sendall(head % len(body) + body[:5])
    until(lambda: any(slow.getsockname()[1] in callers(worker) for worker in workers(running)))
    told.append(time.monotonic())
    running.process.send_signal(signal.SIGTERM)
    until(lambda: not reachable(host, int(port)))
    kept[0].request("GET", "/ready")
    refused = kept[0].getresponse()
    assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert json.loads(refused.read())["type"] == "/docs#draining"
    kept[2].request("GET", "/v2/health/ready")
    refused = kept[2].getresponse()
    assert (refused.status, json.loads(refused.read())) == (503, {"live": True, "ready": False})
    kept[1].request("POST", "/v1/predict", json.dumps(GOOD), {"content-type": "application/json"})
    last = kept[1].getresponse()
    assert (last.status, last.headers["connection"]) == (200, "close")
    ids = [json.loads(last.read())["id"]]
    slow.sendall(body[5:])
    with slow.makefile("rb") as said:
        answer = said.read()
    if not answer:
        raise ConnectionError
    assert answer.startswith(b"HTTP/1.1 200")
    return [*ids, json.loads(answer.partition(b"\r\n\r\n")[2])[0]["id"]]


def test_a_worker_forked_later_begins_with_the_version_of_then(tmp_path: Path) -> None:
    """Not with the one, nor with the keys, that its supervisor loaded long before."""
    made = service.workspace(tmp_path, {}, SECOND)
    app = create_app(made, "flights", workers=2, collect=False, begin=False)
    app.follower.prepare()
    assert app.predict.serving().version.version == "1.0.0"
    service.promote(made, "1.0.1")
    made.ledger.keys.add(keys.create("flights", "", ["read"], who="test", expires=None)[0])
    app.begin(Worker(Board(3), 1, alone=False))
    assert app.predict.serving().version.version == "1.0.1"
    assert app.access.required
    app.journal.close()
    app.labels.close()


def reachable(host: str, port: int) -> bool:
    """Whether a new connection is taken."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_worker_that_dies_again_and_again_is_started_more_and_more_slowly(tmp_path: Path) -> None:
    for number in range(1, TRIES + 1):
        service.workspace(tmp_path / str(number))
        running = service.start(tmp_path / str(number), workers=2)
        keep = min(workers(running))
        for _ in range(3):
            until(lambda: len(workers(running)) == 2)  # noqa: B023 - asked at once
            os.kill(next(iter(workers(running) - {keep})), signal.SIGKILL)
            until(lambda: running.said.read_text().count("SIGKILL") > _)  # noqa: B023 - asked at once
        assert keep in workers(running)
        assert running.stop() == 0
        said = running.said.read_text()
        lives = [float(found) for found in re.findall(r"ended after ([0-9.]+) s", said)]
        assert len(lives) == 3
        if max(lives) < supervise._STEADY:
            break
    assert max(lives) < supervise._STEADY
    assert [float(found) for found in re.findall(r"starts in ([0-9.]+) s", said)] == [0.5, 1.0]


def test_the_supervisor_has_one_thread_and_workers_end_with_it(tmp_path: Path) -> None:
    service.workspace(tmp_path)
    running = service.start(tmp_path, workers=2)
    assert psutil.Process(running.process.pid).num_threads() == 1
    left = workers(running)
    assert len(left) == 2
    running.stop(signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in left))


def test_a_worker_killed_while_it_starts_is_replaced(tmp_path: Path) -> None:
    service.workspace(tmp_path)
    running = service.start(tmp_path, workers=2)
    for _ in range(2):
        victim = min(workers(running))
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: victim not in workers(running))  # type: ignore[misc]
    until(lambda: len(workers(running)) == 2)
    until(lambda: running.metric("relevo_worker_restarts_total") == 2)
    assert running.stop() == 0


def test_one_of_them_collects_and_its_replacement_does_too(tmp_path: Path) -> None:
    """What a killed service left is collected by the first worker; after its death by the one in its place."""
    made = service.workspace(tmp_path)
    first = service.start(tmp_path, variables=UNCOLLECTED)
    ids = [first.ask(GOOD).json()["id"]]
    log = tmp_path / ".relevo" / "log"
    segment = next(log.glob("predictions-*.jsonl")).read_bytes().replace(ids[0].encode(), b"left")
    first.stop(signal.SIGKILL)
    running = service.start(tmp_path, workers=2)
    until_idle(running, lambda: made.lake.exists("predictions"))
    lead = min(workers(running))
    os.kill(lead, signal.SIGKILL)
    until(lambda: lead not in workers(running))
    until_idle(running, lambda: not list(log.glob("*.jsonl")))
    second = Journal.open(log)
    second.write(segment)
    second.close()
    until_idle(running, lambda: not list(log.glob("*.jsonl")))
    ids.append("left")
    assert running.stop() == 0
    assert sorted(in_the_lake(made)) == sorted(ids)


@pytest.mark.parametrize("count", ["0", "-1", "x", "1000", "²"])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path: Path, count: str) -> None:
    service.workspace(tmp_path)
    from support import project

    done = project.call("serve", tmp_path, "--workers", count)
    assert done.code == 1
    assert "from 1 to 256, or auto" in done.err
