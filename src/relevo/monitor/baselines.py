"""The champion's baseline: the examples that it learned from and was judged on, counted in blocks of a unit.

Counting reads every example once and is kept in the workspace by what it was made of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import digest as digests
from relevo import disk
from relevo.baseline import Baseline
from relevo.bins import SCORE, VERSION, Bins
from relevo.encoding import encode_columns
from relevo.errors import DataError, LedgerError
from relevo.examine import phases
from relevo.lake import explained
from relevo.lifecycle import kept
from relevo.multivariate import Reconstruction
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.package import ModelPackage
    from relevo.records import Snapshot
    from relevo.workspace import Workspace

CHUNK = 100_000
SAMPLE = 20_000
"""Rows that the reconstruction learns from."""
_FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """What a version's windows of one unit are compared with."""

    bins: Bins
    baseline: Baseline
    reconstruction: Reconstruction | None
    derived: frozenset[str] = frozenset()
    """Features that come from histories: what is new in them came with what happened, and is no broken input."""


def derived(package: ModelPackage) -> frozenset[str]:
    """The features that depend on what is looked up as of a time."""
    histories = {str(history["name"]) for history in package.histories}
    return frozenset(name for name, used in package.online.looks_up.items() if used & histories)


def learned_from(workspace: Workspace, package: ModelPackage) -> Snapshot:
    """The examples that a package was made of and judged on; raises ``LedgerError`` when the ledger lacks them."""
    identity = str(package.manifest.data["examples"])
    found = workspace.ledger.snapshot(identity, project=package.manifest.project)
    if found is None:
        raise LedgerError(t("The ledger has no snapshot {id}.", id=identity))
    return found


def rows_learned_from(workspace: Workspace, package: ModelPackage) -> Snapshot:
    """``learned_from`` where the lake still has those rows; raises ``DataError`` when it was lost and made anew."""
    found = learned_from(workspace, package)
    if not kept.holds(workspace.lake, found):
        raise DataError(
            t(
                "The lake has no longer the rows that the champion learned from: there is nothing to compare new ones"
                " with. `relevo run` makes a version of the rows that there are."
            )
        )
    return found


def reference(workspace: Workspace, package: ModelPackage, unit: str) -> Reference:
    """Give the reference of a package for windows of a unit, counting it the first time.

    Of ``batch`` the blocks are the batches that the examples came in.
    """
    bins = Bins.of(package)
    assert bins is not None  # what was released has a reference
    identity = digests.of_json([_FORMAT, VERSION, package.digest, learned_from(workspace, package).id, unit])
    path = workspace.root / "baselines" / f"{identity}.json"
    if path.is_file():
        with disk.explained(path):
            made = _read(bins, json.loads(path.read_text()))
    else:
        made = _count(workspace, package, bins, rows_learned_from(workspace, package), unit)
        _keep(workspace, path, made)
    return replace(made, derived=derived(package))


def _keep(workspace: Workspace, path: Path, made: Reference) -> None:
    data = {
        "baseline": made.baseline.to_json(),
        "reconstruction": None if made.reconstruction is None else made.reconstruction.to_json(),
    }
    with disk.explained(path), workspace.scratch() as scratch:
        path.parent.mkdir(exist_ok=True)
        disk.write_synced(scratch / path.name, json.dumps(data).encode())
        disk.publish(scratch / path.name, path)


def _read(bins: Bins, data: Mapping[str, Any]) -> Reference:
    found = data["reconstruction"]
    made = None if found is None else Reconstruction.of_json(found)
    return Reference(bins, Baseline.of_json(data["baseline"]), made)


def _count(
    workspace: Workspace, package: ModelPackage, bins: Bins, snapshot: Snapshot, unit: str
) -> Reference:
    lake = workspace.lake
    features = [encoder.feature for encoder in package.manifest.encoders]
    with explained(lake.root), lake.connect() as connection:
        lake.bind(connection, snapshot.table, as_="examples", version=snapshot.version)
        block = block_of(unit, timed=package.manifest.data.get("from") is not None)
        connection.execute(f"create temp view blocks as select {block} as _block, * from examples")
        starts = connection.execute("select distinct _block from blocks order by 1").fetchnumpy()["_block"]
        made = _fitted(connection, package, features)
        counts = np.zeros((len(starts), bins.size), np.int64)
        errors = np.zeros((len(starts), 3))
        places = {start: place for place, start in enumerate(starts.tolist())}
        for start, columns, held in _pieces(connection, features):
            matrix = encode_columns(package.manifest.encoders, columns)
            scores = package.score_matrix(matrix[held]) if held.any() else ()
            counts[places[start]] += bins.columns(columns, scores)
            if made is not None:
                errors[places[start]] += made.errors(matrix)
    _score_once(bins, package, counts)
    timed = unit != "batch" and np.issubdtype(starts.dtype, np.datetime64)
    phase = phases(unit, starts) if timed else np.zeros(len(starts), np.int64)
    return Reference(
        bins, Baseline(bins.digest, unit, counts, phase, errors if made is not None else None), made
    )


def _score_once(bins: Bins, package: ModelPackage, counts: NDArray[np.int64]) -> None:
    """Where no rows are held out, since every row judged out of fold, take the profile's scores as one block."""
    score = next(signal for signal in bins.signals if signal.name == SCORE)
    if len(counts) and not score.of(counts).any():
        score.of(counts[0])[:] = score.of(bins.reference(package.reference))


def block_of(unit: str, *, timed: bool) -> str:
    """SQL of the block that an example belongs to: when its window began, or the piece that it came in."""
    if timed and unit != "batch":
        return f"cast(date_trunc('{unit}', _time) as timestamp)"
    return "case when contains(_id, ':') then split_part(_id, ':', 1) else '' end"


def _fitted(
    connection: DuckDBPyConnection, package: ModelPackage, features: list[str]
) -> Reconstruction | None:
    names = ", ".join(map(quote, features))
    found = connection.execute(f"select {names} from blocks order by md5(_id) limit {SAMPLE}").fetchnumpy()
    return Reconstruction.fit(encode_columns(package.manifest.encoders, found))


def _pieces(
    connection: DuckDBPyConnection, features: list[str]
) -> Iterator[tuple[Any, Mapping[str, Any], NDArray[np.bool_]]]:
    """Rows of one block at a time, at most ``CHUNK``: the block, its features, and which rows were held out."""
    from arro3.core import RecordBatchReader, Table

    names = ", ".join(map(quote, features))
    query = connection.sql(f"select _block, _part = 'test' as _held, {names} from blocks order by _block")
    import duckdb

    with duckdb.connect(config={"threads": 1}) as reader:
        for batch in RecordBatchReader.from_arrow(query):
            if not batch.num_rows:
                continue
            reader.register("piece", Table.from_batches([batch]))
            found = reader.execute("from piece").fetchnumpy()
            reader.unregister("piece")
            blocks = found["_block"]
            for start in np.unique(blocks):
                mine = blocks == start
                columns = {name: found[name][mine] for name in features}
                yield (
                    start.item() if hasattr(start, "item") else start,
                    columns,
                    np.asarray(found["_held"][mine]),
                )
