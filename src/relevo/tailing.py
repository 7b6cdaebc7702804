"""Reading a journal while it is written: whole lines as they come, with no word to the writers."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import disk
from relevo.journal import PREDICTIONS, segments

if TYPE_CHECKING:
    from pathlib import Path

BEHIND = 1 << 20
"""Bytes that may wait; beyond, the oldest are passed over."""
_PIECE = 1 << 18


@dataclass
class _Open:
    descriptor: int
    at: int
    """Where the next line begins; what is read ends with a line."""


class Tail:
    """Follows a stream's segments, from their present ends on. ``skipped`` counts the lines passed over.

    A segment that is removed meanwhile is still read to its end.
    """

    def __init__(self, folder: Path, *, stream: str = PREDICTIONS, behind: int = BEHIND) -> None:
        self.skipped = 0
        self._folder, self._stream, self._behind = folder, stream, behind
        self._open: dict[str, _Open] = {}
        self._look()
        for one in self._open.values():
            one.at = _line_start(one.descriptor, os.fstat(one.descriptor).st_size)

    def read(self, most: int) -> list[bytes]:
        """Take up to ``most`` lines that have come, the newest if more wait than may; raises ``WorkspaceError``."""
        with disk.explained(self._folder):
            self._look()
            if self.waiting() > self._behind:
                self._pass_over()
            lines: list[bytes] = []
            for name, one in list(self._open.items()):
                if len(lines) < most:
                    found = _lines(one, most - len(lines))
                    lines += found
                    if not found and not os.fstat(one.descriptor).st_nlink:
                        os.close(self._open.pop(name).descriptor)
            return lines

    def waiting(self) -> int:
        """Bytes that are still to be read."""
        return sum(os.fstat(one.descriptor).st_size - one.at for one in self._open.values())

    def close(self) -> None:
        """Stop following."""
        for one in self._open.values():
            os.close(one.descriptor)
        self._open.clear()

    def _look(self) -> None:
        for path in segments(self._folder, self._stream):
            if path.name not in self._open:
                with suppress(FileNotFoundError):
                    self._open[path.name] = _Open(os.open(path, os.O_RDONLY), 0)

    def _pass_over(self) -> None:
        """Leave only the newest quarter of what may wait."""
        room = self._behind // 4
        for one in reversed(self._open.values()):  # the newest segment first
            size = os.fstat(one.descriptor).st_size
            begin = max(one.at, _line_start(one.descriptor, max(one.at, size - room)))
            room = max(0, room - (size - begin))
            while one.at < begin:
                piece = os.pread(one.descriptor, min(_PIECE, begin - one.at), one.at)
                if not piece:
                    break
                self.skipped += piece.count(b"\n")
                one.at += len(piece)


def _line_start(descriptor: int, at: int) -> int:
    """The place after the last newline before ``at``."""
    while at > 0:
        start = max(0, at - _PIECE)
        newline = os.pread(descriptor, at - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        at = start
    return 0


def _lines(one: _Open, most: int) -> list[bytes]:
    size = _PIECE
    while True:
        piece = os.pread(one.descriptor, size, one.at)
        whole = piece[: piece.rfind(b"\n") + 1]
        if whole or len(piece) < size:
            break
        size *= 2  # one line longer than the piece
    found = whole.splitlines(keepends=True)[:most]
    one.at += sum(map(len, found))
    return found
