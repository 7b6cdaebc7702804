"""Replays real and edge rows through the three paths and compares what each made of them.

- *training*: the project's SQL in DuckDB, the encoders as they were fitted, the native estimator;
- *batch*: the package's SQL in DuckDB, the package's encoders, its ONNX model on the whole matrix;
- *online*: JSON text, the package's validator, compiled function and encoders, a few rows at a time.

Features must be equal (doubles to a relative 1e-12, what two libraries' exp and log differ by), the
encoded float32 matrices equal bit for bit, probabilities within 1e-6, and every decision the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from relevo import asof
from relevo.audit.edges import edge_requests
from relevo.casting import SQL_TYPES
from relevo.encoding import encode_columns
from relevo.examples import bound
from relevo.online import FeatureError
from relevo.package import calibrated
from relevo.package.model import TOLERANCE
from relevo.package.values import to_json
from relevo.sql import quote
from relevo.sql.plan import TIME
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from relevo.asof import Asked
    from relevo.contract import Contract
    from relevo.definition import Definition
    from relevo.encoding import Encoder, Row
    from relevo.lake import Lake
    from relevo.package import ModelPackage
    from relevo.records import Snapshot

ROWS = 10_000
SHOWN = 20
"""How many differences are written down."""
ULP = 1e-12


@dataclass(frozen=True)
class Native:
    """The training side of the proof: what was fitted, before anything was exported."""

    encoders: Sequence[Encoder]
    margin: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    """From an encoded (n, k) matrix to n log-odds, by the library that fitted the model."""
    calibration: Mapping[str, float]
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What the proof found. ``refused`` edge rows fail in every path alike, as an overflow does."""

    rows: int
    edges: int
    refused: int
    largest: float
    """The largest difference of a probability between two paths."""
    faults: tuple[str, ...] = ()
    more: int = 0
    """How many further differences there are."""

    @property
    def proven(self) -> bool:
        """Whether all paths agree on all rows."""
        return not self.faults


@dataclass
class _Findings:
    faults: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.faults) < SHOWN:
            self.faults.append(text)


def audit(
    definition: Definition,
    lake: Lake,
    clean: Mapping[str, Snapshot],
    examples: Snapshot,
    package: ModelPackage,
    native: Native,
    *,
    rows: int = ROWS,
) -> Parity:
    """Prove that ``package`` answers as the model that was trained; the answer holds every difference found."""
    findings = _Findings()
    with bound(definition, lake, clean) as connection:
        lake.bind(connection, examples.table, as_="examples", version=examples.version)
        real = _real(connection, definition.request, rows)
        keys = [
            key
            for lookup in package.static.values()
            for key in list(lookup)[:BORDER] + list(lookup)[-BORDER:]
        ]
        latest = max((at for _, at in real if at is not None), default=None)
        edges = [
            (request, latest)
            for request in edge_requests(definition.request, [request for request, _ in real[:64]], keys)
        ]
        asked = asof.look_up(connection, package, [*real, *edges])
        online = [_online(package, one, findings) for one in asked]
        _both_refuse(
            connection,
            definition,
            package,
            [one for one, row in zip(asked, online, strict=True) if row is None],
            findings,
        )
        largest = 0.0
        kept = [one for one, row in zip(asked, online, strict=True) if row is not None]
        answered = [row for row in online if row is not None]
        if answered:
            largest = _compare(connection, definition, package, native, kept, answered, findings)
    return Parity(
        rows=len(real),
        edges=len(edges),
        refused=len(asked) - len(answered),
        largest=largest,
        faults=tuple(findings.faults),
        more=findings.count - len(findings.faults),
    )


BORDER = 20
"""How many keys from each end of a look-up are asked for."""


def _real(
    connection: duckdb.DuckDBPyConnection, request: Contract, rows: int
) -> list[tuple[dict[str, Any], datetime | None]]:
    fields = ", ".join(f"request.{quote(name)}" for name in request.names)
    found = connection.execute(
        f"select _time, {fields} from examples order by md5(_id) limit {rows:d}"
    ).fetchall()
    return [(dict(zip(request.names, row, strict=True)), at) for at, *row in found]


def _online(package: ModelPackage, asked: Asked, findings: _Findings) -> Row | None:
    request = asked.request
    aliases = {f.name: f.alias for f in package.request.fields}
    body = json.dumps({aliases[name]: to_json(value) for name, value in request.items() if name in aliases})
    try:
        read = package.validators.one.validate_python(json.loads(body))  # as the service does
    except ValueError as error:
        findings.add(
            t("{request}: the package refuses it: {error}", request=body, error=str(error).splitlines()[1])
        )
        return None
    for name, value in read.items():
        if value != request[name]:
            findings.add(
                t("{request}: “{field}” is read as {value}", request=body, field=name, value=repr(value))
            )
    try:
        return package.features(read, asked.histories)
    except FeatureError:
        return None


def _load(connection: duckdb.DuckDBPyConnection, request: Contract, asked: Sequence[Asked]) -> None:
    columns = ", ".join(f"{quote(f.name)} {SQL_TYPES[f.type]}" for f in request.fields)
    connection.execute(
        f"create or replace temp table request (_id bigint, {quote(TIME)} timestamp, {columns})"
    )
    types = ["BIGINT", "TIMESTAMP", *(SQL_TYPES[field.type] for field in request.fields)]
    values = ", ".join(f"unnest(?::{type_}[])" for type_ in types)  # ten times as fast as cells
    step = 2_000
    for start in range(0, len(asked), step):
        part = asked[start : start + step]
        cells = [[one.request[name] for one in part] for name in request.names]
        numbers = [*range(start, start + len(part))]
        connection.execute(
            f"insert into request select {values}", [numbers, [one.at for one in part], *cells]
        )


