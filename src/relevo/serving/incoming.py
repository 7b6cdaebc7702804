"""A body as it comes in, piece by piece: CSV and JSON lines become requests, or sentences about damaged rows.

Every format has the same three methods. ``feed`` takes bytes and ``finish`` says that there are no more; both
give lists of at most ``BLOCK`` rows, in order, each a request by alias or a sentence saying why it is none.
``ready`` says that the header was read. ``Unreadable`` ends the stream.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from relevo import header
from relevo.errors import DataError
from relevo.separated import JunkError, OpenError, Splitter
from relevo.serving.problems import Refusal
from relevo.serving.reading import parse
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relevo.cells import Cells, Columns
    from relevo.contract import Contract

BLOCK = 256
"""Rows between two turns of the event loop: two or three milliseconds."""
LONGEST = 1 << 20
"""Bytes of a row at most."""
MOST_LINES = 1_000
"""Lines over which one quoted value may go, as when a file is read."""
_DELIMITERS = (",", ";", "\t", "|")
_WORK = 64 * LONGEST  # characters that are looked at in search of one closing quote
_MARK = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
Row = dict[str, Any] | str


class Unreadable(Exception):  # noqa: N818 - what the caller is told
    """The body cannot be read on from here; its text is a sentence."""


class Incoming(Protocol):
    """What a format does."""

    @property
    def ready(self) -> bool:
        """Whether the header was read."""

    def feed(self, piece: bytes) -> Iterator[Sequence[Row]]:
        """Take some bytes."""

    def finish(self) -> Iterator[Sequence[Row]]:
        """Take the end."""


class Lines:
    """Cuts pieces into lines ending in LF, CRLF or CR; one that is too long comes out as None."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Give the lines that are complete now, with their ends."""
        if b"\n" not in piece and b"\r" not in piece and not self._after_return():
            return self._keep(piece)
        lines = b"".join((*self._pieces, piece)).splitlines(keepends=True)
        self._pieces, self._size = [], 0
        rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()  # a CR may be half of a CRLF
        if self._skipping and lines:
            self._skipping, lines = False, lines[1:]
        return [line if len(line) <= LONGEST else None for line in lines] + self._keep(rest)

    def finish(self) -> list[bytes | None]:
        """Give the line that no line end follows."""
        rest, self._pieces = b"".join(self._pieces), []
        return [rest] if rest and not self._skipping else []

    def _after_return(self) -> bool:
        return bool(self._pieces) and self._pieces[-1].endswith(b"\r")

    def _keep(self, piece: bytes) -> list[bytes | None]:
        if self._skipping or not piece:
            return []
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size <= LONGEST:
            return []
        self._pieces, self._size, self._skipping = [], 0, True
        return [None]


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    for row in rows:
        block.append(row)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _too_long() -> str:
    return t("the line is longer than {longest} bytes", longest=LONGEST)


class JsonLines:
    """One object a line; blank lines do not count."""

    ready = True

    def __init__(self, contract: Contract, cells: Cells) -> None:
        self._lines, self._cells = Lines(), cells
        spelled = [(field, name) for field in contract.fields for name in (field.alias, field.name)]
        self._others = {header.fold(name) for field, name in spelled if field.type != "double"}
        self._first = True

    def feed(self, piece: bytes) -> Iterator[Sequence[Row]]:
        """Take some bytes."""
        return _blocks(self._rows(self._lines.feed(piece)))

    def finish(self) -> Iterator[Sequence[Row]]:
        """Take the end."""
        return _blocks(self._rows(self._lines.finish()))

    def _rows(self, lines: list[bytes | None]) -> Iterator[Row]:
        for line in lines:
            if line is None:
                yield _too_long()
                continue
            body = line.strip()
            if self._first:
                self._first, body = False, body.removeprefix(_MARK)
            if body:
                yield self._row(body)

    def _row(self, body: bytes) -> Row:
        try:
            found = parse(body)
        except Refusal as refusal:
            return _defect(refusal.kind)
        if type(found) is not dict:
            return t("not a JSON object")
        if float in map(type, found.values()) and any(
            type(value) is float and header.fold(key) in self._others for key, value in found.items()
        ):
            found = _as_written(body)
        made = self._cells.of_object(found)
        return t("an object that names a field twice") if made is None else made


def _defect(kind: str) -> str:
    if kind == "duplicate-field":
        return t("an object that names a field twice")
    return t("nested too deeply") if kind == "too-deep" else t("not JSON")


def _as_written(body: bytes) -> dict[str, Any]:
    """Read numbers as the texts that they are written as: 1e2 is no whole number, and 1.50 another text than 1.5."""
    found: dict[str, Any] = _DECODER.decode(body.decode())
    typed = orjson.loads(body)
    return {key: typed[key] if isinstance(value, dict | list) else value for key, value in found.items()}


