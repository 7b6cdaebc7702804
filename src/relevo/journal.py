"""The prediction journal: one JSON object a line, in segments that only their writer appends to.

A line handed to ``write`` is in the kernel's page cache when it returns, so it survives the process being
killed; it may not survive a loss of power. The writer keeps its segment locked (flock), and the kernel frees
the lock when the process ends, however it ends: a segment whose lock can be taken is complete.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import disk
from relevo.errors import WorkspaceError
from relevo.ids import uuid7
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PREDICTIONS = "predictions"
"""The stream of a journal unless another is named: what its segments' names begin with."""
_SUFFIX = ".jsonl"
_NASCENT = ".nascent"
_TAIL = 1 << 16


class Journal:
    """Appends lines to the open segment. Made by ``Journal.open``; may be shared by threads, not by a fork.

    A segment begins with the first line written, and ends when it has ``max_bytes``, when it is
    ``max_seconds`` old at the next ``write`` or ``roll``, and at ``close``.
    """

    def __init__(self, folder: Path, *, stream: str, max_bytes: int, max_seconds: float) -> None:
        self._folder = folder
        self._stream = stream
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size = 0  # bytes of whole lines in the open segment
        self._until = 0.0
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        stream: str = PREDICTIONS,
        max_bytes: int = 64 << 20,
        max_seconds: float = 3600,
    ) -> Journal:
        """Open a journal in ``folder``, made when absent; raises ``WorkspaceError`` when it cannot be written."""
        with disk.explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, os.strerror(13))
        return cls(folder, stream=stream, max_bytes=max_bytes, max_seconds=max_seconds)

    def write(self, lines: bytes) -> None:
        """Append whole lines, each ending in a newline, with one system call.

        Raises ``WorkspaceError`` when they cannot be written (the disk is full, say); then none of them is
        in the journal.
        """
        with self._lock:
            if self._size >= self._max_bytes or time.monotonic() >= self._until:
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

    def roll(self) -> None:
        """End the open segment if it is old enough, so that it can be collected though nothing more is written."""
        with self._lock:
            if self._descriptor >= 0 and time.monotonic() >= self._until:
                self._end()

    def close(self) -> None:
        """End the open segment; nothing can be written afterwards."""
        with self._lock:
            self._closed = True
            self._end()

    def _next(self) -> None:
        if self._closed:
            raise WorkspaceError(t("The prediction journal in {folder} is closed.", folder=self._folder))
        self._end()
        with disk.explained(self._folder):
            self._descriptor = _begin(self._folder, self._stream)
        self._until = time.monotonic() + self._max_seconds

    def _end(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._size, self._until = -1, 0, 0.0

    def _undo(self) -> None:
        """Cut off what was written of lines that failed; if even that fails, leave this segment for good."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._end()


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


def segments(folder: Path, *, stream: str = PREDICTIONS) -> list[Path]:
    """Every segment that is there, open or complete, oldest first."""
    return sorted(folder.glob(f"{stream}-*{_SUFFIX}"))


def closed(folder: Path, *, stream: str = PREDICTIONS) -> Generator[Segment]:
    """Hand out the segments that are complete, oldest first; no other process is given the same meanwhile."""
    for nascent in folder.glob(f"{stream}-*{_NASCENT}"):
        _bury(nascent)
    for path in segments(folder, stream=stream):
        with disk.explained(path):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
        try:
            if _take(descriptor) and disk.is_named(descriptor, path):
                with disk.explained(path):
                    segment = Segment(path, _cut(descriptor))
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
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        end = start + newline + 1 if newline >= 0 else start
        if newline >= 0:
            break
    if end < size:
        os.ftruncate(descriptor, end)
    return end
