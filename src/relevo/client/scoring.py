"""A file's answers as they stream in: which rows are whole, so that a broken stream goes on after them."""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING, Any

import orjson

from relevo import disk
from relevo.errors import RequestError, ServiceError
from relevo.ids import uuid7
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 16
_LONGEST = 16 << 20
ARROW = "application/vnd.apache.arrow.stream"
TYPES = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "ndjson": "application/jsonl",
    "arrow": ARROW,
    "arrows": ARROW,
}


def media(path: Path, form: str | None) -> str:
    """The media type of a file, by ``form`` or its ending; raises ``RequestError``."""
    name = (form or path.suffix.lstrip(".")).lower()
    if name not in TYPES:
        forms = ", ".join(TYPES)
        problem = t("“{found}” is no format that streams. Write one of {forms}.", found=name, forms=forms)
        raise RequestError([{"field": "format", "problem": problem}])
    return TYPES[name]


class Scored:
    """The file of answers while it grows; it has its name only when it is whole.

    ``rows`` are complete in it. The first answer fixes ``version``: an answer of another one is not mixed in.
    """

    def __init__(self, source: Path, target: Path, form: str | None) -> None:
        self.media = media(source, form)
        self.rows = 0
        self.version = ""
        self._target = target
        self._made = target.with_name(f".{target.name}.{uuid7()}")
        self._head = b""
        self._rest = b""
        self._first = self._last = b""
        self._repeated = False
        self._began = self._moved = 0.0
        with disk.explained(source):
            self.source: IO[bytes] = source.open("rb")
        try:
            with disk.explained(target):
                self._file = self._made.open("xb")
        except BaseException:
            self.source.close()
            raise

    @property
    def counted(self) -> int | None:
        """Rows that were answered; None for Arrow, which is not looked into."""
        return None if self.media == ARROW else self.rows

    @property
    def under_way(self) -> float:
        """Seconds from the first byte of this try to its last, in either direction: none before a connection."""
        return self._moved - self._began

    def query(self) -> dict[str, str]:
        """What the next request says beside its body: rows that are there already, and by which version."""
        asked = {"offset": str(self.rows)} if self.rows else {}
        return asked | ({"version": self.version} if self.version else {})

    def begin(self, version: str) -> None:
        """Begin an answer: after the rows that are whole, or anew where rows cannot be told apart."""
        self._repeated = bool(self._head)
        self.version = version or self.version
        self._rest = b""
        if self.media == ARROW:
            self._file.seek(0)
            self._file.truncate()

    def rewind(self) -> None:
        """Put the source back to its beginning, for it is sent whole each time."""
        self.source.seek(0)
        self._began = self._moved = 0.0

    def read(self) -> bytes:
        """Read on in the source; empty at its end."""
        self._move()
        return self.source.read(CHUNK)

    def add(self, data: bytes) -> None:
        """Write what is whole of an answer's bytes."""
        self._move()
        with disk.explained(self._target):
            if self.media == ARROW:
                self._file.write(data)
                return
            lines = (self._rest + data).splitlines(keepends=True)
            kept, self._rest = self._whole(lines)
            if len(self._rest) > _LONGEST:
                raise ServiceError(t("A line of the answer has more than {limit:,} bytes.", limit=_LONGEST))
            for line in kept:
                self._add(line)

    def _move(self) -> None:
        self._moved = time.monotonic()
        self._began = self._began or self._moved

    def _whole(self, lines: list[bytes]) -> tuple[list[bytes], bytes]:
        """Join lines that a quoted value goes over; what has no end yet is left."""
        kept, open_ = [], b""
        for line in lines:
            open_ += line
            quoted = self.media == TYPES["csv"] and open_.count(b'"') % 2
            if line.endswith(b"\n") and not quoted:
                kept.append(open_)
                open_ = b""
        return kept, open_

    def _add(self, line: bytes) -> None:
        if self.media == TYPES["csv"] and not self._head:
            self._head = line
            self._file.write(line)
            return
        repeated, self._repeated = self._repeated and line == self._head, False
        if repeated:
            return
        self._last = line
        if not _ends(line):
            self.rows += 1
            self._file.write(line)

    def finish(self) -> None:
        """Give the file its name; raises ``ServiceError`` when the service said why it stopped before the end."""
        if self._rest or (self._last and _ends(self._last)):
            raise ServiceError(
                t(
                    "The service stopped after {rows:,} rows: {reason}",
                    rows=self.rows,
                    reason=(self._rest or self._last).decode("utf-8", "replace").strip(" ,\n")[:300],
                ),
                status=200,
            )
        with disk.explained(self._target):
            self._file.flush()
            os.fsync(self._file.fileno())
            disk.publish(self._made, self._target)

    def close(self) -> None:
        """Close both files; what has no name is removed."""
        self.source.close()
        self._file.close()
        self._made.unlink(missing_ok=True)


def _ends(line: bytes) -> bool:
    """Whether a line is the one without a number that says why there are no more."""
    if line.startswith(b"{"):
        try:
            found: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            return False
        return "row" in found and found["row"] is None
    return line.startswith(b",")
