"""Keyed files: one row for each key, written once, then mapped by every process that asks.

A file is an LMDB environment of its own. The table ``rows`` maps a key, encoded so that bytes sort as values
do, to a record: which cells are null, then every cell at a fixed place (a text's length there, the texts
themselves after the last), little endian. Beside it stands what the file holds, so that a file of another
layout is told apart. Nothing in a file is trusted before its SHA-256 was checked.
"""

from __future__ import annotations

import os
import struct
import threading
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import lmdb
import orjson

from relevo import digest as digests
from relevo import disk
from relevo.errors import DataError, WorkspaceError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Row = tuple[Any, ...]

FORMAT = 1
LONGEST = 511  # bytes of a key, LMDB's own limit
CHUNK = 20_000  # rows of one transaction, and of the writer's memory
_FIRST_SIZE = 64 << 20  # of the map, doubled when it is full
_ROWS, _CARD = b"rows", b"card"
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)
_HALF = 1 << 63
_CODES = {"text": "I", "integer": "q", "double": "d", "boolean": "?", "date": "I", "timestamp": "q"}
_UNFIT = (struct.error, UnicodeEncodeError)
"""What a key raises that no file can hold: an integer beyond 64 bits, half of a surrogate pair."""


@dataclass(frozen=True)
class Built:
    """A file that was written."""

    rows: int
    bytes: int
    sha256: str


def build(path: Path, rows: Iterable[Row], key_width: int, types: Sequence[str]) -> Built:
    """Write a file of rows, the first ``key_width`` cells of each being its key, and read some of them back.

    ``types`` are the cells'. Fastest, and the file smallest, when the rows come in the order of their keys.
    Memory holds ``CHUNK`` rows. Raises ``DataError`` about rows, ``WorkspaceError`` about the disk; then
    there is no file.
    """
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    key, cells = _Key(types[:key_width]), _Cells(types[key_width:])
    sample: list[Row] = []
    try:
        count = _write(draft, rows, key, cells, key_width, sample)
        built = Built(count, draft.stat().st_size, digests.of_file(draft))
        _check(draft, built, types, key_width, sample)
        disk.publish(draft, path)
    except lmdb.Error as error:
        raise WorkspaceError(
            t(
                "{path}: the keyed file cannot be written ({error}). Check the disk and its free space.",
                path=path,
                error=error,
            )
        ) from error
    except OSError as error:
        raise disk.explain(error, path) from error
    finally:
        draft.unlink(missing_ok=True)
    return built


def _write(draft: Path, rows: Iterable[Row], key: _Key, cells: _Cells, width: int, sample: list[Row]) -> int:
    made = lmdb.open(
        str(draft), map_size=_FIRST_SIZE, subdir=False, mode=0o600, max_dbs=1, lock=False, sync=False
    )
    try:
        table = made.open_db(_ROWS)
        last, count = b"", 0
        source = iter(rows)
        while chunk := list(islice(source, CHUNK)):
            pairs = [_pair(row, key, cells, width) for row in chunk]
            pairs.sort()
            _put(made, table, pairs, append=pairs[0][0] > last)
            last = max(last, pairs[-1][0])
            count += len(chunk)
            sample += (chunk[0], chunk[-1])
        with made.begin(write=True) as transaction:
            kept = transaction.stat(table)["entries"]
            if kept != count:
                raise DataError(
                    t("{count} rows have the key of another. Give each key one row.", count=count - kept)
                )
            transaction.put(_CARD, orjson.dumps(_card(key.types, cells.types)))
        made.sync(force=True)
    finally:
        made.close()
    return count


def _put(made: Any, table: Any, pairs: list[tuple[bytes, bytes]], *, append: bool) -> None:
    while True:
        try:
            with made.begin(db=table, write=True) as transaction:
                with transaction.cursor() as cursor:
                    cursor.putmulti(pairs, append=append and len(dict(pairs)) == len(pairs))
                return
        except lmdb.MapFullError:
            made.set_mapsize(2 * made.info()["map_size"])


def _pair(row: Row, key: _Key, cells: _Cells, width: int) -> tuple[bytes, bytes]:
    try:
        return key.encode(row[0] if width == 1 else row[:width]), cells.encode(row[width:])
    except (*_UNFIT, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            t(
                "The row with the key {key} cannot be kept: {error}.",
                key=", ".join(map(str, row[:width])),
                error=error,
            )
        ) from error


