"""From sqlglot's expressions to typed nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from relevo.sql.arithmetic import ARITHMETIC, arithmetic, boolean, cast, literal, negative, null
from relevo.sql.calls import call
from relevo.sql.dates import extract
from relevo.sql.fold import FOLDED, MOVED, fold
from relevo.sql.operators import OPERATORS
from relevo.sql.predicates import (
    COMPARISONS,
    between,
    case_when,
    choice,
    comparison,
    connector,
    identity,
    like,
    membership,
    negation,
    plain_call,
)
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relevo.sql.graph import Graph, Value

_WRITTEN = {
    exp.Window: "a window function", exp.Subquery: "a subquery", exp.Select: "a subquery", exp.Exists: "a subquery",
    exp.Star: "*", exp.Placeholder: "a parameter", exp.Parameter: "a parameter", exp.Bracket: "[…]",
    exp.Array: "a list", exp.Struct: "a struct", exp.Lambda: "a lambda", exp.JSONExtract: "->",
    exp.RegexpLike: "~", exp.SimilarTo: "SIMILAR TO", exp.Glob: "GLOB", exp.Collate: "COLLATE",
    exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseNot: "~", exp.CurrentDate: "current_date",
    exp.CurrentTimestamp: "current_timestamp", exp.Interval: "an interval", exp.Dot: ".",
}  # fmt: skip


class Lowering:
    """Lowers the expressions of one field; every mistake is reported and gives None."""

    def __init__(
        self,
        graph: Graph,
        column: Callable[[exp.Column], Value | None],
        report: Callable[[str, str], None],
    ) -> None:
        self.graph = graph
        self.column = column
        self.report = report

    def value(self, node: exp.Expression) -> Value | None:
        """Lower ``node``; None when a mistake was reported."""
        if isinstance(node, exp.Paren):
            return self.value(node.this)
        if isinstance(node, exp.Column):
            return self.column(node)
        if isinstance(node, exp.Anonymous):
            return call(self, str(node.this), list(node.expressions))
        for kinds, lower in _RULES:
            if isinstance(node, kinds):
                return lower(self, node)
        self.refuse(node)
        return None

    def values(self, nodes: Sequence[exp.Expression]) -> list[Value] | None:
        """Lower all ``nodes``, reporting the mistakes of each; None when there was any."""
        found = [self.value(node) for node in nodes]
        return [value for value in found if value is not None] if None not in found else None

    def refuse(self, node: exp.Expression) -> None:
        """Report syntax that no row-by-row expression has."""
        written = next((name for kind, name in _WRITTEN.items() if isinstance(node, kind)), node.key.upper())
        self.report(
            t("{construct} cannot be used in a feature.", construct=written),
            t("Use the operators and functions of docs/features-sql.md, on one row's values."),
        )

    def typed(self, values: list[Value] | None, operators: Sequence[str], label: str) -> Value | None:
        """Apply the operator whose signature fits with the fewest conversions."""
        if values is None:
            return None
        fits = [
            (fit[0], name, fit[1])
            for name in operators
            if (fit := self.graph.match(name, values)) is not None
        ]
        if not fits:
            types = ", ".join("null" if value.kind == "null" else value.type for value in values)
            self.report(
                t("{function} does not take ({types}).", function=label, types=types),
                t("Write a CAST to the types that it takes."),
            )
            return None
        _, name, fitted = min(fits, key=lambda fit: fit[0])
        return self.apply(name, fitted, label)

    def apply(self, name: str, values: list[Value], label: str) -> Value | None:
        """Apply an operator; one that could fail has a column in it, or is calculated here."""
        fixed = OPERATORS[name].raises and all(self.graph.is_fixed(value) for value in values)
        read = name.startswith("text_to_") and self.graph.is_constant(values[0])  # a literal, checked before
        if not fixed or read or name in MOVED or any(self.graph.is_null(value) for value in values):
            return self.graph.apply(name, *values)
        constants = [self.graph.value_of(value) for value in values if self.graph.is_constant(value)]
        if name in FOLDED and len(constants) == len(values):
            folded = fold(name, [int(str(constant)) for constant in constants])
            if folded is not None:
                return self.graph.constant("integer", folded)
        self.report(
            t("{function} has no column in it here.", function=label),
            t("Write its result instead."),
        )
        return None

    def unified(self, values: list[Value] | None, label: str) -> list[Value] | None:
        """Give all ``values`` one type."""
        if values is None:
            return None
        same = self.graph.unify(values)
        if same is None:
            types = ", ".join(dict.fromkeys(value.type for value in values if value.kind != "null"))
            self.report(
                t("{function} mixes the types {types}.", function=label, types=types),
                t("Write a CAST so that all have one type."),
            )
        return same

    def connect(self, kind: str, values: list[Value]) -> Value:
        """AND or OR; from left to right when a later side could fail."""
        if any(self.graph.can_raise(value) for value in values[1:]):
            return self.graph.apply("and_then" if kind == "and" else "or_else", *values)
        return self.graph.apply(kind, *values)

    def negated(self, value: Value | None) -> Value | None:
        """NOT of a boolean."""
        return None if value is None else self.graph.apply("not", value)

    def case(self, values: list[Value], label: str) -> Value | None:
        """CASE of condition, value, condition, value, …, otherwise."""
        conditions, results = values[:-1:2], [*values[1::2], values[-1]]
        booleans = [self.graph.convert(condition, "boolean") for condition in conditions]
        same = self.unified(results, label)
        if same is None:
            return None
        arguments: list[Value] = []
        for condition, result in zip(booleans, same[:-1], strict=True):
            if condition is None:
                self.report(
                    t("A condition of {function} is not boolean.", function=label),
                    t("Compare it with something."),
                )
                return None
            arguments += [condition, result]
        return self.graph.apply("case", *arguments, same[-1])


_RULES: tuple[
    tuple[type[exp.Expression] | tuple[type[exp.Expression], ...], Callable[..., Value | None]], ...
] = (
    (exp.Literal, literal),
    (exp.Null, null),
    (exp.Boolean, boolean),
    (exp.Neg, negative),
    (tuple(ARITHMETIC), arithmetic),
    (tuple(COMPARISONS), comparison),
    ((exp.And, exp.Or), connector),
    (exp.Not, negation),
    (exp.Is, identity),
    (exp.In, membership),
    (exp.Between, between),
    ((exp.Like, exp.ILike, exp.Escape), like),
    (exp.Case, case_when),
    (exp.If, choice),
    ((exp.Cast, exp.TryCast), cast),
    (exp.Extract, extract),
    ((exp.Substring, exp.StrPosition, exp.Trim, exp.Abs), plain_call),
)
