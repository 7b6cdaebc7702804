"""``up``: the service and the scheduler in one command, each a process of its own that is kept alive.

This process imports neither: it starts them, prints what they say, and starts them again when they die. A child
that ends before it was ever ready ends everything, for whoever typed the command is there to read why.
"""

from __future__ import annotations

import json as json_
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relevo import leash
from relevo.cli import mirror
from relevo.cli.output import FAILED, document, say
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

_STEADY = 10.0  # seconds after which a death says nothing about the next life
_FIRST, _LONGEST = 0.5, 60.0  # seconds of back-off
_TELL = 1.0


@dataclass
class _Part:
    """A child: how it is started, and how it has fared."""

    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    text: bytes = b""
    ready: bool = False
    born: float = 0.0
    deaths: int = 0
    due: float = 0.0

    def start(self) -> None:
        self.text, self.born = b"", time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", *self.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=leash.held(signal.SIGTERM),
            process_group=0,  # Ctrl-C is for us, who then end them in order
        )

    def lines(self) -> list[Any]:
        """What it said since the last time, a JSON document each."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.text += os.read(self.process.stdout.fileno(), 65536)
        *lines, self.text = self.text.split(b"\n")
        return [json_.loads(line) for line in lines if line.strip()]

    def rest(self) -> None:
        """Note its death, and when it is started again: later when it dies again and again."""
        self.process = None
        self.deaths = 0 if time.monotonic() - self.born >= _STEADY else self.deaths + 1
        pause = min(_FIRST * 2 ** (self.deaths - 1), _LONGEST) if self.deaths else 0.0
        self.due = time.monotonic() + pause


@dataclass
class _Everything:
    """The parts, and what is printed of them."""

    scheduler: _Part
    service: _Part | None
    mirror: _Part | None
    folder: Path
    json: bool
    wake: int = field(init=False)
    stopping: int = 0
    code: int = 0

    def run(self) -> int:
        """Keep both until a signal; returns the exit code."""
        self.wake = self._listen_to_signals()
        while not self.stopping:
            for part in self._wanted():
                if part.process is None and time.monotonic() >= part.due:
                    part.start()
            self._wait()
            self._reap()
        self._finish()
        return self.code

    def _wanted(self) -> list[_Part]:
        """The scheduler alone at first: it makes the workspace that the service opens."""
        others = (self.service, self.mirror) if self.scheduler.ready else ()
        return [self.scheduler, *(part for part in others if part is not None)]

    def _alive(self) -> dict[int, _Part]:
        parts = [part for part in (self.scheduler, self.service, self.mirror) if part is not None]
        return {
            part.process.stdout.fileno(): part
            for part in parts
            if part.process is not None and part.process.stdout is not None
        }

    def _wait(self) -> None:
        alive = self._alive()
        readable, _, _ = select.select([self.wake, *alive], [], [], _TELL)
        if self.wake in readable:
            said = os.read(self.wake, 512)
            self.stopping += sum(number in {signal.SIGTERM, signal.SIGINT} for number in said)
        for descriptor in readable:
            if descriptor in alive:
                part = alive[descriptor]
                for said in part.lines():
                    part.ready = part.ready or "error" not in said
                    self._show(part, said)

    def _show(self, part: _Part, said: dict[str, Any]) -> None:
        if "error" in said:  # how a command asked for JSON says why it ends
            if self.json:
                document(said)
            else:
                sys.stderr.write(f"{t('Error:')} {said['message']}\n")
            return
        if part is self.service:
            place = part.command.index("--port") + 1
            part.command[place] = said["url"].rpartition(":")[2]  # a free port that was found is kept
        if self.json:
            document(said)
        elif part is self.service:
            _show_service(said)
        elif part is self.mirror:
            say(t("Telling MLflow at {server}, and watching its aliases.", server=said["mlflow"]))
        else:
            _show_tasks(said, self.folder)
        sys.stdout.flush()

    def _reap(self) -> None:
        for part in self._alive().values():
            assert part.process is not None
            code = part.process.poll()
            if code is None:
                continue
            assert part.process.stdout is not None
            part.process.stdout.close()
            if not part.ready and not self.stopping and part is not self.mirror:
                self.stopping, self.code = 1, code if code > 0 else FAILED
            part.rest()
            if not self.stopping:
                name = self._name(part)
                pause = max(0.0, part.due - time.monotonic())
                sys.stderr.write(
                    t(
                        "{name} ended ({code}); it starts again in {pause:.1f} s.",
                        name=name,
                        code=code,
                        pause=pause,
                    )
                    + "\n"
                )

    def _name(self, part: _Part) -> str:
        if part is self.mirror:
            return t("What tells MLflow")
        return t("The service") if part is self.service else t("The scheduler")

    def _finish(self) -> None:
        """Ask both to end and wait for it; a second signal kills them."""
        asked = self.stopping
        for part in self._alive().values():
            _signal(part, signal.SIGTERM)
        while self._alive():
            self._wait()
            self._reap()
            if self.stopping > asked:
                for part in self._alive().values():
                    _signal(part, signal.SIGKILL)

    @staticmethod
    def _listen_to_signals() -> int:
        readable, writable = os.pipe()
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # the number arrives in the pipe
        return readable


def _signal(part: _Part, number: int) -> None:
    if part.process is not None:
        with suppress(ProcessLookupError):
            part.process.send_signal(number)


def _show_service(said: dict[str, Any]) -> None:
    shown = said["version"] or t("no version yet")
    say(t("Serving ({version}) at {url}; documentation at {url}/docs.", version=shown, url=said["url"]))


def _show_tasks(said: dict[str, Any], folder: Path) -> None:
    if said["leads"]:
        say(t("Scheduling {project}:", project=said["project"]))
        for task in said["tasks"]:
            say(f"  {task['name']:10} {told(task, folder)}")
    elif said["holder"]:
        say(
            t(
                "{project} is scheduled by {holder}; this one takes over when that ends.",
                project=said["project"],
                holder=said["holder"],
            )
        )


def told(task: dict[str, Any], folder: Path) -> str:
    """When a task is due, in words; see ``due.upcoming``. Files below ``folder`` are named as seen from there."""
    found = []
    if task["needs"] in {"deliveries", "journal"}:
        found.append(t("as soon as there is something to do"))
    elif task["next"]:
        found.append(t("next {time}", time=task["next"].replace("T", " ")))
    if task["files"]:
        names = [name.removeprefix(f"{folder}{os.sep}") for name in task["files"]]
        found.append(t("when files appear: {files}", files=", ".join(names)))
    if task["after"]:
        found.append(t("after {tasks}", tasks=", ".join(task["after"])))
    if task["needs"] == "no champion":
        found.append(t("while nothing is released"))
    return "; ".join(found)


def up(folder: Path, host: str, port: int, workers: str, *, serve: bool, json: bool) -> None:
    """Serve and schedule until SIGTERM or Ctrl-C."""
    folder = folder.absolute()
    holder = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"  # the scheduler's, whichever process it is
    scheduler = _Part(["relevo.cli.scheduler", str(folder), holder, *(["--serving"] if serve else [])])
    service = [
        "relevo",
        "serve",
        str(folder),
        "--host",
        host,
        "--port",
        str(port),
        "--workers",
        workers,
        "--json",
    ]
    following = _Part(["relevo.cli.following", str(folder)]) if mirror.wanted() else None
    if hint := mirror.hint():
        sys.stderr.write(f"{hint}\n")
    code = _Everything(scheduler, _Part(service) if serve else None, following, folder, json).run()
    if code:
        sys.exit(code)
