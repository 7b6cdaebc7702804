"""The tree as JSON: what ``relevo.online`` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.sql.graph import LEAVES
from relevo.sql.operators import LAZY
from relevo.sql.plan import key_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.sql.graph import Graph, Value
    from relevo.sql.plan import Column, LookupTable, LookupUse
    from relevo.sql.scope import Join

FORMAT = 1
DEEPEST = 100
DEEPEST_BRANCH = 60


def arguments_of(node: tuple[object, ...]) -> list[int]:
    """The nodes that a node takes."""
    return [] if node[0] in LEAVES else [int(str(argument)) for argument in node[1:]]


def too_deep(graph: Graph) -> set[int]:
    """The nodes nested deeper than the online compiler takes.

    What may fail inside a branch stays one Python expression there, so its own depth is bounded more.
    """
    depths: list[int] = []
    found: set[int] = set()
    for index, node in enumerate(graph.nodes):
        arguments = arguments_of(node)
        depths.append(1 + max((depths[argument] for argument in arguments), default=0))
        lazy = arguments[1:] if node[0] in LAZY else []
        branch = any(graph.raises[argument] and depths[argument] > DEEPEST_BRANCH for argument in lazy)
        if depths[index] > DEEPEST or branch or any(argument in found for argument in arguments):
            found.add(index)
    return found


def tree_of(
    graph: Graph,
    request: Sequence[Column],
    joins: Sequence[Join],
    uses: Sequence[tuple[LookupUse, LookupTable]],
    features: Sequence[tuple[str, Value]],
) -> dict[str, object]:
    """Write the nodes that joins and features need, renumbered, as JSON values."""
    wanted: set[int] = set()
    waiting = [value.index for join in joins for value in join.on] + [value.index for _, value in features]
    while waiting:
        index = waiting.pop()
        if index not in wanted:
            wanted.add(index)
            waiting += arguments_of(graph.nodes[index])
    place = {index: position for position, index in enumerate(sorted(wanted))}
    nodes: list[object] = []
    for index in sorted(wanted):
        node = graph.nodes[index]
        nodes.append(list(node) if node[0] in LEAVES else [node[0], *(place[a] for a in arguments_of(node))])
    tables = [use.name for use, _ in uses]
    return {
        "format": FORMAT,
        "request": [[column.name, column.type] for column in request],
        "lookups": [_lookup(use, table) for use, table in uses],
        "joins": [
            {"lookup": tables.index(join.table.name), "on": [place[value.index] for value in join.on]}
            for join in joins
        ],
        "nodes": nodes,
        "features": [
            {"name": name, "type": value.type, "expr": place[value.index]} for name, value in features
        ],
    }


def _lookup(use: LookupUse, table: LookupTable) -> dict[str, object]:
    types = {column.name: column.type for column in table.columns}
    return {
        "name": use.name,
        "key": [[column.name, column.type] for column in key_columns(table)],
        "columns": [[name, types[name]] for name in use.columns],
    }
