"""The canonical DuckDB SQL of a node, and how long it would be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relevo.sql.operators import OPERATORS, SQL_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.sql.graph import Graph

LARGEST = 20_000
_SLOT = re.compile(r"\{([012])\}")


def text_literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def literal(type_: str, value: object) -> str:
    """Write a constant so that DuckDB gives it exactly this type and value."""
    if value is None:
        return f"CAST(NULL AS {SQL_TYPES[type_]})"
    if type_ == "text":
        return text_literal(str(value))
    if type_ == "boolean":
        return "true" if value else "false"
    if type_ == "double":
        digits = repr(value)
        return f"({digits if 'e' in digits else digits + 'e0'})"
    return f"CAST({value} AS BIGINT)"


def sizes(graph: Graph) -> list[int]:
    """How many operators each node's SQL has once shared parts are written out."""
    found: list[int] = []
    for node in graph.nodes:
        if node[0] in ("column", "joined", "constant"):
            found.append(1)
            continue
        operator, arguments = OPERATORS[str(node[0])], [int(str(a)) for a in node[1:]]
        weights = [max(1, operator.sql.count(f"{{{position}}}")) for position in range(len(arguments))]
        if node[0] in ("and_then", "or_else", "coalesce"):
            weights = [2] * len(arguments)
        size = 1 + sum(weight * found[a] for weight, a in zip(weights, arguments, strict=True))
        found.append(min(size, LARGEST * LARGEST))
    return found


class Renderer:
    """Writes nodes as SQL; ``column`` and ``joined`` name the leaves."""

    def __init__(self, graph: Graph, column: Callable[[int], str], joined: Callable[[int, int], str]) -> None:
        self._graph = graph
        self._column = column
        self._joined = joined

    def sql(self, index: int) -> str:
        """Write the node ``index``; every operator brings its own parentheses."""
        node = self._graph.nodes[index]
        if node[0] == "column":
            return self._column(int(str(node[1])))
        if node[0] == "joined":
            return self._joined(int(str(node[1])), int(str(node[2])))
        if node[0] == "constant":
            return literal(str(node[1]), node[2])
        return self._apply(str(node[0]), [int(str(argument)) for argument in node[1:]])

    def _apply(self, name: str, arguments: list[int]) -> str:
        if name == "add_interval":
            months, days, micros = (self._graph.nodes[argument][2] for argument in arguments[1:])
            return (
                f"({self.sql(arguments[0])} + INTERVAL '{months} months {days} days {micros} microseconds')"
            )
        written = [self.sql(argument) for argument in arguments]
        if name == "coalesce" and any(self._graph.raises[argument] for argument in arguments[1:]):
            return _first_known(written)
        template = OPERATORS[name].sql
        if name in _VARIADIC:
            return _VARIADIC[name](written)
        if OPERATORS[name].arguments[-1].endswith("..."):
            return template.format(*written, all=", ".join(written), rest=", ".join(written[1:]))
        return _SLOT.sub(lambda slot: written[int(slot[1])], template)


def _case(parts: list[str]) -> str:
    branches = "".join(
        f" WHEN {when} THEN {then}" for when, then in zip(parts[:-1:2], parts[1::2], strict=True)
    )
    return f"CASE{branches} ELSE {parts[-1]} END"


def _first_known(parts: list[str]) -> str:
    # DuckDB calculates parts that repeat inside COALESCE beforehand, at all rows; inside CASE it does not.
    branches = "".join(f" WHEN {part} IS NOT NULL THEN {part}" for part in parts[:-1])
    return f"CASE{branches} ELSE {parts[-1]} END"


def _and_then(parts: list[str]) -> str:
    # DuckDB's own AND evaluates all sides at all rows, except inside CASE: this form stops at the first false.
    branches = "".join(f" WHEN (NOT {part}) THEN false" for part in parts)
    return f"CASE{branches} ELSE ({' AND '.join(parts)}) END"


def _or_else(parts: list[str]) -> str:
    branches = "".join(f" WHEN {part} THEN true" for part in parts)
    return f"CASE{branches} ELSE ({' OR '.join(parts)}) END"


_VARIADIC: dict[str, Callable[[list[str]], str]] = {
    "and": lambda parts: f"({' AND '.join(parts)})",
    "or": lambda parts: f"({' OR '.join(parts)})",
    "and_then": _and_then,
    "or_else": _or_else,
    "case": _case,
}
