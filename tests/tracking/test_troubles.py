"""Servers that answer wrongly or not at all: a clear message, no secret in it, nothing lost, and soon."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from relevo.workspace import Workspace
from support import project
from support.loopback import answering, reply, silent
from support.mlflows import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.mlflows import MlflowServer

pytestmark = pytest.mark.slow
_LARGEST = 1 << 23  # bytes of a file, more than the ledger has
PASSWORD, TOKEN = "correct-horse", "bearer-of-secrets"


@contextmanager
def failing(status: int, body: bytes) -> Iterator[str]:
    with answering(lambda _: reply(status, body)) as found:
        yield found.url


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends a byte now and then, so that no time-out of a socket ends it."""
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        caller, _ = listening.accept()
        with caller:
            caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            while not over.wait(0.3):
                try:
                    caller.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join(10)


@pytest.mark.parametrize(
    ("trouble", "said", "limit", "socket_limit"),
    [
        (lambda: failing(500, b"broken"), "answers with 500", 60, 60),
        (lambda: failing(400, b"no such thing"), "answers with 400", 60, 60),
        (lambda: failing(403, b"Invalid Host header"), "--allowed-hosts", 60, 60),
        (lambda: failing(401, b"who are you"), "MLFLOW_TRACKING_USERNAME", 60, 60),
        (lambda: failing(200, b"<html>a proxy's page</html>"), "MLflow at", 60, 60),
        (silent, "does not answer", 20, 1),
        (dripping, "did not answer within", 1, 120),
    ],
)
def test_a_server_in_trouble_is_told_without_secrets_and_nothing_is_lost(
    released: Path,
    trouble: Callable[[], AbstractContextManager[str]],
    said: str,
    limit: int,
    socket_limit: int,
) -> None:
    with trouble() as url:
        named = url.replace("http://", f"http://ana:{PASSWORD}@")
        variables = {
            "MLFLOW_TRACKING_URI": named,
            "MLFLOW_TRACKING_TOKEN": TOKEN,
            "RELEVO_MLFLOW__TIMEOUT": str(limit),
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(socket_limit),
        }
        began = time.monotonic()
        done = project.relevo("mlflow", "sync", released, env=variables)
        took = time.monotonic() - began
        status = project.relevo("mlflow", "status", released, env=variables)
        waits = json.loads(project.relevo("mlflow", "status", released, "--json", env=variables).stdout)
    assert done.returncode == 1
    assert said in done.stderr
    assert said in status.stdout
    assert waits["waiting"] == {"run": 1, "version": 1, "release": 1}
    assert waits["refused"] == []
    for text in (done.stdout, done.stderr, status.stdout, json.dumps(waits)):
        assert PASSWORD not in text
        assert TOKEN not in text
    assert "Traceback" not in done.stderr
    assert took < 180


def test_a_full_disk_is_told_leaves_nothing_and_what_was_not_told_waits(
    server: MlflowServer, released: Path
) -> None:
    settle(released, "full")
    workspace = Workspace.open(released)
    champion = workspace.ledger.champion("flights")
    assert champion is not None
    workspace.ledger.close()
    large = workspace.blobs.folder(champion.digest) / "large"
    large.write_bytes(bytes(_LARGEST + 1))
    variables = {"MLFLOW_TRACKING_URI": server.url}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST, _LARGEST))

    done = project.relevo("mlflow", "sync", released, env=variables, preexec_fn=limit)
    assert (done.returncode, "the disk is full" in done.stderr, "Traceback" in done.stderr) == (
        1,
        True,
        False,
    )
    said = json.loads(project.relevo("mlflow", "status", released, "--json", env=variables).stdout)
    assert "the disk is full" in said["last"]["error"]
    assert (said["waiting"]["version"], said["refused"]) == (1, [])
    assert list((workspace.root / "scratch").iterdir()) == []
    large.unlink()
    assert project.relevo("mlflow", "sync", released, env=variables).returncode == 0


def test_a_name_that_the_server_does_not_know_is_told_with_the_remedy(
    server: MlflowServer, released: Path
) -> None:
    variables = {"MLFLOW_TRACKING_URI": server.url.replace("127.0.0.1", "localhost")}
    done = project.relevo("mlflow", "sync", released, env=variables)
    assert done.returncode == 1
    assert "(403)" in done.stderr
    assert "--allowed-hosts" in done.stderr


def test_without_a_server_named_it_says_what_to_set(released: Path) -> None:
    done = project.relevo("mlflow", "status", released, env={"MLFLOW_TRACKING_URI": ""})
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_URI" in done.stderr
