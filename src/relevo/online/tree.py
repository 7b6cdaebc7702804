"""Read a tree from a manifest: every part checked against the allow-list before anything is made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from relevo.errors import PackageError
from relevo.online.moments import unknown_codes
from relevo.online.operators import LAZY, OPERATORS
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT = 1
TYPES = frozenset({"text", "integer", "double", "boolean", "date", "timestamp"})
FEATURE_TYPES = frozenset({"text", "integer", "double", "boolean"})
KEY_TYPES = TYPES - {"double"}
MOST_NODES = 20_000
MOST_COLUMNS = 4_096
LONGEST_NAME = 1_000
LONGEST_TEXT = 100_000
DEEPEST = 100
DEEPEST_BRANCH = 60
LARGEST_INTEGER = 2**63
MOST_PLACES = 15
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "double": (float, int),
    "boolean": (bool,),
}


@dataclass(frozen=True)
class Node:
    """``kind`` is column, joined, constant, or an operator's name; ``value`` is a slot or a constant."""

    kind: str
    type: str
    arguments: tuple[int, ...] = ()
    value: object = None
    join: int = -1
    raises: bool = False
    may_be_null: bool = True


@dataclass(frozen=True)
class Lookup:
    """A look-up table: its name, its key columns and its used columns, as (name, type)."""

    name: str
    key: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Tree:
    """A checked tree; ``joins`` are (look-up, key nodes), ``features`` are (name, type, node)."""

    request: tuple[tuple[str, str], ...]
    lookups: tuple[Lookup, ...]
    joins: tuple[tuple[int, tuple[int, ...]], ...]
    nodes: tuple[Node, ...]
    features: tuple[tuple[str, str, int], ...]


def refuse(reason: str) -> NoReturn:
    """Raise PackageError."""
    raise PackageError(
        t(
            "The package's feature tree is refused: {reason}. Package the model again with this version.",
            reason=reason,
        )
    )


def read_tree(tree: Mapping[str, object]) -> Tree:
    """Check everything; raises PackageError at the first foreign part."""
    _fields(tree, {"format", "request", "lookups", "joins", "nodes", "features"}, "tree")
    if type(tree["format"]) is not int or tree["format"] != FORMAT:
        refuse(f"format {tree['format']!r:.50} is not {FORMAT}")
    request = _columns(tree["request"], TYPES, "request")
    lookups = tuple(_lookup(entry) for entry in _list(tree["lookups"], MOST_COLUMNS, "lookups"))
    joins = tuple(_join(entry, lookups) for entry in _list(tree["joins"], MOST_COLUMNS, "joins"))
    reader = _Nodes(request, lookups, joins)
    for entry in _list(tree["nodes"], MOST_NODES, "nodes"):
        reader.add(entry)
    nodes = tuple(reader.nodes)
    _check_joins(joins, lookups, nodes, reader.uses)
    features = tuple(_feature(entry, nodes) for entry in _list(tree["features"], MOST_COLUMNS, "features"))
    _distinct([name for name, _, _ in features], "features")
    return Tree(request, lookups, joins, nodes, features)


def _fields(entry: object, wanted: set[str], where: str) -> None:
    if not isinstance(entry, dict) or set(entry) != wanted:
        refuse(f"{where} does not have the fields {', '.join(sorted(wanted))}")


def _list(value: object, most: int, where: str) -> list[object]:
    if type(value) is not list or len(value) > most:
        refuse(f"{where} is not a list of at most {most}")
    return value


def _name(value: object, where: str) -> str:
    if type(value) is not str or not value or len(value) > LONGEST_NAME:
        refuse(f"a name in {where} is not a text of 1 to {LONGEST_NAME} characters")
    return value


def _index(value: object, below: int, where: str) -> int:
    if type(value) is not int or not 0 <= value < below:
        refuse(f"{where} refers to {value!r:.50}, of {below}")
    return value


