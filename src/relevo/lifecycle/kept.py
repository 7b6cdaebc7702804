"""Whether what a step made is still there: what was lost is made anew, whatever the ledger says was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.lake import Lake
    from relevo.lifecycle.walk import Walk
    from relevo.records import Snapshot

    Kept = Callable[[Walk, Mapping[str, Any]], bool]
    """Asked of a step's output, as the ledger has it."""


def holds(lake: Lake, snapshot: Snapshot) -> bool:
    """Whether the lake still has these rows at this version: where a lake was lost, its number is another's by now.

    Of raw rows, which bear no transaction of the snapshot's own, whether the table has come so far.
    """
    kind = snapshot.table.partition("/")[0]
    if kind == "raw":
        return lake.exists(snapshot.table) and lake.version(snapshot.table) >= snapshot.version
    return lake.done(snapshot.table, f"{kind}:{snapshot.id}") == snapshot.version


def tables(walk: Walk, output: Mapping[str, Any]) -> bool:
    """Whether the lake has the snapshots of the step."""
    made = output["snapshots"].values() if "snapshots" in output else [output["snapshot"]]
    found = [walk.workspace.ledger.snapshot(id_, project=walk.definition.name) for id_ in made]
    return all(one is not None and holds(walk.workspace.lake, one) for one in found)


def blob(name: str) -> Kept:
    """Whether the blob is there that the step names so, if it names one."""
    return lambda walk, output: not output.get(name) or walk.workspace.blobs.has(output[name])


def fit(walk: Walk, output: Mapping[str, Any]) -> bool:
    """Whether both files of a fit's model are there."""
    return all(walk.workspace.blobs.has(output["fit"][name]) for name in ("native", "onnx"))


def package(walk: Walk, output: Mapping[str, Any]) -> bool:
    """Whether the package is whole."""
    return not walk.workspace.blobs.defect(output["digest"])
