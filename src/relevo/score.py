"""Score: a file in, the same rows with probability, decision and problems out, in constant memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from relevo import casting, disk, reading
from relevo.defects import Defect, entry
from relevo.errors import DataError
from relevo.lake import explained, literal
from relevo.online import FeatureError
from relevo.sources import SUFFIXES, Files
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from relevo.lake import Lake
    from relevo.package import ModelPackage
    from relevo.reading import Reading

CHUNK = 10_000
ADDED = ("probability", "decision", "problems")
COPY = {
    "csv": "format csv, header true",
    "parquet": "format parquet, compression zstd",
    "jsonl": "format json",
}


@dataclass(frozen=True)
class Scored:
    """How many rows there were, got the positive decision, and were refused."""

    rows: int
    positive: int
    refused: int


def score(
    lake: Lake, package: ModelPackage, source: Path, destination: Path, *, nulls: Sequence[str] = ()
) -> Scored:
    """Score a CSV, Parquet or JSON lines file; the ending of ``destination`` gives the format of the result.

    Every row comes out, in order, with its own columns as they were and three more: ``probability`` and
    ``decision`` (a label), or ``problems`` saying why it was refused. The result appears whole or not at
    all. ``nulls`` are texts that mean null, as a ``Table`` has them. Raises ``DataError`` about the files.
    """
    kind = kind_of(destination)
    if destination.exists() and source.exists() and destination.samefile(source):
        raise DataError(t("{file}: it would take the place of what is read. Name another.", file=destination))
    if not source.exists():
        raise DataError(t("There is no file {file}. Check the path.", file=source))
    files = Files(str(source.absolute()))
    file = reading.find(files, Path("/"))[0]
    with disk.explained(lake.scratch):
        lake.scratch.mkdir(parents=True, exist_ok=True)
    connection = lake.connect()
    try:
        with tempfile.TemporaryDirectory(dir=lake.scratch) as folder:

            def use(found: Reading) -> Scored:
                return _score(connection, package, found, destination.absolute(), kind, nulls)

            return reading.retried(connection, file, files, package.request, Path(folder), use)
    finally:
        connection.close()


def kind_of(destination: Path) -> str:
    """The format that a file's ending asks for; raises ``DataError`` when it cannot be written there."""
    kind = SUFFIXES.get(destination.suffix.lower())
    if kind is None:
        endings = ", ".join(SUFFIXES)
        raise DataError(
            t("{file}: its ending is none of {endings}. Name it so.", file=destination, endings=endings)
        )
    if not destination.absolute().parent.is_dir():
        raise DataError(t("{file}: its folder does not exist. Make it first.", file=destination))
    return kind


def _score(
    connection: DuckDBPyConnection,
    package: ModelPackage,
    found: Reading,
    destination: Path,
    kind: str,
    nulls: Sequence[str],
) -> Scored:
    names = package.request.names
    cleaning = casting.cleaning_query(package.request, found.columns, nulls)
    carried = {name: name for name in (reading.ROW, reading.DEFECT, reading.LINE)}
    query = cleaning.select(f"({found.sql})", carry=carried)
    wanted = ", ".join((*carried, casting.REFUSED, casting.REASONS, *(quote(name) for name in names)))
    connection.execute(
        "create or replace table answers (row bigint, probability double, decision varchar, problems varchar)"
    )
    rows = positive = refused = 0
    result = connection.cursor().execute(f"select {wanted} from ({query})")
    while part := result.fetchmany(CHUNK):
        yes, no = _answer(connection, package, part, names)
        rows, positive, refused = rows + len(part), positive + yes, refused + no
    _write(connection, found, destination, kind)
    return Scored(rows, positive, refused)


def _answer(
    connection: DuckDBPyConnection,
    package: ModelPackage,
    part: Sequence[tuple[Any, ...]],
    names: Sequence[str],
) -> tuple[int, int]:
    problems: list[str | None] = [None] * len(part)
    asked, places = [], []
    for place, (_, defect, line, faulty, reasons, *values) in enumerate(part):
        if defect is not None:
            problems[place] = f"{defect}: {line}"
        elif faulty:
            problems[place] = "; ".join(reasons)
        else:
            try:
                asked.append(package.features(dict(zip(names, values, strict=True))))
                places.append(place)
            except FeatureError as error:
                problems[place] = str(error)
    probability = np.full(len(part), np.nan)
    if asked:
        probability[places] = package.score(asked)
    decision = np.full(len(part), None, object)
    known = np.isfinite(probability)
    chosen = known & (probability >= package.threshold)
    for place in places:
        if known[place]:
            decision[place] = package.labels[bool(chosen[place])]
        else:
            problems[place] = str(entry(Defect(None, "body", "probability", {}), None)["problem"])
    answers = {
        "row": np.array([row[0] for row in part], np.int64),
        "probability": np.where(known, probability, np.nan),
        "decision": decision,
        "problems": np.array(problems, object),
    }
    connection.register("part", answers)
    connection.execute(
        "insert into answers select row, nullif(probability, 'nan'), decision, problems from part"
    )
    connection.unregister("part")
    return int(chosen.sum()), int((~known).sum())


def _write(connection: DuckDBPyConnection, found: Reading, destination: Path, kind: str) -> None:
    """Put the file's own columns beside the answers; both are in the file's order."""
    taken = {column.casefold() for column in found.columns}
    added = [f"relevo_{name}" if name in taken else name for name in ADDED]
    cells = [f"s.{quote(column)}" for column in found.columns]
    cells += [f"a.{name} as {quote(shown)}" for name, shown in zip(ADDED, added, strict=True)]
    check = f"case when s.{reading.ROW} <> a.row then error('rows out of order') else null end"
    query = (
        f"select {', '.join(cells)} from ({found.sql}) s positional join answers a where ({check}) is null"
    )
    write(connection, query, destination, kind)


def write(connection: DuckDBPyConnection, query: str, destination: Path, kind: str) -> None:
    """Write a query's rows into a file that appears whole or not at all."""
    draft = destination.with_name(f".{destination.name}.part")
    try:
        with explained(destination):
            options = f"{COPY[kind]}, delimiter '\\t'" if destination.suffix.lower() == ".tsv" else COPY[kind]
            connection.execute(f"copy ({query}) to {literal(str(draft))} ({options})")
            draft.replace(destination)
    except duckdb.Error as error:
        raise DataError(
            t("{file}: it cannot be written ({error}).", file=destination, error=error)
        ) from error
    finally:
        draft.unlink(missing_ok=True)
