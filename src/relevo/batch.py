"""The batch path of a package: rows of a relation become features and probabilities, many at a time.

DuckDB computes the features by the package's own SQL and streams them; two threads encode them and ask the
model, whose session runs without the interpreter's lock. Memory does not grow with the number of rows.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from relevo.encoding import encode_columns
from relevo.errors import DataError, PackageError, RelevoError
from relevo.lake import first_line, reworded
from relevo.sql import quote
from relevo.sql.plan import SELECT
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.lake import Lake
    from relevo.package import ModelPackage
    from relevo.records import Snapshot

THREADS = 2
AHEAD = 4
"""Pieces that may wait to be scored while DuckDB computes the next."""
TYPES = {
    "text": "varchar",
    "integer": "bigint",
    "double": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}


@dataclass(frozen=True)
class Part:
    """Some rows, in the relation's order or not: columns as numpy arrays, masked where null."""

    carried: Mapping[str, Any]
    features: Mapping[str, Any]
    probability: NDArray[np.float64]


def scored(
    connection: DuckDBPyConnection,
    package: ModelPackage,
    *,
    carry: Sequence[str] = (),
    added: Mapping[str, str] | None = None,
) -> Iterator[Part]:
    """Score the relation ``request`` of a connection: the request's fields by name, and ``_time``.

    The package's histories must be bound under their names (``bind_histories``); its look-ups are made
    here. ``carry`` are columns of ``request`` to hand on, ``added`` SQL expressions over the features by
    the name under which they are carried too. The connection is busy until the last part was taken.
    Raises ``DataError`` naming the feature that cannot be computed, or for which a row has no probability.
    """
    make_lookups(connection, package)
    query = features_query(package, carry)
    names = [*carry]
    if added:
        listed = ", ".join(f"({expression}) as {quote(name)}" for name, expression in added.items())
        query = f"select {listed}, * from ({query})"
        names += added
    _check_single(query)
    features = [encoder.feature for encoder in package.manifest.encoders]
    waiting: deque[tuple[Mapping[str, Any], Future[NDArray[np.float64]]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for columns in _pieces(connection, query, package):
            waiting.append((columns, pool.submit(_answer, package, columns)))
            if len(waiting) > AHEAD:
                yield _part(*waiting.popleft(), names, features)
        while waiting:
            yield _part(*waiting.popleft(), names, features)


def features_query(package: ModelPackage, carry: Sequence[str]) -> str:
    """The package's feature SQL, with columns of the request before the features."""
    carried = "".join(f"request.{quote(name)} AS {quote(name)}, " for name in carry)
    return SELECT + carried + package.manifest.sql.removeprefix(SELECT)


def _answer(package: ModelPackage, columns: Mapping[str, Any]) -> NDArray[np.float64]:
    return package.score_matrix(encode_columns(package.manifest.encoders, columns))


def _part(
    columns: Mapping[str, Any],
    answer: Future[NDArray[np.float64]],
    carried: Sequence[str],
    features: Sequence[str],
) -> Part:
    probability = answer.result()
    wrong = np.flatnonzero(~np.isfinite(probability))
    if len(wrong):
        row = {name: columns[name][wrong[0]] for name in features}
        shown = ", ".join(f"{name} = {value}" for name, value in row.items())
        raise DataError(
            t("The model has no probability for a row with these features: {features}.", features=shown)
        )
    return Part(
        {name: columns[name] for name in carried}, {name: columns[name] for name in features}, probability
    )


def _pieces(connection: DuckDBPyConnection, query: str, package: ModelPackage) -> Iterator[Mapping[str, Any]]:
    """Stream a query's rows as numpy columns, a row group at a time."""
    from arro3.core import RecordBatchReader, Table

    with duckdb.connect(config={"threads": 1}) as reader:
        try:
            for batch in RecordBatchReader.from_arrow(connection.sql(query)):
                if batch.num_rows:
                    reader.register("piece", Table.from_batches([batch]))
                    yield reader.execute("from piece").fetchnumpy()
                    reader.unregister("piece")
        except RelevoError:
            raise
        except Exception as error:
            text = str(error)
            if not isinstance(error, duckdb.Error) and "C Data interface" not in text:
                raise
            raise _explained(connection, package, error) from error


def _explained(connection: DuckDBPyConnection, package: ModelPackage, error: Exception) -> Exception:
    """Find the features that stop at some row, each by itself; another error stays as it was."""
    found = []
    for encoder in package.manifest.encoders:
        try:
            connection.execute(
                f"select count({quote(encoder.feature)}) from ({package.manifest.sql})"
            ).fetchall()
        except duckdb.Error as own:
            found.append((encoder.feature, first_line(own)))
    if not found:
        return error
    feature, problem = found[0]
    return DataError(
        t(
            "{what} cannot be computed for every row: {error}. Write it so that such a row gives null, with"
            " case when … end for example.",
            what=t("The feature “{name}”", name=feature),
            error=problem,
        )
    )


def _check_single(query: str) -> None:
    """Refuse SQL that breaks out of the SELECT it is put into; a package may come from elsewhere."""
    try:
        count = len(duckdb.extract_statements(query))
    except duckdb.Error as error:
        raise PackageError(
            t("manifest.json: the entry “{entry}” is malformed.", entry="sql") + f" {first_line(error)}"
        ) from error
    if count != 1:
        raise PackageError(t("manifest.json: the entry “{entry}” is malformed.", entry="sql"))


def make_lookups(connection: DuckDBPyConnection, package: ModelPackage) -> None:
    """Make a temporary table of each look-up in the package; it hides a clean table of its name."""
    for row in package.manifest.lookups:
        name, columns = str(row["name"]), list(row["columns"])
        kinds = [TYPES[kind] for kind in row["types"]]
        listed = ", ".join(f"{quote(c)} {kind}" for c, kind in zip(columns, kinds, strict=True))
        connection.execute(f"create or replace temp table {quote(name)} ({listed})")
        single = len(row["key"]) == 1
        lines = [((key,) if single else key) + rest for key, rest in package.static[name].items()]
        if lines:
            lists = [list(column) for column in zip(*lines, strict=True)]
            taken = ", ".join(f"unnest(cast(? as {kind}[]))" for kind in kinds)
            connection.execute(f"insert into {quote(name)} select {taken}", lists)


def bind_histories(
    connection: DuckDBPyConnection,
    package: ModelPackage,
    definition: Definition,
    lake: Lake,
    histories: Mapping[str, Snapshot],
    *,
    until: datetime | None = None,
) -> None:
    """Bind what a package looks up as of a time, from connections that see the clean tables by name.

    A history whose meaning is the project's is read from its lake table (``histories``, by name); another,
    as that of an older champion, is made by the package's own SQL. With ``until`` only each key's newest
    row known then is kept, which is all that rows asked at that one time can see.
    """
    shapes = {history.name: history.shape for history in definition.histories}
    for row in package.histories:
        name, made = str(row["name"]), f"_history_{row['name']}"
        if shapes.get(name) == row["shape"] and name in histories:
            lake.bind(connection, histories[name].table, as_=f"{made}_rows", version=histories[name].version)
            source = quote(f"{made}_rows")
        else:
            source = f"({row['sql']})"
        keys = ", ".join(map(quote, row["key"]))
        columns = ", ".join(map(quote, (*row["columns"], row["known_at"])))
        query = f"select {columns} from {source}"
        stamp = quote(str(row["known_at"]))
        if until is not None:
            query += (
                f" where {stamp} <= cast('{until.isoformat(sep=' ')}' as timestamp)"
                f" qualify row_number() over (partition by {keys} order by {stamp} desc) = 1"
            )
        _check_single(query)
        with reworded(partial(_unmakeable, name)):
            connection.execute(f"create or replace table {quote(made)} as {query}")
    # Only now, for a history may bear the name of the clean table that it and others are made from.
    for row in package.histories:
        name = str(row["name"])
        connection.execute(f"create or replace temp view {quote(name)} as from {quote('_history_' + name)}")


def _unmakeable(name: str, error: str) -> str:
    return t(
        "The history “{name}” cannot be made from the tables that are there: {error}.", name=name, error=error
    )
