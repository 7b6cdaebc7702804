"""Literals, arithmetic and casts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sqlglot import exp

from relevo.sql.calls import as_text
from relevo.sql.dates import interval_of
from relevo.sql.graph import Value
from relevo.sql.operators import OPERATORS, reads_as
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.sql.lower import Lowering

LONGEST_INTEGER = 2**63 - 1
_CASTS = {
    exp.DType.BIGINT: "integer", exp.DType.INT: "integer", exp.DType.SMALLINT: "integer", exp.DType.TINYINT: "integer",
    exp.DType.DOUBLE: "double", exp.DType.BOOLEAN: "boolean", exp.DType.DATE: "date",
    exp.DType.TIMESTAMP: "timestamp", exp.DType.TIMESTAMPNTZ: "timestamp", exp.DType.DATETIME: "timestamp",
    exp.DType.VARCHAR: "text", exp.DType.TEXT: "text",
}  # fmt: skip


def literal(low: Lowering, node: exp.Expression) -> Value | None:
    """Read a number or a text: no decimals, a literal with a point is a double."""
    text = str(node.this)
    if node.args.get("is_string"):
        return low.graph.constant("text", text)
    if text.isdigit():
        if int(text) <= LONGEST_INTEGER:
            return low.graph.constant("integer", int(text))
        low.report(t("{number} does not fit 64 bits.", number=text), t("Write it with a decimal point."))
        return None
    number = float(text)
    if not math.isfinite(number):
        low.report(t("{number} is beyond the largest double.", number=text), t("Write a smaller number."))
        return None
    return low.graph.constant("double", number)


def null(low: Lowering, _node: exp.Expression) -> Value | None:
    """Give the null that takes any type."""
    return low.graph.constant("integer", None)


def boolean(low: Lowering, node: exp.Expression) -> Value | None:
    """``true`` or ``false``."""
    return low.graph.constant("boolean", bool(node.this))


def negative(low: Lowering, node: exp.Expression) -> Value | None:
    """Minus; of a literal it is the literal's own sign, as -2^63 needs."""
    inner = node.this
    if isinstance(inner, exp.Literal) and not inner.is_string and inner.this == str(LONGEST_INTEGER + 1):
        return low.graph.constant("integer", -LONGEST_INTEGER - 1)
    value = low.value(inner)
    if value is not None and value.kind == "literal" and value.type in ("integer", "double"):
        constant = low.graph.value_of(value)
        if constant == -LONGEST_INTEGER - 1:
            low.report(
                t("{number} does not fit 64 bits.", number=-int(str(constant))), t("Write a smaller number.")
            )
            return None
        return low.graph.constant(value.type, -constant)  # type: ignore[operator]
    return low.typed(None if value is None else [value], ("negate_integer", "negate_double"), "-")


ARITHMETIC: dict[type[exp.Expression], tuple[str, tuple[str, ...]]] = {
    exp.Add: ("+", ("add_integer", "add_double", "add_days")),
    exp.Sub: ("-", ("subtract_integer", "subtract_double", "subtract_days", "days_between")),
    exp.Mul: ("*", ("multiply_integer", "multiply_double")),
    exp.Div: ("/", ("divide",)),
    exp.IntDiv: ("//", ("divide_integer",)),
    exp.Mod: ("%", ("modulo_integer", "modulo_double")),
    exp.Pow: ("**", ("power",)),
    exp.DPipe: ("||", ("append",)),
    exp.StartsWith: ("^@", ("starts_with",)),
}


def arithmetic(low: Lowering, node: exp.Expression) -> Value | None:
    """Two-sided arithmetic, also of dates, and ``||``."""
    sign, operators = ARITHMETIC[type(node)]
    left, right = node.this, node.expression
    if isinstance(right, exp.Interval) and isinstance(node, exp.Add | exp.Sub):
        return interval_of(low, left, right, 1 if isinstance(node, exp.Add) else -1)
    if isinstance(left, exp.Interval) and isinstance(node, exp.Add):
        return interval_of(low, right, left, 1)
    values = low.values([left, right])
    if values is None:
        return None
    if isinstance(node, exp.DPipe):
        values = [as_text(low, value) for value in values]
    if isinstance(node, exp.Add) and values[1].type == "date" and values[0].type == "integer":
        values.reverse()
    if isinstance(node, exp.Add | exp.Sub) and values[0].type == "date" and values[1].type == "integer":
        narrow = low.apply("int32", [values[1]], sign)
        if narrow is None:
            return None
        values[1] = narrow
    if isinstance(node, exp.IntDiv) and "double" in (values[0].type, values[1].type):
        low.report(
            t("// divides integers; with a double DuckDB answers as / does."),
            t("Write floor(a / b), or cast both sides to bigint."),
        )
        return None
    return low.typed(values, operators, sign)


def cast(low: Lowering, node: exp.Expression) -> Value | None:
    """CAST and TRY_CAST."""
    value = low.value(node.this)
    target = _CASTS.get(node.args["to"].this)
    if target is None:
        low.report(
            t("A CAST to {type} is not supported.", type=node.args["to"].sql("duckdb")),
            t("Cast to varchar, bigint, double, boolean, date or timestamp."),
        )
    if value is None or target is None:
        return None
    attempt = isinstance(node, exp.TryCast)
    unread = value.kind == "literal" and value.type == "text" and target != "text"
    unread = unread and not reads_as(str(low.graph.value_of(value)), target)
    if value.kind == "null" or (unread and attempt):
        return Value(low.graph.constant(target, None).index, target)
    if unread:
        low.report(
            t("{text!r} cannot be read as {type}.", text=str(low.graph.value_of(value)), type=target),
            _spelling(target),
        )
        return None
    return _cast(low, value, target, attempt=attempt)


def _spelling(target: str) -> str:
    moment = target in ("date", "timestamp")
    return t("Write it as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS.") if moment else t("Correct it.")


def _cast(low: Lowering, value: Value, target: str, *, attempt: bool) -> Value | None:
    name = f"{value.type}_to_{target}"
    if attempt and f"try_{name}" in OPERATORS:
        name = f"try_{name}"
    if value.type == target:
        return Value(value.index, target)  # no longer a literal that adapts to its company
    if name in OPERATORS:
        return low.apply(name, [Value(value.index, value.type)], "CAST")
    low.report(
        t("A {source} cannot be cast to {target}.", source=value.type, target=target),
        t("Cast to another type, or take a part of it first."),
    )
    return None
