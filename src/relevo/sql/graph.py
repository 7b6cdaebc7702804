"""The typed tree under construction: equal sub-expressions are one node."""

from __future__ import annotations

from dataclasses import dataclass

from relevo.sql.operators import LAZY, OPERATORS, reads_as

# The operators that may answer a null argument with something else than null.
NULL_ANSWERS = frozenset(
    (
        *LAZY,
        "and",
        "or",
        "is_null",
        "is_true",
        "is_false",
        "distinct",
        "distinct_double",
        "concat",
        "greatest",
        "least",
    )
)
LEAVES = ("column", "joined", "constant")
COERCIONS = {("integer", "double"), ("date", "timestamp")}


@dataclass(frozen=True)
class Value:
    """A node of the graph. ``kind`` is a text literal's or null's own, as those adapt to their company."""

    index: int
    type: str
    kind: str = ""


class Graph:
    """A flat list of nodes; each node's arguments are earlier nodes.

    ``["column", slot]``, ``["joined", join, slot]``, ``["constant", type, value]`` and
    ``[operator, argument, …]``.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[object, ...]] = []
        self.types: list[str] = []
        self.raises: list[bool] = []
        self.fixed: list[bool] = []
        self._known: dict[str, int] = {}

    def _put(self, node: tuple[object, ...], type_: str, *, raises: bool) -> int:
        # repr tells 1, 1.0 and True apart, and 0.0 from -0.0
        key = f"{type_}:{node!r}"
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
            self.types.append(type_)
            self.raises.append(raises)
            inner = [] if node[0] in LEAVES else [int(str(argument)) for argument in node[1:]]
            self.fixed.append(node[0] == "constant" or (bool(inner) and all(self.fixed[i] for i in inner)))
        return self._known[key]

    def column(self, slot: int, type_: str) -> Value:
        """Read the request's column ``slot``."""
        return Value(self._put(("column", slot), type_, raises=False), type_)

    def joined(self, join: int, slot: int, type_: str) -> Value:
        """Read a joined look-up row: its key columns first, then its other columns."""
        return Value(self._put(("joined", join, slot), type_, raises=False), type_)

    def constant(self, type_: str, value: object) -> Value:
        """Make a constant; dates and timestamps as ISO texts, ``None`` for a null of this type."""
        index = self._put(("constant", type_, value), type_, raises=False)
        return Value(index, type_, "null" if value is None else "literal")

    def value_of(self, value: Value) -> object:
        """The constant behind ``value``."""
        return self.nodes[value.index][2]

    def apply(self, name: str, *arguments: Value) -> Value:
        """Apply an operator to arguments that already have its types."""
        operator = OPERATORS[name]
        result = operator.result
        if result == "any":
            result = arguments[1 if name == "case" else 0].type
        if name not in NULL_ANSWERS and any(self.is_null(argument) for argument in arguments):
            return Value(
                self.constant(result, None).index, result
            )  # DuckDB does not evaluate the others either
        raises = operator.raises or any(self.raises[argument.index] for argument in arguments)
        node = (name, *(argument.index for argument in arguments))
        return Value(self._put(node, result, raises=raises), result)

    def is_fixed(self, value: Value) -> bool:
        """Tell whether no column is in it."""
        return self.fixed[value.index]

    def is_constant(self, value: Value) -> bool:
        """Tell whether it is one written, or folded, constant."""
        return self.nodes[value.index][0] == "constant"

    def is_null(self, value: Value) -> bool:
        """Tell whether the value is a written null."""
        node = self.nodes[value.index]
        return node[0] == "constant" and node[2] is None

    def can_raise(self, value: Value) -> bool:
        """Tell whether DuckDB may stop at some value of this expression."""
        return self.raises[value.index]

    def convert(self, value: Value, target: str) -> Value | None:
        """Adapt ``value`` to ``target`` where DuckDB would without a written cast; None otherwise."""
        if value.type == target:
            return value
        if value.kind:
            return self._adapt(value, target)
        if (value.type, target) in COERCIONS:
            return self.apply(f"{value.type}_to_{target}", value)
        return None

    def _adapt(self, value: Value, target: str) -> Value | None:
        """Read a literal, or a null, as another type."""
        if value.kind == "null":
            return self.constant(target, None)
        if (value.type, target) == ("integer", "double"):
            return self.constant("double", float(str(self.value_of(value))))
        moment = value.type == "text" and target in ("date", "timestamp")
        if moment and reads_as(str(self.value_of(value)), target):
            return self.apply(f"text_to_{target}", Value(value.index, "text"))
        return None

    def common_type(self, values: list[Value]) -> str | None:
        """The type that all ``values`` can take; None when there is none. Only nulls are integer."""
        settled = {value.type for value in values if not value.kind}
        flexible = {value.type for value in values if value.kind == "literal"}
        if "text" in flexible and settled and settled <= {"date", "timestamp"}:
            flexible.discard("text")
        found = settled | flexible
        if not found:
            return "integer"
        if len(found) == 1:
            return found.pop()
        for pair in COERCIONS:
            if found == set(pair):
                return pair[1]
        return None

    def unify(self, values: list[Value]) -> list[Value] | None:
        """Give all ``values`` their common type."""
        common = self.common_type(values)
        if common is None:
            return None
        converted = [self.convert(value, common) for value in values]
        return [value for value in converted if value is not None] if None not in converted else None

    def match(self, name: str, values: list[Value]) -> tuple[int, list[Value]] | None:
        """Fit ``values`` to an operator's signature: how many had to be converted, and the result."""
        wanted = list(OPERATORS[name].arguments)
        if name in LAZY or len(wanted) != len(values):
            return None
        if wanted[0] in ("any", "plain"):
            unified = self.unify(values)
            if unified is None or (wanted[0] == "plain" and unified[0].type == "double"):
                return None
            return 0, unified
        fitted: list[Value] = []
        changed = 0
        for value, types in zip(values, wanted, strict=True):
            options = types.rstrip("!").split("|")
            if value.type in options and value.kind != "null":
                fitted.append(value)
                continue
            converted = next(
                (c for option in options if (c := self.convert(value, option)) is not None), None
            )
            if converted is None:
                return None
            changed += 1
            fitted.append(converted)
        return changed, fitted
