"""A job's process: in a group of its own, with an end to its time and memory, and the end of what it wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import leash, resources
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.scheduler.task import Task

TAIL = 4096
"""Bytes kept of what a job wrote."""
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_NICE = 10
_BEGINNING = 0.25  # seconds in which a program has hardly begun, so that its memory says nothing
_INEXACT = 1 << 20  # bytes by which the kernel's counters may differ
_RSS_UNIT = 1024 if sys.platform == "linux" else 1  # getrusage(2)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended. ``why`` is said when it was made to: empty otherwise."""

    code: int
    """Its exit code, or minus the signal that ended it."""
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    """The most memory it had; of one that ended at once and stayed smaller than its starter, that starter's."""
    tail: str
    why: str


class Child:
    """A task's process. Somebody must ``look`` now and then; ``out`` is readable when it wrote something."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._began = time.monotonic()
        self._tail = b""
        self._why = ""
        self._kill_at = 0.0
        self._ended: Ended | None = None
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *task.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=leash.held(),
            process_group=0,  # so that all it starts can be ended, and Ctrl-C is for us alone
        )
        self.pid = self._process.pid
        self._peak = 0
        self._starter = resources.high_water(os.getpid())
        assert self._process.stdout is not None
        self.out = self._process.stdout.fileno()
        os.set_blocking(self.out, False)
        with suppress(OSError):  # it is gone already
            ours = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, self.pid, ours + _NICE)  # answers come first

    @property
    def ended(self) -> bool:
        """Whether a look found that it has ended: then ``out`` is closed, and its number may be another process's."""
        return self._ended is not None

    def read(self) -> bool:
        """Take what it wrote; false when it will write no more."""
        try:
            while piece := os.read(self.out, 65536):
                self._tail = (self._tail + piece)[-TAIL:]
        except BlockingIOError:
            return True
        return False

    def look(self) -> Ended | None:
        """Read what it wrote and see to its limits; how it ended, once it has, however often one looks."""
        if self._ended is not None:
            return self._ended
        self.read()
        found, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not found:
            self.limit()
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._signal(signal.SIGKILL)  # what it left running
        self.read()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._ended = Ended(
            code=self._process.returncode,
            seconds=time.monotonic() - self._began,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_rss_bytes=self._highest(usage.ru_maxrss * _RSS_UNIT),
            tail=self._written(),
            why=self._why,
        )
        return self._ended

    def stop(self, why: str) -> None:
        """Ask it to end; it is killed when it does not in ``GRACE`` seconds."""
        if not self._kill_at:
            self._why = why
            self._kill_at = time.monotonic() + GRACE
            self._signal(signal.SIGTERM)

    def kill(self, why: str) -> None:
        """End it at once."""
        self._why = self._why or why
        self._signal(signal.SIGKILL)

    def wait(self, seconds: float) -> Ended | None:
        """Look until it has ended, for so long at most."""
        end = time.monotonic() + seconds
        while (ended := self.look()) is None and time.monotonic() < end:
            time.sleep(0.02)
        return ended

    def limit(self) -> None:
        """See that it keeps to its time and memory; the more often, the less it can exceed them."""
        age = time.monotonic() - self._began
        if age > _BEGINNING:
            self._peak = max(self._peak, resources.high_water(self.pid))
        if self._kill_at and time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)
        elif age > self._task.timeout:
            self.stop(t("It took longer than {seconds:,g} s.", seconds=self._task.timeout))
        elif self._task.memory_limit and (used := memory(self.pid)) > self._task.memory_limit:
            self.kill(
                t(
                    "It used {used:,.0f} MB of memory, more than the {limit:,.0f} MB it may.",
                    used=used / 1e6,
                    limit=self._task.memory_limit / 1e6,
                )
            )

    def _highest(self, told: int) -> int:
        """Its peak: the highest that was seen, and what the kernel told, unless its starter may have had that.

        A program begins with the peak of whoever starts it, and forgets its own when a step measures its memory.
        """
        own = told if told > self._starter + _INEXACT else 0
        return max(self._peak, own) or told

    def _written(self) -> str:
        """The end of what it wrote, as every ledger can hold it: Postgres takes no null character."""
        return self._tail.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")

    def _signal(self, number: int) -> None:
        if self.ended:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def memory(group: int) -> int:
    """Bytes of a process group's own memory, swapped out or not; 0 where /proc does not say.

    Pages of files that are mapped do not count, since the kernel takes them back when it needs them. A limit on
    address space (RLIMIT_AS) would be simpler and useless: DuckDB and ONNX Runtime reserve far more than they use.
    """
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == group:
                total += _own(entry)
        except OSError:  # gone since
            continue
    return total


def _own(entry: Path) -> int:
    wanted = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
    lines = (entry / "status").read_bytes().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))
