"""Counting: what was answered and logged is counted over its package's bins, hour by hour.

On the way of an answer its rows are only put down. They are counted in slices, at the event loop's next turns or
when somebody looks, so the loop is not held for longer than a slice takes; and what waits is bounded. The counts
go to a journal of their own every minute: a killed process loses those since, never the predictions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from relevo import clock
from relevo.bins import REQUESTS
from relevo.errors import WorkspaceError
from relevo.ids import uuid7
from relevo.records import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from relevo.bins import Bins
    from relevo.journal import Journal
    from relevo.records import ModelVersion
    from relevo.serving.metrics import Metrics

    Row = tuple[Any, ...]

SLICE = 512
"""Rows counted at once, fewer where there are more than ``WIDE`` features: about a millisecond."""
WIDE = 24
ROOM = 4 * SLICE
"""Rows that may wait; beyond, who brings more counts a slice first."""
FLUSH = 60.0
"""Seconds between two flushes, by the clock of ``relevo.clock``."""
_SETTLE = 5.0  # seconds after which few rows are counted too
_HOUR = len("2026-01-05T10")
_log = logging.getLogger(__name__)


@dataclass
class _Tally:
    """What was counted within an hour; without bins only the numbers."""

    counts: NDArray[np.int64]
    rows: int = 0
    refused: int = 0
    failed: int = 0


class Live:
    """A version's counts that are not in the journal yet. ``source`` is one of those in ``relevo.bins``.

    ``refused`` and ``failed`` count what came since the last flush: rows that break the contract, and those without
    an answer, or whose answer could not be logged.
    """

    def __init__(self, version: ModelVersion, bins: Bins | None, source: str = REQUESTS) -> None:
        self.bins = bins
        self.version = version
        self.source = source
        self.refused = self.failed = 0
        width = len(bins.features) if bins is not None else 1
        self.slice = max(SLICE // WIDE, min(SLICE, SLICE * WIDE // width))
        self.known = False
        """Whether a ``Counting`` looks after it."""
        self.hours: dict[str, _Tally] = {}
        self.open: _Batch | None = None
        """What waits to be counted and may be added to."""

    def tally(self, hour: str) -> _Tally:
        """The tally of an hour such as ``2026-01-05T10``, UTC."""
        found = self.hours.get(hour)
        if found is None:
            size = self.bins.size if self.bins is not None else 0
            found = self.hours[hour] = _Tally(np.zeros(size, np.int64))
        return found

    def line(self, hour: str, tally: _Tally) -> bytes:
        """A line of the journal; of the counts those that are not 0, with their places in the vector."""
        places = np.flatnonzero(tally.counts)
        return orjson.dumps(
            {
                "id": uuid7(),
                "project": self.version.project,
                "source": self.source,
                "version": self.version.version,
                "digest": self.version.digest,
                "bins": self.bins.digest if self.bins is not None else "",
                "size": len(tally.counts),
                "hour": f"{hour}:00:00+00:00",
                "rows": tally.rows,
                "refused": tally.refused,
                "failed": tally.failed,
                "places": places.tolist(),
                "counts": tally.counts[places].tolist(),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


class _Batch:
    """Rows of one version and hour that wait to be counted, with their probabilities; NaN has no answer."""

    __slots__ = ("hour", "live", "rows", "scores")

    def __init__(self, live: Live, hour: bytes) -> None:
        self.live, self.hour = live, hour
        self.rows: list[Row] = []
        self.scores: list[float] = []


class Counting:
    """Counts for one process, on its event loop. ``cells`` says whether ``metrics`` are told each cell's count."""

    def __init__(self, journal: Journal, metrics: Metrics, *, cells: bool = True) -> None:
        self._journal, self._metrics, self._cells = journal, metrics, cells
        self._lives: list[Live] = []
        self._current: set[Live] = set()
        self._batches: deque[_Batch] = deque()
        self._waiting = 0
        self._due = False
        self._hour = now()[:_HOUR]
        self._next = self._look = 0.0
        self._stuck = False

    def add(self, live: Live, at: bytes, rows: Sequence[Row], scores: Sequence[float]) -> None:
        """Count n logged rows that were answered at the time ``at``, soon."""
        batch = live.open
        if batch is None or batch.hour != at[:_HOUR]:
            batch = self._begin(live, at[:_HOUR])
        batch.rows += rows
        batch.scores += scores
        self._waiting += len(rows)
        if self._waiting >= SLICE:
            if not self._due:
                self._due = True
                asyncio.get_running_loop().call_soon(self._go_on)
            if self._waiting > ROOM:
                self._count()

    @property
    def waiting(self) -> int:
        """Rows that wait to be counted."""
        return self._waiting

    async def room(self) -> None:
        """Wait until little waits to be counted: for who added many at once."""
        while self._waiting > ROOM:  # noqa: ASYNC110 - the turns are what counts
            await asyncio.sleep(0)

    def follow(self, lives: Iterable[Live]) -> None:
        """Say who answers from now on. What others counted so far goes to the journal."""
        self._current = set(lives)
        for live in self._current:
            self._know(live)
        self.flush()

    async def settle(self) -> None:
        """Count what waits now, letting others in between."""
        left = self._waiting
        while left > 0 and self._batches:
            left -= self._count()
            await asyncio.sleep(0)

    async def tick(self) -> None:
        """Count and flush what is due; to be called about every half second."""
        if time.monotonic() >= self._look:
            self._look = time.monotonic() + _SETTLE
            await self.settle()
        hour = now()[:_HOUR]
        if hour == self._hour and time.monotonic() < self._next:
            return
        self.flush()
        if hour != self._hour:
            self._hour = hour
            self._journal.end()  # so that an hour can be collected when it is over

    def flush(self) -> None:
        """Write what was counted to the journal; while that fails it is kept and added to."""
        self._next = time.monotonic() + clock.real(FLUSH)
        while self._batches:
            self._count()
        for live in self._lives:
            if live.refused or live.failed:
                tally = live.tally(self._hour)
                tally.refused, tally.failed = tally.refused + live.refused, tally.failed + live.failed
                live.refused = live.failed = 0
        lines = [live.line(hour, tally) for live in self._lives for hour, tally in live.hours.items()]
        try:
            if lines:
                self._journal.write(b"".join(lines))
        except WorkspaceError as error:
            if not self._stuck:
                _log.error("%s", error)
            self._stuck = True
            return
        self._stuck = False
        for live in self._lives:
            live.hours.clear()
            live.known = live in self._current
        self._lives = [live for live in self._lives if live.known]

    def _know(self, live: Live) -> None:
        if not live.known:
            live.known = True
            self._lives.append(live)

    def _begin(self, live: Live, hour: bytes) -> _Batch:
        self._know(live)
        batch = live.open = _Batch(live, hour)
        self._batches.append(batch)
        return batch

    def _go_on(self) -> None:
        """Count a slice in each turn of the loop, until less than one waits."""
        self._due = self._waiting >= SLICE
        if self._due:
            self._count()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _count(self) -> int:
        """Count the slice that waits longest; gives how many rows that were."""
        batch = self._batches[0]
        live = batch.live
        most = live.slice
        if len(batch.rows) <= most:
            self._batches.popleft()
            if live.open is batch:
                live.open = None
        rows, batch.rows = batch.rows[:most], batch.rows[most:]
        scores, batch.scores = np.array(batch.scores[:most], np.float64), batch.scores[most:]
        taken = len(rows)
        self._waiting -= taken
        tally = live.tally(batch.hour.decode())
        lost = np.isnan(scores)
        if lost.any():
            tally.failed += int(lost.sum())
            rows = [row for row, none in zip(rows, lost.tolist(), strict=True) if not none]
            scores = scores[~lost]
        tally.rows += len(rows)
        if live.bins is not None and rows:
            counts = live.bins.rows(rows, scores)
            tally.counts += counts
            self._metrics.count(live.bins, counts, cells=self._cells and live.source == REQUESTS)
        return taken
