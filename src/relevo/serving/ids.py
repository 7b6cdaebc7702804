"""Prediction ids and times. Ids are UUIDv7 (RFC 9562, section 5.7) that rise within a process.

The 12 bits after the version count within the millisecond (section 6.2, method 1); the 62 after the variant
are drawn once for the process, and again in one forked from it, so two processes never make the same id.
"""

from __future__ import annotations

import os
import time

from relevo import clock

_MOST = 0xFFF


class Ids:
    """Makes ids, at a third of a microsecond each. Not for several threads at once."""

    def __init__(self) -> None:
        self._draw()
        os.register_at_fork(after_in_child=self._draw)
        self._millisecond = 0
        self._count = 0
        self._second = 0
        self._shown = b""
        self.at = b""
        """The time at which the newest were made."""

    def _draw(self) -> None:
        random = int.from_bytes(os.urandom(8), "big") >> 2
        self._tail = b"%04x-%012x" % (0x8000 | random >> 48, random & 0xFFFF_FFFF_FFFF)

    def take(self, number: int) -> tuple[list[bytes], bytes]:
        """Make ``number`` ids, each greater than all before, also when the clock is set back; and the time now.

        The time is written as ``relevo.records.now`` does.
        """
        now = clock.nanoseconds() // 1000
        millisecond, count = self._millisecond, self._count
        if now // 1000 > millisecond:
            millisecond, count = now // 1000, -1
        ids = []
        for _ in range(number):
            count += 1
            if count > _MOST:  # borrowed from the next millisecond
                millisecond, count = millisecond + 1, 0
            ids.append(b"%08x-%04x-7%03x-%b" % (millisecond >> 16, millisecond & 0xFFFF, count, self._tail))
        self._millisecond, self._count = millisecond, count
        second = now // 1_000_000
        if second != self._second:
            self._second = second
            self._shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        self.at = at = b"%b.%06d+00:00" % (self._shown, now % 1_000_000)
        return ids, at
