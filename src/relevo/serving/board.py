"""What the workers of a service tell each other: each one's counters, in memory that all of them share.

The memory is made before the fork and outlives any worker, so what a killed one had counted stays, and the
worker in its place counts on from there. It needs no disk and is gone with the last process.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import TYPE_CHECKING, Any

import orjson

from relevo.serving.metrics import Metrics, children, resident

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOM = 1 << 20  # bytes of a record; only what was written takes memory
_NUMBER, _HEAD = struct.Struct("<Q"), struct.Struct("<II")  # which of the two is newest; checksum and size
_PLACE = 2 * _ROOM + mmap.PAGESIZE
_TRIES = 100


class Board:
    """A place for each process, which alone writes there; all read.

    A place has room for two records. The older is written over and becomes the newer one at the very end, so
    a writer that is killed leaves the one before.
    """

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, places * _PLACE)
        self._places = places

    def __len__(self) -> int:
        return self._places

    def put(self, place: int, record: dict[str, Any]) -> None:
        """Take the place's next record; one beyond a megabyte is left out."""
        data = orjson.dumps(record)
        if _HEAD.size + len(data) > _ROOM:
            return
        start = place * _PLACE
        number = _NUMBER.unpack_from(self._memory, start)[0] + 1
        at = self._room(start, number)
        _HEAD.pack_into(self._memory, at, zlib.crc32(data), len(data))
        self._memory[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        _NUMBER.pack_into(self._memory, start, number)

    def get(self, place: int) -> dict[str, Any] | None:
        """Give the place's newest record; None while there is none."""
        start = place * _PLACE
        for _ in range(_TRIES):
            number = _NUMBER.unpack_from(self._memory, start)[0]
            if not number:
                return None
            at = self._room(start, number)
            check, size = _HEAD.unpack_from(self._memory, at)
            data = self._memory[at + _HEAD.size : at + _HEAD.size + min(size, _ROOM)]
            if zlib.crc32(data) == check:  # otherwise it was written over meanwhile
                found: dict[str, Any] = orjson.loads(data)
                return found
        return None

    @staticmethod
    def _room(start: int, number: int) -> int:
        return start + mmap.PAGESIZE + (number % 2) * _ROOM


class Share:
    """One process's part of the board. Its ``metrics`` count on from what the one before it left there."""

    def __init__(
        self, board: Board, place: int, metrics: Metrics, name: str, more: Callable[[], dict[str, Any]]
    ) -> None:
        self._board, self._place = board, place
        self._metrics, self._name, self._more = metrics, name, more
        left = board.get(place)
        if left is not None:
            metrics.merge(left["counts"])

    def publish(self) -> None:
        """Tell the others."""
        gauges = {
            "process": self._name,
            "resident": resident(),
            "children": children(),
            "started": round(self._metrics.started, 3),
            **self._more(),
        }
        self._board.put(self._place, {"counts": self._metrics.state(), "gauges": gauges})

    def total(self) -> tuple[Metrics, list[dict[str, Any]]]:
        """The sum of all counters, and each living process's gauges.

        This process is published first: whatever is shown of it outlives it, so no sum ever goes down.
        """
        self.publish()
        total, gauges = Metrics(), []
        for place in range(len(self._board)):
            record = self._board.get(place)
            if record is not None:
                total.merge(record["counts"])
                gauges += [record["gauges"]] if record["gauges"] else []
        return total, gauges


def bury(board: Board, place: int) -> None:
    """Keep what a dead process counted, and nothing else of it."""
    left = board.get(place)
    if left is not None:
        board.put(place, {"counts": left["counts"], "gauges": None})
