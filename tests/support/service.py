"""The service as users start it: ``relevo serve`` in a process of its own, asked over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from relevo.records import Verdict
from relevo.register import register
from relevo.serving.collecting import hurry
from relevo.workspace import Workspace
from support import small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

GOOD = {
    "Fecha-I": "2017-07-14 19:35:00",
    "Vlo-I": "226",
    "Des-I": "SCFA",
    "Emp-I": "SKU",
    "TIPOVUELO": "N",
}
SECOND = {"calibration": {"a": 0.5, "b": 1.5}, "threshold": 0.9}
"""What the second version has differently, so that no answer of one could be the other's."""
UNCOLLECTED = {"RELEVO_SERVE__COLLECT": "false"}
"""Variables of a service whose log stays where it is; others collect theirs at each quarter of an hour."""


def workspace(root: Path, *changes: dict[str, Any], release: str = "1.0.0") -> Workspace:
    """Make a workspace with a small version for each of ``changes`` (one without any by default), one released."""
    root.mkdir(parents=True, exist_ok=True)
    made = Workspace.open(root)
    made.remember("flights")
    for number, change in enumerate(changes or ({},)):
        small.write(root / f"package{number}", **change)
        verdict = Verdict(accepted=True, reasons=())
        register(made, root / f"package{number}", verdict=verdict, run="test")
    if release:
        promote(made, release)
    return made


def promote(made: Workspace, version: str) -> None:
    """Move the champion."""
    made.ledger.release("flights", "champion", version, who="test", why="", act="promote")


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[str]
    url: str
    client: httpx.Client
    said: Path

    def ask(self, body: Any, **headers: str) -> httpx.Response:
        """Ask for a prediction: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.client.post("/v1/predict", content=content, headers=sent)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.client.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=300)
        return self.process.returncode

    def metric(self, name: str) -> float:
        """Sum of a metric's samples."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(name) and line[len(name)] in " {"
        )


def start(
    root: Path,
    *arguments: str,
    workers: int = 1,
    command: list[str] | None = None,
    variables: dict[str, str] | None = None,
    **options: Any,
) -> Service:
    """Start ``relevo serve`` on a free port, or another command that does, and wait for its ready line.

    Of Relevo's own environment variables it has only these ``variables``.
    """
    said = root / "said.txt"
    usual = [
        sys.executable,
        "-m",
        "relevo",
        "serve",
        str(root),
        "--port",
        "0",
        "--workers",
        str(workers),
        "--json",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELEVO_")}
    with said.open("a") as out:
        process = subprocess.Popen(
            command or [*usual, *arguments],
            stdout=subprocess.PIPE,
            stderr=out,
            text=True,
            env=environment | {"LC_ALL": "C.UTF-8"} | (variables or {}),
            **options,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, said.read_text()
    url = json.loads(line)["url"]
    return Service(process, url, httpx.Client(base_url=url, timeout=120), said)


def workers(running: Service) -> set[int]:
    """The processes that the supervisor of a service of several workers forked."""
    return {child.pid for child in psutil.Process(running.process.pid).children()}


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for a condition; fails when it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def until_idle(running: Service, condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait for what a service has done when nobody else wants the processor: here that could be never."""

    def hurried() -> bool:
        for child in psutil.Process(running.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                for thread in child.threads():
                    hurry(thread.id)
        return condition()

    until(hurried, seconds)


@dataclass
class Load:
    """What 16 connections were told: every answer with its request, and every other status."""

    answers: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    broken: int = 0


def press(
    url: str,
    bodies: Iterable[dict[str, Any]],
    meanwhile: Callable[[], None],
    connections: int = 16,
    *,
    until_broken: bool = False,
) -> Load:
    """Ask from many connections at once while ``meanwhile`` runs in a thread, or until all of them broke."""
    return asyncio.run(_press(url, list(bodies), meanwhile, connections, until_broken))


async def _press(
    url: str,
    bodies: list[dict[str, Any]],
    meanwhile: Callable[[], None],
    connections: int,
    until_broken: bool,
) -> Load:
    load, over = Load(), asyncio.Event()
    host, _, port = url.removeprefix("http://").partition(":")
    users = [
        asyncio.create_task(_user(load, over, host, int(port), bodies[n:] + bodies[:n]))
        for n in range(connections)
    ]
    try:
        await asyncio.to_thread(meanwhile)
        if until_broken:
            await asyncio.wait(users, timeout=120)
    finally:
        over.set()
        await asyncio.gather(*users)
    return load


async def _user(load: Load, over: asyncio.Event, host: str, port: int, bodies: list[dict[str, Any]]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    number = 0
    try:
        while not over.is_set():
            request = bodies[number % len(bodies)]
            number += 1
            body = json.dumps(request).encode()
            writer.write(
                b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            answer = await reader.readexactly(length)
            if head.startswith(b"HTTP/1.1 200"):
                load.answers.append((request, json.loads(answer)))
            else:
                load.others.append(head + answer)
    except (OSError, asyncio.IncompleteReadError):
        load.broken += 1
    finally:
        writer.close()
