"""Journals: one JSON object a line, in segments that only their writer appends to.

A line handed to ``write`` is in the kernel's page cache when it returns, so it survives the process being
killed. A thread flushes what was written to the disk within 100 ms, or twice the time that the disk takes for
it where that is more; until then a loss of power loses it. The writer keeps its segment locked (flock), and
the kernel frees the lock when the process ends, however it ends: a segment whose lock can be taken is complete.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import clock, disk
from relevo.errors import WorkspaceError
from relevo.ids import uuid7
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

PREDICTIONS, LABELS, SHADOWS, COUNTS = "predictions", "labels", "shadows", "counts"
STREAMS = (PREDICTIONS, LABELS, SHADOWS, COUNTS)
"""What a service logs and counts, and what a shadow answers; each is a table of the lake."""
_SUFFIX, _NASCENT = ".jsonl", ".nascent"
_TAIL = 1 << 16
_QUARTER = 900.0  # seconds: hours of all time zones begin with one
_GATHER = 0.05  # seconds that lines wait for others to be flushed with; the disk has the same again
_log = logging.getLogger(__name__)


class Journal:
    """Appends lines to the open segment. Made by ``Journal.open``; may be shared by threads, not by a fork.

    A segment begins with the first line written, and ends when it has ``max_bytes``, when it is ``max_seconds`` old
    or its quarter of an hour (of ``relevo.clock``) is over at the next ``write`` or ``roll``, and at ``close``. It is
    locked until it was flushed.
    """

    def __init__(self, folder: Path, stream: str, *, max_bytes: int, max_seconds: float) -> None:
        self._folder, self._stream = folder, stream
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size = 0  # bytes of whole lines in the open segment
        self._until = 0.0
        self._closed = False
        self._flusher = _Flusher(folder, self._lock, self._leave)

    @classmethod
    def open(
        cls, folder: Path, stream: str = PREDICTIONS, *, max_bytes: int = 64 << 20, max_seconds: float = 3600
    ) -> Journal:
        """Open a journal in ``folder``, made when absent; raises ``WorkspaceError`` when it cannot be written.

        ``stream`` is what its segments are named for; journals of several streams may share a folder.
        """
        with disk.explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, os.strerror(13))
        return cls(folder, stream, max_bytes=max_bytes, max_seconds=max_seconds)

    def write(self, lines: bytes) -> None:
        """Append whole lines, each ending in a newline, with one system call.

        Raises ``WorkspaceError`` when they cannot be written (the disk is full, say); then none of them is
        in the journal.
        """
        with self._lock:
            now = time.monotonic()
            if self._size >= self._max_bytes or now >= self._until:
                self._next()
            size = len(lines)
            try:
                written = os.write(self._descriptor, lines)
                while written < size:
                    written += os.write(self._descriptor, lines[written:])
            except OSError as error:
                self._undo()
                raise disk.explain(error, self._folder) from error
            self._size += size
            if not self._flusher.waiting:
                self._flusher.waiting = now
                self._flusher.wake.set()

    def roll(self) -> None:
        """End the open segment if it is due, so that it can be collected though nothing more is written."""
        with self._lock:
            old = self._descriptor >= 0 and time.monotonic() >= self._until
            if old:
                self._end()
        if old:
            self._flusher.flush()

    def end(self) -> None:
        """End the open segment, if any, soon: the thread that flushes it closes it too."""
        with self._lock:
            self._end()

    def close(self) -> None:
        """End the open segment; nothing can be written afterwards."""
        with self._lock:
            self._closed = True
            self._end()
        self._flusher.stop()

    @property
    def unsynced(self) -> float:
        """For how many seconds the oldest line waits that is not known to be on the disk; 0 when all are."""
        oldest = self._flusher.under_way or self._flusher.waiting
        return time.monotonic() - oldest if oldest else 0.0

    @property
    def sync_seconds(self) -> float:
        """How long the disk took for the last lines."""
        return self._flusher.took

    def _next(self) -> None:
        if self._closed:
            raise WorkspaceError(t("The journal in {folder} is closed.", folder=self._folder))
        self._end()
        with disk.explained(self._folder):
            self._descriptor = self._flusher.open = _begin(self._folder, self._stream)
        left = clock.real(_QUARTER - clock.seconds() % _QUARTER)
        self._until = time.monotonic() + min(self._max_seconds, left)
        self._flusher.start()

    def _end(self) -> None:
        if self._descriptor >= 0:
            self._flusher.ended.append(self._descriptor)
            self._flusher.wake.set()
        self._descriptor, self._size, self._until = -1, 0, 0.0
        self._flusher.open = -1

    def _leave(self, descriptor: int) -> None:
        """Write no more to a segment that cannot be brought to the disk."""
        with self._lock:
            if self._descriptor == descriptor:
                self._end()

    def _undo(self) -> None:
        """Cut off what was written of lines that failed; if even that fails, leave this segment for good."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._end()


