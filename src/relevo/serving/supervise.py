"""Several workers on one listening socket: a process that only starts them, and starts them again.

All that workers have in common is made here before the fork and shared by the kernel, page by page: the
imported modules, the champion's package, the socket. What must not cross a fork (the ledger's connections, the
histories' files, the journal, threads, ids) each worker opens itself. The socket stays open here, so
connections that wait while a worker is replaced are not lost.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from relevo.serving.app import Worker
from relevo.serving.board import Board, Share, bury
from relevo.serving.collecting import collector_of
from relevo.serving.drain import LINGER
from relevo.serving.memory import give_back
from relevo.serving.metrics import Metrics
from relevo.serving.run import FAREWELL, answer, configuration
from relevo.texts import t

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from relevo.serving.app import App
    from relevo.workspace import Workspace

_STEADY = 10.0  # seconds after which a worker's death says nothing about the next one's life
_FIRST, _LONGEST = 0.5, 30.0  # seconds of back-off
_PATIENCE = FAREWELL + LINGER + 10.0  # seconds until a worker that does not stop is killed
_TELL = 1.0
_BACKLOG = 2048
_log = logging.getLogger(__name__)


@dataclass
class _Slot:
    """A worker's place: whoever dies in it is replaced."""

    number: int
    pid: int = 0
    born: float = 0.0
    deaths: int = 0
    """One after the other, each soon after its birth."""
    due: float = 0.0


class Supervisor:
    """Keeps ``workers`` processes alive that are ``app`` on a bound socket.

    It has one thread, and sleeps unless a signal or a worker wakes it.
    """

    def __init__(self, workspace: Workspace, app: App, listener: socket.socket, workers: int) -> None:
        self._workspace = workspace
        self._app, self._listener = app, listener
        self._slots = [_Slot(number) for number in range(workers)]
        self._board = Board(workers + 1)
        self._metrics = Metrics()
        self._share = Share(self._board, workers, self._metrics, "supervisor", dict[str, Any])
        self._lifeline, self._held = os.pipe()  # nobody writes: it ends with this process
        self._voice, self._told = os.pipe()  # workers that are ready say by which version
        self._signalled, self._wake = os.pipe()
        self._stopping = False

    def run(self, ready: Callable[[str], None]) -> None:
        """Start the workers and keep them until SIGTERM or SIGINT; then let them finish.

        ``ready`` is given the version that answers once all of them do.
        """
        self._app.follower.prepare()
        configuration(self._app).load()  # imports the server's parts
        self._listener.listen(_BACKLOG)
        self._listen_to_signals()
        give_back()
        gc.freeze()  # no collection in a worker writes to what was made before the fork
        waiting, version = len(self._slots), ""
        while not self._stopping:
            self._start_due()
            self._share.publish()
            for said in self._wait():
                waiting, version = waiting - 1, said
                if not waiting:
                    ready(version)
            self._reap()
        self._finish()

    def _start_due(self) -> None:
        for slot in self._slots:
            if not slot.pid and time.monotonic() >= slot.due:
                slot.born = time.monotonic()
                slot.pid = os.fork()
                if not slot.pid:
                    self._work(Worker(self._board, slot.number, alone=False))

    def _wait(self) -> list[str]:
        """Sleep until something happens; returns the versions of workers that became ready."""
        dues = [slot.due for slot in self._slots if not slot.pid]
        pause = min([_TELL, *(max(0.0, due - time.monotonic()) for due in dues)])
        found, _, _ = select.select([self._signalled, self._voice], [], [], pause)
        if self._signalled in found:
            numbers = os.read(self._signalled, 512)
            self._stopping = bool({signal.SIGTERM, signal.SIGINT} & set(numbers))
        if self._voice in found:
            return os.read(self._voice, 4096).decode().split("\n")[:-1]
        return []

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid and (status := _ended(slot.pid)) is not None:
                self._mourn(slot, status)

    def _mourn(self, slot: _Slot, status: int) -> None:
        """Note a death, and when the next one is born: at once, later when it happens again and again."""
        bury(self._board, slot.number)
        pid, slot.pid = slot.pid, 0
        lived = time.monotonic() - slot.born
        slot.deaths = 0 if lived >= _STEADY else slot.deaths + 1
        pause = min(_FIRST * 2 ** (slot.deaths - 2), _LONGEST) if slot.deaths > 1 else 0.0
        slot.due = time.monotonic() + pause
        self._metrics.restarts += 1
        facts = {"number": slot.number, "pid": pid, "end": _described(status), "seconds": lived}
        if pause:
            _log.error(
                "%s",
                t(
                    "Worker {number} (process {pid}) ended after {seconds:.1f} s by {end}, as the {deaths} before it; "
                    "the next one starts in {pause:.1f} s.",
                    **facts,
                    deaths=slot.deaths - 1,
                    pause=pause,
                ),
            )
        else:
            _log.error(
                "%s",
                t(
                    "Worker {number} (process {pid}) ended after {seconds:.1f} s by {end}; another takes its place.",
                    **facts,
                ),
            )

    def _finish(self) -> None:
        """Let the workers finish, kill those that do not, and collect what all of them left."""
        self._listener.close()
        alive = {slot.pid for slot in self._slots if slot.pid}
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + _PATIENCE
        while alive and time.monotonic() < end:
            if select.select([self._signalled], [], [], min(0.5, max(0.0, end - time.monotonic())))[0]:
                os.read(self._signalled, 512)
            alive = {pid for pid in alive if _ended(pid) is None}
        for pid in alive:
            _log.error("%s", t("Process {pid} does not stop; it is killed.", pid=pid))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        collector_of(self._workspace).finish()

    def _listen_to_signals(self) -> None:
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # the number arrives in the pipe

    def _work(self, worker: Worker) -> NoReturn:
        """Be a worker; the process ends with it, and nothing of the supervisor's is tidied up."""
        code = 1

        def tell(version: str) -> None:
            os.write(self._told, f"{version}\n".encode())

        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):  # until it answers there is nothing to finish
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for descriptor in (self._held, self._voice, self._signalled, self._wake):
                os.close(descriptor)
            self._app.begin(worker)
            answer(self._app, self._listener, tell, self._lifeline)
            code = 0
        except BaseException:  # noqa: BLE001 - logged with its traceback; the supervisor starts another
            _log.exception("worker %s", worker.number)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)


def _ended(pid: int) -> int | None:
    """The wait status of a child that ended; None while it lives."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if found else None


def _described(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else t("exit code {code}", code=code)
