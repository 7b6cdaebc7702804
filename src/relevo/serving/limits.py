"""Limits by caller, kept in memory that all workers of a service share.

The rate is held by the generic cell rate algorithm (ITU-T I.371, the virtual scheduling of annex A): one number
for each caller, the time at which the next request would be due if all came evenly. Several workers lock the
caller's eight bytes of a file without a name while they look; the kernel frees that lock when one of them dies.
"""

from __future__ import annotations

import math
import mmap
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_UN, lockf
from hashlib import blake2b
from pathlib import Path
from tempfile import mkstemp
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.serving.callers import Caller

CALLERS = 1 << 14
"""Callers that are told apart at a time; beyond, some share a limit."""
_PROBES = 16
_CLAIMS = CALLERS  # the place whose lock is taken to claim another
BURST = 1.0
"""Seconds' worth of requests that may come at once."""


class Limits:
    """Counts for every caller. Made before the workers are forked; ``worker`` says which of them this is."""

    def __init__(self, workers: int = 1) -> None:
        self.worker = 0
        self._workers = workers
        shared = mmap.mmap(-1, CALLERS * (16 + 4 * workers))
        view = memoryview(shared)
        self._names = view[: 8 * CALLERS].cast("Q")
        self._due = view[8 * CALLERS : 16 * CALLERS].cast("d")
        self._open = view[16 * CALLERS :].cast("i")
        self._file, name = mkstemp()  # for its locks alone
        Path(name).unlink()
        self._slots: dict[str, int] = {}

    def begin(self, worker: int) -> None:
        """Say which worker this process is, and forget what one before it in its place had under way."""
        self.worker = worker
        for slot in range(CALLERS):
            self._open[slot * self._workers + worker] = 0

    def wait(self, caller: Caller) -> float:
        """Count a request; gives 0, or the seconds after which another try may pass."""
        rate = caller.rate
        if rate is None:
            return 0.0
        slot = self._slots.get(caller.id)
        if slot is None:
            slot = self._slot(caller.id)
        if self._workers == 1:
            return self._wait(slot, rate)
        with self._alone(slot):
            return self._wait(slot, rate)

    @contextmanager
    def _alone(self, place: int) -> Iterator[None]:
        """Keep the other workers from a place for the block."""
        lockf(self._file, LOCK_EX, 8, 8 * place)
        try:
            yield
        finally:
            lockf(self._file, LOCK_UN, 8, 8 * place)

    def _wait(self, slot: int, rate: float) -> float:
        now = monotonic()
        due = self._due[slot]
        ahead = due - now
        most = max(BURST, 1 / rate) - 1 / rate
        if ahead > most + 1e-9:
            return ahead - most
        self._due[slot] = (due if ahead > 0 else now) + 1 / rate
        return 0.0

    def enter(self, caller: Caller) -> bool:
        """Count a request as under way, unless there are as many as the caller may have."""
        if caller.concurrency is None:
            return True
        start = self._slot(caller.id) * self._workers
        if sum(self._open[start : start + self._workers]) >= caller.concurrency:
            return False
        self._open[start + self.worker] += 1
        return True

    def leave(self, caller: Caller) -> None:
        """Count a request as ended that ``enter`` let in."""
        if caller.concurrency is not None:
            self._open[self._slot(caller.id) * self._workers + self.worker] -= 1

    def _slot(self, name: str) -> int:
        """The caller's place, the same in every worker: open addressing by a digest of the name."""
        found = self._slots.get(name)
        if found is not None:
            return found
        digest = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") or 1
        with self._alone(_CLAIMS):
            slot = self._claimed(digest)
        if len(self._slots) >= CALLERS:
            self._slots.clear()
        self._slots[name] = slot
        return slot

    def _claimed(self, digest: int) -> int:
        """The place that bears a digest, or is free and does so from now on; the last one tried if all are taken."""
        for step in range(_PROBES):
            slot = (digest + step) % CALLERS
            if self._names[slot] in (0, digest):
                self._names[slot] = digest
                break
        return slot


def seconds(wait: float) -> int:
    """Write a wait for ``Retry-After`` (RFC 9110, section 10.2.3): whole seconds, at least one."""
    return max(1, math.ceil(wait))
