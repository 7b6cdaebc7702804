"""Files that appear: what there is, and whether it has come to rest."""

from __future__ import annotations

import glob
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relevo.scheduler.task import Appears

State = dict[str, tuple[int, int]]
"""Size and time of change (nanoseconds) by path."""


class Watch:
    """Looks at the files of an ``Appears``, at most once in ``pause`` real seconds."""

    def __init__(self, when: Appears, pause: float) -> None:
        self._when = when
        self._pause = pause
        self._seen: State | None = None
        self._next = 0.0
        self._mark = ""

    @property
    def key(self) -> str:
        """What the facts of jobs know these patterns by."""
        return hashlib.sha256("\n".join(self._when.patterns).encode()).hexdigest()[:16]

    def look(self) -> str:
        """A digest of what is there and rests; empty while something changes, or what must be there is not.

        Files are known by path, size and time: reading them would take a minute for what the run reads again anyway.
        """
        if time.monotonic() < self._next:
            return self._mark
        self._next = time.monotonic() + self._pause
        found, whole = _found(self._when)
        rests = whole and found == self._seen
        self._seen = found
        self._mark = _digest(found) if rests else ""
        return self._mark


def _found(when: Appears) -> tuple[State, bool]:
    """What is there, and whether it is all that must be: something, or something of each pattern."""
    found: State = {}
    counts = []
    for pattern in when.patterns:
        paths = glob.glob(pattern, recursive=True)  # noqa: PTH207 - the pattern is absolute
        counts.append(0)
        for path in paths:
            try:
                stat = Path(path).stat()
            except OSError:  # gone since
                continue
            found[path] = (stat.st_size, stat.st_mtime_ns)
            counts[-1] += 1
    return found, all(counts) if when.each else any(counts)


def _digest(state: State) -> str:
    return hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest()[:16]
