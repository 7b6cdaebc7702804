"""What a step costs: wall time, CPU time, peak memory.

On Linux the kernel keeps the peak of the resident set (``VmHWM``) and starts anew when ``5`` is written to
``/proc/self/clear_refs`` (proc_pid_clear_refs(5)). Where that is not permitted, the resident set is
sampled. Elsewhere (macOS) the peak is the process's own since it started, an upper bound. A child's peak
counts when it is higher than that of every child before: of these the kernel keeps only the highest.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTERVAL = 0.02
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
_PROC = Path("/proc/self")


@dataclass(eq=False)
class Usage:
    """What was used within a block; final when the block ends. CPU counts children that were waited for."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0


# Blocks now running: resetting the kernel's peak for one must not hide it from the others.
_open: list[Usage] = []
_lock = threading.Lock()


@contextmanager
def measure() -> Iterator[Usage]:
    """Measure the block; blocks may nest and overlap. The figures stand also when the block raises."""
    usage = Usage()
    children = _children_peak()
    with _lock:
        peak, reset = resident_peak(), _reset_peak()
        if reset:
            _note(peak)
        _open.append(usage)
    sampler = _Sampler(usage) if not reset and _PROC.exists() else None
    wall, cpu = time.perf_counter(), _cpu()
    try:
        yield usage
    finally:
        usage.wall_seconds, usage.cpu_seconds = time.perf_counter() - wall, _cpu() - cpu
        if sampler is not None:
            sampler.stop()
        with _lock:
            if sampler is None:
                _note(resident_peak())
            _open.remove(usage)
        grown = _children_peak()
        if grown > children:
            usage.peak_rss_bytes = max(usage.peak_rss_bytes, grown)


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _children_peak() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT


def _note(peak: int) -> None:
    for usage in _open:
        usage.peak_rss_bytes = max(usage.peak_rss_bytes, peak)


def resident_peak() -> int:
    """The highest resident set of this process since the last reset, in bytes.

    Not ``ru_maxrss``, which a program that is started begins with at the size of whoever started it.
    """
    return high_water(os.getpid()) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def high_water(pid: int) -> int:
    """The highest resident set of a process since its program began, or its last reset; 0 where nobody says."""
    try:
        with Path(f"/proc/{pid}/status").open() as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):  # it has ended, or this is no Linux
        return 0


def _reset_peak() -> bool:
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


class _Sampler:
    """Notes the resident set 50 times a second, where the kernel's own peak cannot be reset."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relevo-peak-memory", daemon=True)
        self._note()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._note()

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            self._note()

    def _note(self) -> None:
        try:
            pages = int((_PROC / "statm").read_text().split()[1])
        except OSError:
            return
        self._usage.peak_rss_bytes = max(self._usage.peak_rss_bytes, pages * resource.getpagesize())
