"""Function calls: the catalogue's by signature, and the few with rules of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sqlglot import exp

from relevo.sql.dates import DATE_CALLS
from relevo.sql.functions import BY_NAME, nearest
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.sql.graph import Value
    from relevo.sql.lower import Lowering

    Rule = Callable[["Lowering", list[exp.Expression]], "Value | None"]

MOST_PLACES = 15
_AGGREGATES = frozenset((
    "any_value", "arg_max", "arg_min", "array_agg", "avg", "bool_and", "bool_or", "count", "first", "histogram",
    "last", "list", "max", "max_by", "mean", "median", "min", "min_by", "mode", "product", "quantile",
    "quantile_cont", "row_number", "rank", "dense_rank", "lag", "lead", "ntile", "stddev", "string_agg", "sum",
    "var_samp", "variance",
))  # fmt: skip
_CLOCK = frozenset((
    "now", "today", "current_date", "get_current_timestamp", "current_timestamp", "random", "uuid",
))  # fmt: skip


def call(low: Lowering, name: str, arguments: list[exp.Expression]) -> Value | None:
    """Lower ``name(arguments)``."""
    function = BY_NAME.get(name.lower())
    if function is None:
        _unknown(low, name)
        return None
    if any(isinstance(argument, exp.Star) for argument in arguments):
        low.refuse(exp.Star())
        return None
    rule = _RULES.get(function.names[0]) or DATE_CALLS.get(function.names[0])
    if rule is not None:
        return rule(low, arguments)
    return low.typed(low.values(arguments), function.operators, f"{name.lower()}()")


def _unknown(low: Lowering, name: str) -> None:
    if name.lower() in _AGGREGATES:
        low.report(
            t("{function}() looks at more than one row.", function=name.lower()),
            t("Aggregate in history.sql and join the result as a look-up."),
        )
        return
    if name.lower() in _CLOCK:
        low.report(
            t("{function}() gives another answer at another time.", function=name.lower()),
            t("Use a column of the request."),
        )
        return
    close = nearest(name)
    if close:
        remedy = t("Did you mean {names}?", names=", ".join(f"{near}()" for near in close))
    else:
        remedy = t("The supported functions are {names}.", names=", ".join(sorted(BY_NAME)))
    low.report(t("The function {function}() is not supported.", function=name.lower()), remedy)


def as_text(low: Lowering, value: Value) -> Value:
    """Convert to text as ``concat`` and ``||`` do."""
    if value.kind == "null":
        return low.graph.constant("text", None)
    return value if value.type == "text" else low.graph.apply(f"{value.type}_to_text", value)


def compare(low: Lowering, name: str, left: Value, right: Value, label: str) -> Value | None:
    """Compare two values of one type; doubles have operators of their own, for NaN."""
    same = low.unified([left, right], label)
    if same is None:
        return None
    return low.graph.apply(f"{name}_double" if same[0].type == "double" else name, *same)


def counted(
    low: Lowering, form: str, arguments: list[exp.Expression], least: int, most: int
) -> list[Value] | None:
    """Lower the arguments when there are as many as ``form`` says."""
    if least <= len(arguments) <= most:
        return low.values(arguments)
    low.report(
        t("{form} was given {count} arguments.", form=form, count=len(arguments)),
        t("Write {form}.", form=form),
    )
    return None


MANY = 1000


def _first_known(name: str, most: int) -> Rule:
    def rule(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
        same = low.unified(counted(low, f"{name}(value, …)", arguments, 1, most), f"{name}()")
        if same is None:
            return None
        kept = [value for value in same if not low.graph.is_null(value)]
        for position, value in enumerate(kept):
            if low.graph.is_constant(value):  # nothing after it is ever reached
                kept = kept[: position + 1]
                break
        return low.graph.apply("coalesce", *kept) if len(kept) > 1 else (kept or same)[0]

    return rule


def _nullif(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    values = counted(low, "nullif(value, value)", arguments, 2, 2)
    if values is None:
        return None
    same = compare(low, "equal", values[0], values[1], "nullif()")
    if same is None:
        return None
    return low.graph.apply("case", same, low.graph.constant(values[0].type, None), values[0])


def _if(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    values = counted(low, "if(condition, value, otherwise)", arguments, 3, 3)
    return None if values is None else low.case(values, "if()")


def _extreme(name: str) -> Rule:
    def rule(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
        same = low.unified(counted(low, f"{name}(value, …)", arguments, 1, MANY), f"{name}()")
        return None if same is None else low.graph.apply(name, *same)

    return rule


def _concat(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    values = counted(low, "concat(value, …)", arguments, 1, MANY)
    return None if values is None else low.graph.apply("concat", *(as_text(low, value) for value in values))


def _round(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    values = counted(low, "round(number [, places])", arguments, 1, 2)
    if values is None:
        return None
    places = low.graph.value_of(values[1]) if len(values) > 1 and values[1].kind == "literal" else 0
    if len(values) > 1 and (
        values[1].kind != "literal" or type(places) is not int or abs(places) > MOST_PLACES
    ):
        low.report(
            t("The places of round() must be a written whole number."),
            t("Write one from -{most} to {most}.", most=MOST_PLACES),
        )
        return None
    if values[0].type == "integer":
        return low.typed([values[0], low.graph.constant("integer", places)], ("round_integer",), "round()")
    return low.typed(values, ("round", "round_places"), "round()")


def _pi(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    values = counted(low, "pi()", arguments, 0, 0)
    return None if values is None else low.graph.constant("double", math.pi)


def _position(low: Lowering, arguments: list[exp.Expression]) -> Value | None:
    return low.typed(counted(low, "strpos(text, part)", arguments, 2, 2), ("position",), "strpos()")


_RULES: dict[str, Rule] = {
    "coalesce": _first_known("coalesce", MANY),
    "ifnull": _first_known("ifnull", 2),
    "nullif": _nullif,
    "if": _if,
    "greatest": _extreme("greatest"),
    "least": _extreme("least"),
    "concat": _concat,
    "round": _round,
    "pi": _pi,
    "position": _position,
}
