"""Comparisons, boolean operators, CASE, and functions with a syntax of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from relevo.sql.calls import call, compare
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.sql.graph import Value
    from relevo.sql.lower import Lowering

_PREDICATES = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In,
               exp.Between, exp.Like, exp.ILike, exp.Escape)  # fmt: skip
COMPARISONS: dict[type[exp.Expression], tuple[str, str, bool]] = {
    exp.EQ: ("=", "equal", False),
    exp.NEQ: ("<>", "differ", False),
    exp.LT: ("<", "less", False),
    exp.LTE: ("<=", "at_most", False),
    exp.GT: (">", "less", True),
    exp.GTE: (">=", "at_most", True),
    exp.NullSafeNEQ: ("IS DISTINCT FROM", "distinct", False),
    exp.NullSafeEQ: ("IS NOT DISTINCT FROM", "distinct", False),
}


def _chained(low: Lowering, node: exp.Expression) -> bool:
    """A comparison of comparisons without parentheses reads differently in different dialects."""
    if isinstance(node.this, _PREDICATES) or isinstance(node.args.get("expression"), _PREDICATES):
        low.report(t("One comparison is compared with another."), t("Put parentheses around the inner one."))
        return True
    return False


def comparison(low: Lowering, node: exp.Expression) -> Value | None:
    """Compare two values; ``>`` is ``<`` with its sides exchanged."""
    label, name, swapped = COMPARISONS[type(node)]
    if _chained(low, node):
        return None
    values = low.values([node.this, node.expression])
    if values is None:
        return None
    left, right = reversed(values) if swapped else values
    result = compare(low, name, left, right, label)
    return low.negated(result) if isinstance(node, exp.NullSafeEQ) else result


def connector(low: Lowering, node: exp.Expression) -> Value | None:
    """AND and OR of any number of sides."""
    kind = type(node)
    values = low.values([part for part in node.flatten() if isinstance(part, exp.Expression)])
    booleans = None if values is None else [low.graph.convert(value, "boolean") for value in values]
    if booleans is None:
        return None
    found = [value for value in booleans if value is not None]
    if len(found) < len(booleans):
        low.report(
            t("{operator} joins something that is not boolean.", operator=node.key.upper()),
            t("Compare it with something."),
        )
        return None
    return low.connect("and" if kind is exp.And else "or", found)


def negation(low: Lowering, node: exp.Expression) -> Value | None:
    """NOT."""
    value = low.value(node.this)
    return low.typed(None if value is None else [value], ("not",), "NOT")


def identity(low: Lowering, node: exp.Expression) -> Value | None:
    """IS [NOT] NULL, TRUE, FALSE."""
    wanted = node.expression
    if isinstance(wanted, exp.Not):  # IS NOT NULL, as some versions of sqlglot write it
        return low.negated(identity(low, exp.Is(this=node.this, expression=wanted.this)))
    if isinstance(node.this, exp.Not):
        low.report(t("NOT … IS reads in two ways."), t("Put parentheses around the inner one."))
        return None
    value = low.value(node.this)
    if value is None:
        return None
    if isinstance(wanted, exp.Null):
        result: Value | None = low.graph.apply("is_null", value)
    elif isinstance(wanted, exp.Boolean):
        result = low.typed([value], ("is_true" if wanted.this else "is_false",), "IS")
    else:
        low.refuse(node)
        return None
    return low.negated(result) if node.args.get("negate") else result


def membership(low: Lowering, node: exp.Expression) -> Value | None:
    """IN a written list; what is not a literal in it is compared on its own."""
    if node.args.get("query") or node.args.get("unnest") or node.args.get("field"):
        low.refuse(exp.Subquery())
        return None
    values = low.values([node.this, *node.expressions])
    same = low.unified(values, "IN")
    if same is None:
        return None
    subject, options = same[0], same[1:]
    fixed = [option for option in options if option.kind == "literal"]
    parts: list[Value] = []
    if fixed:
        parts.append(low.graph.apply("in", subject, *fixed))
    for option in options:
        if option.kind != "literal":
            tested = compare(low, "equal", subject, option, "IN")
            parts += [] if tested is None else [tested]
    result = parts[0] if len(parts) == 1 else low.connect("or", parts)
    return low.negated(result) if node.args.get("negate") else result


def between(low: Lowering, node: exp.Expression) -> Value | None:
    """BETWEEN: at least the one and at most the other."""
    values = low.values([node.this, node.args["low"], node.args["high"]])
    same = low.unified(values, "BETWEEN")
    if same is None:
        return None
    if node.args.get("symmetric"):
        low.refuse(node)
        return None
    above = compare(low, "at_most", same[1], same[0], "BETWEEN")
    below = compare(low, "at_most", same[0], same[2], "BETWEEN")
    if above is None or below is None:
        return None
    # DuckDB evaluates both bounds at all rows, as AND does when nothing can fail
    result = low.connect("and", [above, below])
    return low.negated(result) if node.args.get("negate") else result


def like(low: Lowering, node: exp.Expression) -> Value | None:
    """LIKE, ILIKE (on lower case) and ESCAPE."""
    escape = None
    inner = node
    if isinstance(node, exp.Escape):
        inner, escape = node.this, node.expression
    values = low.values([inner.this, inner.expression])
    if values is None:
        return None
    if isinstance(inner, exp.ILike):
        lowered = [low.typed([value], ("lower",), "ILIKE") for value in values]
        values = [value for value in lowered if value is not None]
        if None in lowered:
            return None
    if escape is None:
        result = low.typed(values, ("like",), "LIKE")
    else:
        result = _escaped(low, values, escape, folded=isinstance(inner, exp.ILike))
    return low.negated(result) if inner.args.get("negate") and result is not None else result


def _escaped(low: Lowering, values: list[Value], escape: exp.Expression, *, folded: bool) -> Value | None:
    mark = low.value(escape)
    if mark is None:
        return None
    character, pattern = low.graph.value_of(mark), low.graph.value_of(values[1]) if values[1].kind else None
    fits = isinstance(character, str) and len(character) == 1 and isinstance(pattern, str) and not folded
    if not fits or _dangling(str(pattern), str(character)):
        low.report(
            t(
                "ESCAPE needs LIKE, a written pattern that does not end in the escape character, and one character."
            ),
            t("Write for instance: code LIKE '10!%%' ESCAPE '!'."),
        )
        return None
    return low.typed([*values, mark], ("like_escape",), "LIKE")


def _dangling(pattern: str, character: str) -> bool:
    return pattern.replace(character * 2, "").endswith(character)


def case_when(low: Lowering, node: exp.Expression) -> Value | None:
    """Both forms of CASE."""
    subject = node.args.get("this")
    parts: list[Value] = []
    first = None if subject is None else low.value(subject)
    failed = subject is not None and first is None
    for branch in node.args["ifs"]:
        pair = low.values([branch.this, branch.args["true"]])
        if pair is not None and first is not None:
            tested = compare(low, "equal", first, pair[0], "CASE")
            pair = None if tested is None else [tested, pair[1]]
        failed = failed or pair is None
        parts += pair or []
    default = node.args.get("default")
    otherwise = low.graph.constant("integer", None) if default is None else low.value(default)
    if failed or otherwise is None:
        return None
    return low.case([*parts, otherwise], "CASE")


def choice(low: Lowering, node: exp.Expression) -> Value | None:
    """``if(…)`` where the parser made it its own node."""
    return call(
        low, "if", [node.this, node.args["true"], *([node.args["false"]] if node.args.get("false") else [])]
    )


def plain_call(low: Lowering, node: exp.Expression) -> Value | None:
    """Give the functions that have their own syntax back their names."""
    if isinstance(node, exp.Substring):
        parts = [node.this, node.args.get("start"), node.args.get("length")]
        return call(low, "substring", [part for part in parts if part is not None])
    if isinstance(node, exp.StrPosition):
        return call(low, "strpos", [node.this, node.args["substr"]])
    if isinstance(node, exp.Trim):
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(
            str(node.args.get("position") or "").upper(), "trim"
        )
        return call(
            low, name, [part for part in (node.this, node.args.get("expression")) if part is not None]
        )
    return call(low, "abs", [node.this])