def _both_refuse(
    connection: duckdb.DuckDBPyConnection,
    definition: Definition,
    package: ModelPackage,
    asked: Sequence[Asked],
    findings: _Findings,
) -> None:
    for one in asked:
        _load(connection, definition.request, [one])
        for path, query in (("training", definition.plan.sql), ("batch", package.manifest.sql)):
            try:
                connection.execute(query).fetchall()
            except duckdb.Error:
                continue
            findings.add(t("{request}: online refuses it, {path} does not", request=one.request, path=path))


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    found: dict[str, Any] = connection.execute(f"{query} order by _id").fetchnumpy()
    return found


def _compare(
    connection: duckdb.DuckDBPyConnection,
    definition: Definition,
    package: ModelPackage,
    native: Native,
    asked: Sequence[Asked],
    online: Sequence[Row],
    findings: _Findings,
) -> float:
    _load(connection, definition.request, asked)
    requests = [one.request for one in asked]
    try:
        training = _columns(connection, definition.plan.batch_sql(("_id",)))
        batch = _columns(connection, carried(package.manifest.sql))
    except duckdb.Error as error:
        findings.add(t("DuckDB refuses rows that online accepts: {error}", error=str(error).splitlines()[0]))
        return math.inf
    for place, encoder in enumerate(package.manifest.encoders):
        for path, columns in (("training", training), ("batch", batch)):
            _same_feature(path, encoder.feature, columns, [row[place] for row in online], requests, findings)
    if findings.count:
        return math.inf
    matrices = {
        "training": encode_columns(native.encoders, training),
        "batch": encode_columns(package.manifest.encoders, batch),
        "online": package.matrix(online),
    }
    _same_matrix(matrices, native.encoders, requests, findings)
    margin = native.margin(matrices["training"])
    answers = {
        "training": calibrated(margin, native.calibration["a"], native.calibration["b"]),
        "batch": package.score_matrix(matrices["batch"]),
        "online": np.concatenate([package.score(rows) for rows in _portions(online)]),
    }
    thresholds = {"training": native.threshold, "batch": package.threshold, "online": package.threshold}
    return _same_answers(answers, thresholds, requests, findings)


def carried(query: str) -> str:
    """The feature SQL of a package with the row's ``_id`` before the features."""
    from relevo.sql.plan import SELECT

    return f'{SELECT}request."_id" AS "_id", {query.removeprefix(SELECT)}'


def _same_feature(
    path: str,
    feature: str,
    columns: Mapping[str, Any],
    online: Sequence[Any],
    requests: Sequence[Mapping[str, Any]],
    findings: _Findings,
) -> None:
    column = columns[feature]
    hidden = np.ma.getmaskarray(column)
    values = np.ma.getdata(column).tolist()
    for place, (value, null, ours) in enumerate(zip(values, hidden, online, strict=True)):
        theirs = None if null else value
        if not _equal(theirs, ours):
            findings.add(
                t(
                    "{request}: the feature “{feature}” is {ours} online and {theirs} in {path}",
                    request=requests[place],
                    feature=feature,
                    ours=repr(ours),
                    theirs=repr(theirs),
                    path=path,
                )
            )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=ULP)
    return a == b and (a is None) == (b is None)


def _same_matrix(
    matrices: Mapping[str, NDArray[np.float32]],
    encoders: Sequence[Encoder],
    requests: Sequence[Mapping[str, Any]],
    findings: _Findings,
) -> None:
    reference = matrices["training"]
    for path in ("batch", "online"):
        other = matrices[path]
        differs = ~((reference == other) | (np.isnan(reference) & np.isnan(other)))
        for row, place in np.argwhere(differs).tolist():
            findings.add(
                t(
                    "{request}: the feature “{feature}” is encoded as {ours} in {path} and {theirs} in training",
                    request=requests[row],
                    feature=encoders[place].feature,
                    ours=float(other[row, place]),
                    theirs=float(reference[row, place]),
                    path=path,
                )
            )


def _portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Singles first, then growing portions: the numbers of rows that one call of the service may hold."""
    start, turn = 0, 0
    while start < len(rows):
        size = 1 if turn < 500 else 1 + turn % 64  # noqa: PLR2004 - as many singles as take a moment
        yield rows[start : start + size]
        start, turn = start + size, turn + 1


def _same_answers(
    answers: Mapping[str, NDArray[np.float64]],
    thresholds: Mapping[str, float],
    requests: Sequence[Mapping[str, Any]],
    findings: _Findings,
) -> float:
    reference = answers["training"]
    largest = 0.0
    for path in ("batch", "online"):
        gap = np.abs(answers[path] - reference)
        largest = max(largest, float(gap.max()))
        flipped = (answers[path] >= thresholds[path]) != (reference >= thresholds["training"])
        for row in np.flatnonzero(~(gap <= TOLERANCE) | flipped).tolist():
            findings.add(
                t(
                    "{request}: the probability is {ours:.9f} in {path} and {theirs:.9f} in training",
                    request=requests[row],
                    ours=float(answers[path][row]),
                    theirs=float(reference[row]),
                    path=path,
                )
            )
    return largest