class Csv:
    """A header and rows, separated by comma, semicolon, tab or bar, whichever fits the contract best.

    A damaged row is told and costs no other: where a quote opens and does not close, its first line is set
    aside, and reading goes on with the next, as when a damaged file is read.
    """

    def __init__(self, contract: Contract, cells: Cells) -> None:
        self._contract, self._cells = contract, cells
        self._lines = Lines()
        self._waiting: deque[bytes | None] = deque()
        self._ended = False
        self._splitter = Splitter(",")
        self._columns: Columns | None = None
        self._width = 0
        self._open: list[str] = []  # the row that is taken together, while a quote of it is open
        self._work = 0

    @property
    def ready(self) -> bool:
        """Whether the header was read."""
        return self._columns is not None

    def feed(self, piece: bytes) -> Iterator[Sequence[Row]]:
        """Take some bytes; raises ``Unreadable`` about the header."""
        self._waiting.extend(self._lines.feed(piece))
        return _blocks(self._rows())

    def finish(self) -> Iterator[Sequence[Row]]:
        """Take the end."""
        self._waiting.extend(self._lines.finish())
        self._ended = True
        if not self.ready and not any(line is None or line.strip() for line in self._waiting):
            raise Unreadable(t("it is empty: the first line names the columns"))
        return _blocks(self._rows())

    def _rows(self) -> Iterator[Row]:
        while self._columns is None and self._waiting:
            self._read_header()
        while self._waiting or (self._ended and self._open):
            values = self._go_on() if self._open else self._start(self._waiting.popleft())
            if values is not None:
                yield values if isinstance(values, str) else self._request(values)

    def _request(self, values: list[str]) -> Row:
        if len(values) != self._width:
            return t("{found} fields, the header has {expected}", found=len(values), expected=self._width)
        assert self._columns is not None
        return self._columns.of_texts(values)

    def _start(self, line: bytes | None) -> list[str] | str | None:
        """Split a line, or say why not; None when it is blank, or its row goes on with the next."""
        text = None if line is None else _decoded(line)
        if text is None:
            return _too_long() if line is None else t("not UTF-8")
        body = text.rstrip("\r\n")
        if '"' not in body:
            return body.split(self._splitter.delimiter) if body else None
        try:
            return self._splitter.split(body)
        except JunkError:
            return t("text follows a closing quote")
        except OpenError:
            self._open, self._work = [text], 0
            return None

    def _go_on(self) -> list[str] | str | None:
        """Take one more line of an open row; None when that must be waited for, and a sentence when it never ends.

        Then its first line is a damaged row, and the others are read again.
        """
        while self._waiting:
            line = self._waiting[0]
            more = None if line is None else _decoded(line)
            if more is None or len(self._open) > MOST_LINES or self._work > _WORK:
                return self._give_up(t("a quote opens and does not close"))
            self._waiting.popleft()
            self._open.append(more)
            self._work += len(more)
            if '"' not in more:
                continue
            whole = "".join(self._open)
            self._work += len(whole)
            if len(whole) > LONGEST:
                return self._give_up(t("a quote opens and does not close"))
            try:
                values = self._splitter.split(whole.rstrip("\r\n"))
            except OpenError:
                continue
            except JunkError:
                return self._give_up(t("a quote opens and does not close"))
            self._open = []
            return values
        return self._give_up(t("a quote opens and does not close")) if self._ended else None

    def _give_up(self, sentence: str) -> str:
        self._waiting.extendleft(text.encode() for text in reversed(self._open[1:]))
        self._open = []
        return sentence

    def _read_header(self) -> None:
        line = self._waiting.popleft()
        if line is None:
            raise Unreadable(_too_long())
        text = _decoded(line.removeprefix(_MARK))
        if text is None:
            raise Unreadable(t("its header is not UTF-8"))
        if not text.strip():
            return
        best: tuple[tuple[int, int], str, list[str]] | None = None
        for delimiter in _DELIMITERS:
            try:
                found = [name.strip() for name in Splitter(delimiter).split(text.rstrip("\r\n"))]
            except (JunkError, OpenError):
                continue
            score = len(header.match(self._contract, found)), len(found)
            if best is None or score > best[0]:
                best = score, delimiter, found
        if best is None:
            raise Unreadable(t("its first line is no header"))
        _, delimiter, names = best
        names = [name or f"column{place}" for place, name in enumerate(names, 1)]
        check(self._contract, names)
        self._splitter, self._width = Splitter(delimiter), len(names)
        self._columns = self._cells.of_columns(names)


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def check(contract: Contract, names: list[str]) -> None:
    """Check a header; raises ``Unreadable``."""
    folded = [header.fold(name) for name in names]
    twice = next((name for name, fold in zip(names, folded, strict=True) if folded.count(fold) > 1), None)
    if twice is not None:
        raise Unreadable(t("the column “{name}” stands twice", name=twice[:100]))
    try:
        header.check(contract, names, place=t("the body"))
    except DataError as error:
        raise Unreadable(str(error)[:1000]) from None
