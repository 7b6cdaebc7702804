"""``features.sql`` to a plan: the scope of names, the joins, the features, the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.errors import Mistake, ProjectError
from relevo.sql.graph import Graph, Value
from relevo.sql.operators import SQL_TYPES
from relevo.sql.plan import FEATURE_TYPES, TIME, Column, FeaturePlan, LookupTable, quote
from relevo.sql.render import LARGEST, Renderer, sizes
from relevo.sql.tree import FORMAT, tree_of
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlglot import exp

    from relevo.sql.scope import Scope

__all__ = ["FORMAT", "compile_expression", "compile_features"]


class _Mistakes:
    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Mistake] = []

    def add(self, field: str, problem: str, remedy: str) -> None:
        mistake = Mistake(self.file, field, problem, remedy)
        if mistake not in self.found:
            self.found.append(mistake)

    def stop(self) -> None:
        if self.found:
            raise ProjectError(self.found)


def compile_features(
    text: str,
    *,
    request: Sequence[Column],
    lookups: Sequence[LookupTable] = (),
    outcome: Collection[str] = (),
    file: str = "features.sql",
) -> FeaturePlan:
    """Compile ``features.sql``; raises ProjectError with all its mistakes.

    ``outcome`` names the columns known only afterwards, so that a feature using one is told so.
    """
    from relevo.sql.parse import parse_select
    from relevo.sql.scope import Scope

    mistakes = _Mistakes(file)
    select = parse_select(text, mistakes.add)
    mistakes.stop()
    assert select is not None
    graph = Graph()
    scope = Scope(
        graph, tuple(request), tuple(lookups), frozenset(name.lower() for name in outcome), mistakes.add
    )
    scope.read_from(select)
    for position, item in enumerate(select.expressions, start=1):
        _feature(item, position, scope, mistakes)
    if not select.expressions:
        mistakes.add("select", t("The SELECT has no features."), t("Name at least one column."))
    mistakes.stop()
    _check_sizes(graph, scope, mistakes)
    mistakes.stop()
    return _plan(graph, scope)


def _feature(item: exp.Expression, position: int, scope: Scope, mistakes: _Mistakes) -> None:
    from sqlglot import exp

    if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
        mistakes.add("*", t("SELECT * hides what the features are."), t("Name each feature."))
        return
    inner = item.this if isinstance(item, exp.Alias) else item
    if isinstance(item, exp.Alias):
        name = item.alias
    elif isinstance(item, exp.Column):
        name = scope.canonical(item)
    else:
        name = ""
    field = name or t("feature {position}", position=position)
    value = scope.lower(inner, field)
    if not name:
        mistakes.add(field, t("The feature has no name."), t("Add AS and a name."))
        return
    if name.lower() in scope.features:
        mistakes.add(name, t("Two features have this name."), t("Rename or remove one."))
        return
    if value is not None and value.type not in FEATURE_TYPES:
        mistakes.add(
            name,
            t("A {type} cannot be a feature.", type=value.type),
            t("Turn it into a number, for instance with hour(), isodow(), date_diff() or epoch()."),
        )
    scope.features[name.lower()] = (name, value)


def _check_sizes(graph: Graph, scope: Scope, mistakes: _Mistakes) -> None:
    from relevo.sql.tree import too_deep

    size, deep = sizes(graph), too_deep(graph)
    roots = [(name, value) for name, value in scope.features.values() if value is not None]
    roots += [(join.alias, value) for join in scope.joins for value in join.on]
    for name, value in roots:
        if size[value.index] > LARGEST or value.index in deep:
            mistakes.add(
                name,
                t("The expression is too large once the features it builds on are written out."),
                t("Simplify it, or prepare a part of it as a look-up."),
            )


def _typed(sql: str, type_: str) -> str:
    # a column kept as INTEGER or FLOAT must not calculate in 32 bits
    return f"CAST({sql} AS {SQL_TYPES[type_]})" if type_ in ("integer", "double") else sql


def _plan(graph: Graph, scope: Scope) -> FeaturePlan:
    def column(slot: int) -> str:
        found = scope.request[slot]
        return _typed(f"request.{quote(found.name)}", found.type)

    def joined(join: int, slot: int) -> str:
        found = scope.joined_column(join, slot)
        return _typed(f"{quote(scope.joins[join].alias)}.{quote(found.name)}", found.type)

    rendered = Renderer(graph, column, joined)
    features = [(name, value) for name, value in scope.features.values() if value is not None]
    projection = ", ".join(f"{rendered.sql(value.index)} AS {quote(name)}" for name, value in features)
    sql = f"SELECT {projection} FROM request"
    for join in scope.joins:
        alias = quote(join.alias)
        on = " AND ".join(
            f"{alias}.{quote(key)} = {rendered.sql(value.index)}"
            for key, value in zip(join.table.key, join.on, strict=True)
        )
        as_of = ""
        if join.table.known_at:
            as_of = "ASOF "
            on += f' AND request."{TIME}" >= {alias}.{quote(join.table.known_at)}'
        sql += f" {as_of}LEFT JOIN {quote(join.table.name)} AS {alias} ON {on}"
    columns = tuple(Column(name, value.type) for name, value in features)
    uses = scope.uses()
    tree = tree_of(graph, scope.request, scope.joins, uses, features)
    return FeaturePlan(sql, columns, tree, tuple(use for use, _ in uses))


def compile_expression(text: str, *, columns: Sequence[Column], file: str, field: str) -> tuple[str, str]:
    """Give the canonical SQL and the type of one scalar expression over ``columns``.

    Raises ProjectError with all its mistakes.
    """
    from relevo.sql.parse import parse_expression
    from relevo.sql.scope import Scope
    from relevo.sql.tree import too_deep

    mistakes = _Mistakes(file)
    parsed = parse_expression(text, field, mistakes.add)
    mistakes.stop()
    assert parsed is not None
    graph = Graph()
    scope = Scope(graph, tuple(columns), (), frozenset(), mistakes.add)
    value: Value | None = scope.lower(parsed, field)
    if value is not None and (sizes(graph)[value.index] > LARGEST or value.index in too_deep(graph)):
        mistakes.add(field, t("The expression is too large."), t("Simplify it."))
    mistakes.stop()
    assert value is not None
    sql = Renderer(graph, lambda slot: _typed(quote(columns[slot].name), columns[slot].type), _no_join).sql(
        value.index
    )
    return sql, value.type


def _no_join(join: int, slot: int) -> str:
    msg = f"an expression has no joins: {join}, {slot}"
    raise AssertionError(msg)
