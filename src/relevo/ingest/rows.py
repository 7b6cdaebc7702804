"""A Python function: everything it gives, or what comes behind a cursor of its own."""

from __future__ import annotations

import hashlib
import inspect
import sys
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import interrupts
from relevo.errors import DataError, RelevoError
from relevo.ingest.raw import Piece
from relevo.lake import explained
from relevo.reading import staged
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from relevo.ingest.raw import Raw
    from relevo.sources import Rows

SINCE = "since"
NESTED = ("STRUCT", "MAP", "LIST", "UNION")


def collect(source: Rows, raw: Raw) -> list[Piece]:
    """Take everything, which alone is in force, or the batches behind the last cursor, beside those before."""
    function = _function(source, raw.root)
    if SINCE not in _parameters(function, source):
        with raw.scratch() as folder:
            return [_whole(source, raw, function, folder)]
    known = [(*_parsed(piece), piece) for piece in raw.pieces()]
    number, cursor, _ = max(known, key=lambda one: one[0], default=(0, None, None))
    for given in _called(source, function, {SINCE: cursor}):
        batch, after = _pair(given, source)
        number += 1
        with raw.scratch() as folder:
            _one(source, raw, batch, f"{number} {after}", folder)
        raw.tell(t("{function}: taken up to {cursor}", function=source.name, cursor=after))
    return sorted(raw.pieces(), key=lambda piece: _parsed(piece)[0])


def _whole(source: Rows, raw: Raw, function: Callable[..., Any], folder: Path) -> Piece:
    path = folder / "rows.csv"
    names = _stage(raw, _called(source, function, {}), path, source.name)
    content = digests.of_file(path)
    piece = Piece(source.name, "", content)
    found = staged.read(path, names, raw.contract, source.name)
    raw.add(piece, found, f"ingest:{content}:{raw.identity}")
    raw.received(path.stat().st_size)
    return piece


def _one(source: Rows, raw: Raw, batch: Any, label: str, folder: Path) -> None:
    """Add one batch; its digest covers its cursor, for equal rows behind two cursors are two batches."""
    path = folder / "rows.csv"
    names = _stage(raw, iter([batch]), path, source.name)
    if not path.stat().st_size:
        return
    content = hashlib.sha256(f"{label}\n{digests.of_file(path)}".encode()).hexdigest()
    found = staged.read(path, names, raw.contract, source.name)
    number = label.partition(" ")[0]
    raw.add(Piece(source.name, label, content), found, f"rows:{raw.identity}:{number}")
    raw.received(path.stat().st_size)


def _parsed(piece: Piece) -> tuple[int, str]:
    number, _, cursor = piece.batch.partition(" ")
    return int(number), cursor


def _pair(given: Any, source: Rows) -> tuple[Any, str]:
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str):  # noqa: PLR2004
        return given[0], given[1]
    raise DataError(
        t(
            "{function}: it takes “since”, so it must yield pairs of rows and a cursor, a text: yield batch,"
            ' "cursor". It gave a {type}.',
            function=source.name,
            type=type(given).__name__,
        )
    )


def _function(source: Rows, root: Path) -> Callable[..., Any]:
    if not isinstance(source.function, str):
        return source.function
    module, _, name = source.function.partition(":")
    sys.path.insert(0, str(root))
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(
            t(
                '{function}: it cannot be imported ({error}). Write Rows("module:function").',
                function=source.name,
                error=error,
            )
        ) from error
    finally:
        sys.path.remove(str(root))
    if not callable(found):
        raise DataError(t("{function}: it is no function.", function=source.name))
    return found  # type: ignore[no-any-return]  # it is the user's


def _parameters(function: Callable[..., Any], source: Rows) -> Sequence[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        raise DataError(t("{function}: it is no function.", function=source.name)) from error


def _called(source: Rows, function: Callable[..., Any], given: dict[str, Any]) -> Iterator[Any]:
    """Yield what the function yields; its own errors become ``DataError``."""
    try:
        with interrupts.heard():
            yield from function(**given)
    except RelevoError:
        raise
    except Exception as error:
        raise DataError(
            t(
                "{function}: it ended with {type}: {error}. What was taken before is kept; mend it, then run again.",
                function=source.name,
                type=type(error).__name__,
                error=error,
            )
        ) from error


def _stage(raw: Raw, batches: Iterator[Any], path: Path, place: str) -> list[str]:
    """Write all rows to one file and give its columns; every batch must have those of the first."""
    path.touch()
    first = next(batches, None)
    every = chain([first], batches)
    names: list[str] = []
    if isinstance(first, dict | list):
        names = _stage_dicts(every, path, place)
    elif first is not None:
        names = _stage_arrow(raw, every, path, place)
    return names or [field.alias for field in raw.contract.fields]


def _stage_dicts(batches: Iterable[Any], path: Path, place: str) -> list[str]:
    """Write dicts by the keys of the first; one with another key is an error, a key left out is null."""
    rows = (row for batch in batches for row in (batch if isinstance(batch, list) else [batch]))
    first = next(rows, None)
    names = list(first) if isinstance(first, dict) else []

    def cells() -> Iterator[list[Any]]:
        for row in chain([] if first is None else [first], rows):
            if not isinstance(row, dict):
                raise DataError(_strange(row, place))
            if not row.keys() <= set(names):
                raise DataError(_other_columns(place, names, list(row)))
            yield [row.get(name) for name in names]

    staged.write(path, cells(), place)
    return [str(name) for name in names]


def _stage_arrow(raw: Raw, batches: Iterable[Any], path: Path, place: str) -> list[str]:
    names: list[str] | None = None
    part = path.with_name("part.csv")
    with path.open("wb") as out:
        for batch in batches:
            found = _copy(raw, batch, part, place)
            if names is not None and names != found:
                raise DataError(_other_columns(place, names, found))
            names = found
            with part.open("rb") as file:
                while chunk := file.read(1 << 20):
                    out.write(chunk)
    return names or []


def _copy(raw: Raw, batch: Any, part: Path, place: str) -> list[str]:
    from arro3.core import RecordBatch, RecordBatchReader, Table

    if hasattr(batch, "__arrow_c_stream__"):
        stream: Any = RecordBatchReader.from_arrow(batch)
    elif hasattr(batch, "__arrow_c_array__"):
        stream = Table.from_batches([RecordBatch.from_arrow(batch)])
    else:
        raise DataError(_strange(batch, place))
    with explained(part):
        raw.connection.register("given", stream)
        try:
            relation = raw.connection.sql("select * from given limit 0")
            kinds = [
                (str(name), str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)
            ]
            cells = ", ".join(_cell(name, kind) for name, kind in kinds)
            staged.copy(raw.connection, f"select {cells} from given", part)
        finally:
            raw.connection.unregister("given")
    return [name for name, _ in kinds]


def _cell(name: str, kind: str) -> str:
    value = f"to_json({quote(name)})" if kind.startswith(NESTED) or kind.endswith("]") else quote(name)
    return f"cast({value} as varchar) as {quote(name)}"


def _strange(given: Any, place: str) -> str:
    return t(
        "{function}: it gave a {type}, which is no row. Yield Arrow batches or tables, dicts, or lists of dicts.",
        function=place,
        type=type(given).__name__,
    )


def _other_columns(place: str, names: Sequence[str], found: Sequence[str]) -> str:
    return t(
        "{function}: not all of its rows have the same columns. The first has {first}, another {other}.",
        function=place,
        first=", ".join(map(str, names)),
        other=", ".join(map(str, found)),
    )