def _columns(value: object, types: Iterable[str], where: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for entry in _list(value, MOST_COLUMNS, where):
        pair = _list(entry, 2, where)
        if len(pair) != 2 or type(pair[1]) is not str or pair[1] not in types:  # noqa: PLR2004 - name and type
            refuse(f"a column of {where} is not a name and a type")
        found.append((_name(pair[0], where), pair[1]))
    _distinct([name for name, _ in found], where)
    return tuple(found)


def _distinct(names: list[str], where: str) -> None:
    if len(set(names)) < len(names):
        refuse(f"{where} has a name twice")


def _lookup(entry: object) -> Lookup:
    _fields(entry, {"name", "key", "columns"}, "a look-up")
    assert isinstance(entry, dict)
    key = _columns(entry["key"], KEY_TYPES, "a look-up's key")
    if not key:
        refuse("a look-up has no key")
    return Lookup(_name(entry["name"], "lookups"), key, _columns(entry["columns"], TYPES, "a look-up"))


def _join(entry: object, lookups: tuple[Lookup, ...]) -> tuple[int, tuple[int, ...]]:
    _fields(entry, {"lookup", "on"}, "a join")
    assert isinstance(entry, dict)
    lookup = _index(entry["lookup"], len(lookups), "a join")
    on = _list(entry["on"], len(lookups[lookup].key), "a join's on")
    if len(on) != len(lookups[lookup].key):
        refuse("a join does not have the look-up's whole key")
    return lookup, tuple(_index(node, MOST_NODES, "a join's on") for node in on)


def _check_joins(
    joins: tuple[tuple[int, tuple[int, ...]], ...],
    lookups: tuple[Lookup, ...],
    nodes: tuple[Node, ...],
    uses: list[int],
) -> None:
    """A join's key has the key's types, and may build on earlier joins only."""
    _distinct([lookup.name for lookup in lookups], "lookups")
    for number, (lookup, on) in enumerate(joins):
        for node, (_, type_) in zip(on, lookups[lookup].key, strict=True):
            if node >= len(nodes) or nodes[node].type != type_ or uses[node] >= number:
                refuse(f"join {number} is not by a key of its own types")


def _feature(entry: object, nodes: tuple[Node, ...]) -> tuple[str, str, int]:
    _fields(entry, {"name", "type", "expr"}, "a feature")
    assert isinstance(entry, dict)
    index = _index(entry["expr"], len(nodes), "a feature")
    if entry["type"] != nodes[index].type or nodes[index].type not in FEATURE_TYPES:
        refuse("a feature does not have its expression's type")
    return _name(entry["name"], "features"), nodes[index].type, index


class _Nodes:
    """Checks the nodes one by one, in order; ``uses`` has each one's highest join."""

    def __init__(
        self,
        request: tuple[tuple[str, str], ...],
        lookups: tuple[Lookup, ...],
        joins: tuple[tuple[int, tuple[int, ...]], ...],
    ) -> None:
        self.nodes: list[Node] = []
        self.uses: list[int] = []
        self._depths: list[int] = []
        self._request = request
        self._joined = [(*lookups[lookup].key, *lookups[lookup].columns) for lookup, _ in joins]

    def add(self, entry: object) -> None:
        parts = _list(entry, MOST_NODES, "a node")
        kind = parts[0] if parts else None
        if type(kind) is not str:
            refuse("a node has no operator")
        if kind in ("column", "joined", "constant"):
            node = self._leaf(kind, parts[1:])
        elif kind in OPERATORS:
            node = self._operation(kind, [_index(part, len(self.nodes), "a node") for part in parts[1:]])
        else:
            refuse(f"the operator {kind!r:.50} is unknown")
        self.uses.append(max([node.join, *(self.uses[argument] for argument in node.arguments)]))
        self._depths.append(1 + max((self._depths[argument] for argument in node.arguments), default=0))
        self._check_depth(node)
        self.nodes.append(node)

    def _check_depth(self, node: Node) -> None:
        lazy = node.arguments[1:] if node.kind in LAZY else ()
        if self._depths[-1] > DEEPEST or any(
            self.nodes[argument].raises and self._depths[argument] > DEEPEST_BRANCH for argument in lazy
        ):
            refuse("an expression is nested too deeply")

    def _leaf(self, kind: str, parts: list[object]) -> Node:
        if len(parts) != (1 if kind == "column" else 2):
            refuse(f"a {kind} has {len(parts)} arguments")
        if kind == "column":
            slot = _index(parts[0], len(self._request), "a column")
            return Node(kind, self._request[slot][1], value=slot)
        if kind == "joined":
            join = _index(parts[0], len(self._joined), "a look-up column")
            slot = _index(parts[1], len(self._joined[join]), "a look-up column")
            return Node(kind, self._joined[join][slot][1], value=slot, join=join)
        return _constant(parts[0], parts[1])

    def _operation(self, name: str, arguments: list[int]) -> Node:
        given = [self.nodes[argument] for argument in arguments]
        operator = OPERATORS[name]
        result = _case_type(given) if name == "case" else self._match(name, given)
        _check_constants(name, given)
        raises = operator.raises or any(node.raises for node in given)
        return Node(name, result, tuple(arguments), raises=raises, may_be_null=_nullable(name, given))

    def _match(self, name: str, given: list[Node]) -> str:
        """Compare the arguments with the signature and give the result's type."""
        wanted = list(OPERATORS[name].arguments)
        if wanted[-1].endswith("..."):
            last = wanted.pop().removesuffix("...")
            wanted += [last] * max(1, len(given) - len(wanted))
        if len(wanted) != len(given):
            refuse(f"{name} has {len(given)} arguments")
        for node, types in zip(given, wanted, strict=True):
            options = types.rstrip("!").split("|")
            if options[0] in ("any", "plain"):
                options = [given[0].type] if options[0] == "any" or given[0].type != "double" else []
            constant = node.kind == "constant" and node.value is not None
            if node.type not in options or (types.endswith("!") and not constant):
                refuse(f"{name} was given a {node.type}")
        return given[0].type if OPERATORS[name].result == "any" else OPERATORS[name].result


def _case_type(given: list[Node]) -> str:
    if len(given) < 3 or len(given) % 2 == 0:  # noqa: PLR2004 - condition, value, otherwise
        refuse(f"case has {len(given)} arguments")
    types = {node.type for node in (*given[1::2], given[-1])}
    if len(types) != 1 or any(node.type != "boolean" for node in given[:-1:2]):
        refuse("case mixes types")
    return types.pop()


def _nullable(name: str, given: list[Node]) -> bool:
    nulls = [node.may_be_null for node in given]
    if name in ("is_null", "is_true", "is_false", "distinct", "distinct_double", "concat"):
        return False
    if name in ("coalesce", "greatest", "least"):
        return all(nulls)
    if name == "case":
        return any([*nulls[1::2], nulls[-1]])
    return OPERATORS[name].may_be_null or any(nulls)


def _check_constants(name: str, given: list[Node]) -> None:
    """Bounds of the constants that shape an operator."""
    if name in ("round_places", "round_integer") and abs(int(str(given[1].value))) > MOST_PLACES:
        refuse(f"{name} has too many places")
    if name == "strftime" and unknown_codes(str(given[1].value)):
        refuse("strftime has an unknown code")
    if name == "like_escape":
        form, mark = str(given[1].value), str(given[2].value)
        if len(mark) != 1 or form.replace(mark * 2, "").endswith(mark):
            refuse("a pattern ends in its escape character")


def _constant(type_: object, value: object) -> Node:
    if type(type_) is not str or type_ not in TYPES:
        refuse("a constant has no type")
    if value is None:
        return Node("constant", type_, value=None)
    kinds = _KINDS.get(type_, ())
    if type(value) not in kinds:
        refuse(f"a constant is not a {type_}")
    if isinstance(value, str) and (
        len(value) > LONGEST_TEXT or any("\ud800" <= c <= "\udfff" for c in value)
    ):
        refuse("a constant is too long, or not Unicode")
    if type(value) is int and not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        refuse("a constant does not fit 64 bits")
    if type_ == "double":
        assert isinstance(value, float | int)
        if not math.isfinite(value):
            refuse("a constant is not finite")
        value = float(value)
    return Node("constant", type_, value=value, may_be_null=False)
