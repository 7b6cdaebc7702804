"""Writing a keyed file, in chunks, and reading some of it back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import lmdb
import orjson

from relevo import digest as digests
from relevo import disk
from relevo.errors import DataError, WorkspaceError
from relevo.keyed.codec import UNFIT, Cells, Key
from relevo.keyed.file import CARD, ROWS, KeyedFile, card_of
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from relevo.keyed.codec import Row

CHUNK = 20_000  # rows of one transaction, and of the writer's memory
_FIRST_SIZE = 64 << 20  # of the map, doubled when it is full


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
    key, cells = Key(types[:key_width]), Cells(types[key_width:])
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


def _write(draft: Path, rows: Iterable[Row], key: Key, cells: Cells, width: int, sample: list[Row]) -> int:
    made = lmdb.open(
        str(draft), map_size=_FIRST_SIZE, subdir=False, mode=0o600, max_dbs=1, lock=False, sync=False
    )
    try:
        table = made.open_db(ROWS)
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
            transaction.put(CARD, orjson.dumps(card_of(key.types, cells.types)))
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


def _pair(row: Row, key: Key, cells: Cells, width: int) -> tuple[bytes, bytes]:
    try:
        return key.encode(row[0] if width == 1 else row[:width]), cells.encode(row[width:])
    except (*UNFIT, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            t(
                "The row with the key {key} cannot be kept: {error}.",
                key=", ".join(map(str, row[:width])),
                error=error,
            )
        ) from error


def _check(draft: Path, built: Built, types: Sequence[str], width: int, sample: list[Row]) -> None:
    """Ask the finished file for what was put into it."""
    cells = Cells(types[width:])
    file = KeyedFile.open(draft, built.sha256, key=types[:width], types=types[width:])
    try:
        for row in sample:
            found = file.get(row[0] if width == 1 else row[:width])
            if found is None or cells.encode(found) != cells.encode(row[width:]):
                raise lmdb.CorruptedError("a row reads otherwise than it was written")
    finally:
        file.close()