class _Flusher:
    """Brings a journal's lines to the disk, in a thread of its own; it alone closes segments.

    ``waiting`` is since when (by the monotonic clock) lines wait that no flush has begun for, ``under_way``
    the same for the flush that has; 0 when there are none. ``lock`` guards what the journal writes here.
    """

    def __init__(self, folder: Path, lock: threading.Lock, leave: Callable[[int], None]) -> None:
        self._folder, self._lock, self._leave = folder, lock, leave
        self._one = threading.Lock()  # at a time
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._named = -1  # the segment whose name is on the disk too
        self.wake = threading.Event()
        self.open = -1
        self.ended: list[int] = []
        self.waiting = self.under_way = self.took = 0.0

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="relevo-flush", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self.wake.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Bring everything written so far to the disk, and close the segments that ended."""
        with self._one:
            with self._lock:
                self.wake.clear()
                ended, self.ended = self.ended, []
                written = self.open if self.waiting else -1
                self.under_way, self.waiting = self.waiting, 0.0
            began = time.monotonic()
            if written >= 0 and not self._sync(written):
                self._leave(written)
            for descriptor in ended:
                self._sync(descriptor)
                os.close(descriptor)
                self._named = -1 if self._named == descriptor else self._named
            self.took, self.under_way = time.monotonic() - began, 0.0

    def _sync(self, descriptor: int) -> bool:
        try:
            if hasattr(os, "fdatasync"):
                os.fdatasync(descriptor)
            else:  # macOS
                os.fsync(descriptor)
            if descriptor != self._named:
                disk.sync_folder(self._folder)
                self._named = descriptor
        except OSError as error:
            _log.error("%s", disk.explain(error, self._folder))
            return False
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.wake.wait()
            self._stopped.wait(_GATHER)
            self.flush()


def _begin(folder: Path, stream: str) -> int:
    """Make a segment and return its descriptor. It has its name only once it is locked.

    Otherwise a collector could take the lock of the new, still empty file, and remove it.
    """
    while True:
        name = f"{stream}-{uuid7()}{_SUFFIX}"
        path, nascent = folder / name, folder / f"{name}{_NASCENT}"
        descriptor = os.open(nascent, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nascent.rename(path)
        except (BlockingIOError, FileNotFoundError):  # a collector took it for a dead writer's
            os.close(descriptor)
            continue
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


@dataclass(frozen=True)
class Segment:
    """A segment whose writer is gone, locked for whoever reads it while it is handed out."""

    path: Path
    bytes: int
    """Of whole lines; a last line without its newline was never answered and has been cut off."""

    @property
    def name(self) -> str:
        """The segment's own name, never used twice."""
        return self.path.stem

    def remove(self) -> None:
        """Remove it, once its lines are safe elsewhere."""
        with disk.explained(self.path):
            self.path.unlink()


def segments(folder: Path, stream: str = PREDICTIONS) -> list[Path]:
    """Every segment that is there, open or complete, oldest first."""
    return sorted(folder.glob(f"{stream}-*{_SUFFIX}"))


def closed(folder: Path, stream: str = PREDICTIONS, *, reading: bool = False) -> Generator[Segment]:
    """Hand out a stream's complete segments, oldest first; no other process is given the same meanwhile.

    With ``reading`` nothing in the folder is touched: a last line without its newline is left, and not counted.
    """
    for nascent in () if reading else folder.glob(f"{stream}-*{_NASCENT}"):
        _bury(nascent)
    for path in segments(folder, stream):
        with disk.explained(path):
            try:
                descriptor = os.open(path, os.O_RDONLY if reading else os.O_RDWR)
            except FileNotFoundError:
                continue
        try:
            if _take(descriptor) and disk.is_named(descriptor, path):
                with disk.explained(path):
                    segment = Segment(path, _whole(descriptor) if reading else _cut(descriptor))
                yield segment
        finally:
            os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bury(nascent: Path) -> None:
    """Remove what a writer left that died before it wrote anything."""
    with suppress(OSError):
        descriptor = os.open(nascent, os.O_RDWR)
        try:
            if _take(descriptor):
                nascent.unlink()
        finally:
            os.close(descriptor)


def _cut(descriptor: int) -> int:
    """Cut off a last line without a newline, and return the size left."""
    end = _whole(descriptor)
    if end < os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, end)
    return end


def _whole(descriptor: int) -> int:
    """Bytes of the lines that have a newline."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        end = start + newline + 1 if newline >= 0 else start
        if newline >= 0:
            break
    return end