def _check(draft: Path, built: Built, types: Sequence[str], width: int, sample: list[Row]) -> None:
    """Ask the finished file for what was put into it."""
    cells = _Cells(types[width:])
    file = KeyedFile.open(draft, built.sha256, key=types[:width], types=types[width:])
    try:
        for row in sample:
            found = file.get(row[0] if width == 1 else row[:width])
            if found is None or cells.encode(found) != cells.encode(row[width:]):
                raise lmdb.CorruptedError("a row reads otherwise than it was written")
    finally:
        file.close()


def _card(key: Sequence[str], types: Sequence[str]) -> dict[str, Any]:
    return {"format": FORMAT, "key": list(key), "types": list(types)}


class KeyedFile:
    """A file open for reading, in the shape that features look rows up in. May be shared by threads.

    It stays whole and readable after the file's name is gone. ``misses`` holds how many unknown keys were
    asked for; a file that takes another's place may go on counting in its list.
    """

    def __init__(self, mapped: _Mapped, digest: str, key: _Key, cells: _Cells) -> None:
        self.sha256 = digest
        self.misses = [0]
        self._mapped: _Mapped | None = mapped
        self._transaction = mapped.environment.begin(db=mapped.table)
        self._rows = int(self._transaction.stat(mapped.table)["entries"])
        self._find = self._transaction.get
        self._encode, self._decode = key.encode, cells.decode
        self._find(b"\0")  # LMDB reads the table's root at the first request, which must be one thread's

    @classmethod
    def open(cls, path: Path, digest: str, *, key: Sequence[str], types: Sequence[str]) -> KeyedFile:
        """Open a file of these types of key and other cells, whose SHA-256 is ``digest``.

        Raises ``WorkspaceError`` when it is absent, cut off, altered, or of another layout.
        """
        with disk.explained(path):
            found = digests.of_file(path)
        if found != digest:
            raise _damaged(
                path, t("its SHA-256 is {found}, not {digest}", found=found[:12], digest=digest[:12])
            )
        try:
            mapped = _map(path)
            card = mapped.card()
        except (lmdb.Error, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if card != _card(key, types):
            raise _damaged(path, t("it holds other columns"))
        return cls(mapped, digest, _Key(key), _Cells(types))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the other cells of a key, given bare or as a tuple; ``default`` when it is unknown."""
        try:
            found = self._find(self._encode(key))
        except _UNFIT:
            found = None
        if found is None:
            self.misses[0] += 1
            return default
        return self._decode(found)

    @property
    def missing(self) -> int:
        """How many unknown keys were asked for."""
        return self.misses[0]

    def uncounted(self) -> KeyedFile:
        """Give the same file with a count of its own, for keys that nobody asked for; only one of both is closed."""
        found = copy(self)
        found.misses = [0]
        return found

    def __len__(self) -> int:
        return self._rows

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Give the map back; nothing may be asked afterwards."""
        if self._mapped is not None:
            self._transaction.abort()
            self._mapped = None


class _Mapped:
    """An environment of this process; LMDB lets a process open a file only once."""

    def __init__(self, path: Path) -> None:
        self.environment = lmdb.open(
            str(path),
            map_size=path.stat().st_size,
            subdir=False,
            readonly=True,
            lock=False,
            readahead=False,
            max_dbs=1,
        )
        self.table = self.environment.open_db(_ROWS, create=False)

    def card(self) -> Any:
        with self.environment.begin() as transaction:
            return orjson.loads(transaction.get(_CARD) or b"null")


_maps: WeakValueDictionary[tuple[int, int, int], _Mapped] = WeakValueDictionary()
_opening = threading.Lock()


def _map(path: Path) -> _Mapped:
    with _opening:
        status = path.stat()
        identity = (os.getpid(), status.st_dev, status.st_ino)
        mapped = _maps.get(identity)
        if mapped is None:
            mapped = _maps[identity] = _Mapped(path)
        return mapped


def _damaged(path: Path, problem: str) -> WorkspaceError:
    return WorkspaceError(
        t(
            "{path}: the keyed file was cut off or altered ({problem}). `relevo run` in the project's folder makes "
            "it anew.",
            path=path,
            problem=problem,
        )
    )


# --- keys ------------------------------------------------------------------------------------------------


class _Key:
    """``encode`` turns a key into bytes, each key into others, sorting as the values do."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        encode = _key_encoder(self.types)
        self.encode: Callable[[Any], bytes] = encode if "text" not in self.types else _shortened(encode)


def _key_encoder(types: tuple[str, ...]) -> Callable[[Any], bytes]:
    """Compile the encoding of one key; the code is made of slot numbers only."""
    numbers = {
        "integer": "({} + half)",
        "boolean": "{}",
        "date": "{}.toordinal()",
        "timestamp": "({} - epoch) // microsecond + half",
    }
    codes = {"integer": "Q", "boolean": "?", "date": "I", "timestamp": "Q"}
    bound: dict[str, Any] = {"half": _HALF, "epoch": _EPOCH, "microsecond": _MICROSECOND}
    parts: list[str] = []
    packed: list[tuple[str, str]] = []

    def flush() -> None:
        if packed:
            name = f"pack{len(parts)}"
            bound[name] = struct.Struct(">" + "".join(code for code, _ in packed)).pack
            parts.append(f"{name}({', '.join(cell for _, cell in packed)})")
            packed.clear()

    for slot, kind in enumerate(types):
        value = "key" if len(types) == 1 else f"key[{slot}]"
        if kind == "text":
            flush()
            # The end of a text sorts before anything that may follow in a longer one.
            last = slot == len(types) - 1
            parts.append(
                f"{value}.encode() + b'\\0'"
                if last
                else f"{value}.replace('\\0', '\\0\\xff').encode() + b'\\0\\0'"
            )
        else:
            packed.append((codes[kind], numbers[kind].format(value)))
    flush()
    encode: Callable[[Any], bytes] = eval(f"lambda key: {' + '.join(parts)}", bound)  # noqa: S307 - slot numbers only
    return encode


def _shortened(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Put the SHA-256 of what is too long in place of its end; only such keys have ``LONGEST`` bytes."""

    def short(key: Any) -> bytes:
        encoded = encode(key)
        if len(encoded) < LONGEST:
            return encoded
        return encoded[: LONGEST - 32] + sha256(encoded).digest()

    return short


# --- records -----------------------------------------------------------------------------------------------


class _Cells:
    """A row's other cells as a record, and back."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        width = (len(self.types) + 7) // 8
        self._struct = struct.Struct(f"<{width}s" + "".join(_CODES[kind] for kind in self.types))
        self._none = bytes(width)
        self._width = width
        self._plain = not {"text", "date", "timestamp"} & set(self.types)
        self._odd = [(slot, kind) for slot, kind in enumerate(self.types) if kind in ("date", "timestamp")]
        self._texts = [slot for slot, kind in enumerate(self.types) if kind == "text"]
        self._nulls: dict[bytes, tuple[int, ...]] = {self._none: ()}
        unpack = self._struct.unpack_from
        none = self._none

        def plain(data: bytes) -> Row:
            cells = unpack(data)
            return cells[1:] if cells[0] == none else self._full(cells, data)

        self.decode: Callable[[bytes], Row] = plain if self._plain else self._read

    def encode(self, row: Row) -> bytes:
        """Write a record; raises ``struct.error``, ``TypeError`` or the like on a cell of another type."""
        nulls = self._none
        if None in row:
            bits = sum(1 << slot for slot, value in enumerate(row) if value is None)
            nulls = bits.to_bytes(self._width, "little")
        elif self._plain:
            return self._struct.pack(nulls, *row)
        tail: list[bytes] = []
        cells = [
            0 if value is None else _to_cell(value, kind, tail)
            for value, kind in zip(row, self.types, strict=True)
        ]
        return self._struct.pack(nulls, *cells) + b"".join(tail)

    def _read(self, data: bytes) -> Row:
        return self._full(self._struct.unpack_from(data), data)

    def _full(self, cells: Row, data: bytes) -> Row:
        nulls, *row = cells
        at = self._struct.size
        for slot in self._texts:
            end = at + row[slot]
            row[slot] = data[at:end].decode()
            at = end
        gone = self._nulls.get(nulls)
        if gone is None:
            bits = int.from_bytes(nulls, "little")
            gone = self._nulls[nulls] = tuple(s for s in range(len(row)) if bits >> s & 1)
        for slot, kind in self._odd:
            if slot not in gone:
                value = row[slot]
                row[slot] = date.fromordinal(value) if kind == "date" else _EPOCH + value * _MICROSECOND
        for slot in gone:
            row[slot] = None
        return tuple(row)


def _to_cell(value: Any, kind: str, tail: list[bytes]) -> Any:
    if kind == "text":
        text = value.encode()
        tail.append(text)
        return len(text)
    if kind == "date":
        return value.toordinal()
    if kind == "timestamp":
        return (value - _EPOCH) // _MICROSECOND
    return value
