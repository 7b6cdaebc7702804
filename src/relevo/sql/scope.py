"""The names a feature query may use: the request's columns, joined look-ups, and earlier features."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from sqlglot import exp

from relevo.sql.lower import Lowering
from relevo.sql.plan import Column, LookupTable, LookupUse, key_columns
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.sql.graph import Graph, Value
    from relevo.sql.parse import Report

KEY_TYPES = ("text", "integer", "boolean", "date", "timestamp")
REQUEST = "request"


@dataclass
class Join:
    """A look-up under its alias; ``on`` has one value per key column."""

    alias: str
    table: LookupTable
    on: list[Value] = field(default_factory=list)


class Scope:
    """Resolves names as DuckDB does: columns first, whatever their case, then the aliases to the left."""

    def __init__(
        self,
        graph: Graph,
        request: tuple[Column, ...],
        lookups: tuple[LookupTable, ...],
        outcome: frozenset[str],
        report: Report,
    ) -> None:
        self.graph = graph
        self.request = request
        self.joins: list[Join] = []
        self.features: dict[str, tuple[str, Value | None]] = {}
        self._lookups = {table.name.lower(): table for table in lookups}
        self._outcome = outcome
        self._report = report
        self._request_alias = REQUEST
        self._used: dict[str, list[Column]] = {}
        self._field = ""

    def lower(self, node: exp.Expression, field_name: str) -> Value | None:
        """Lower an expression of the field; None when it has mistakes, which were reported."""
        self._field = field_name
        lowering = Lowering(
            self.graph, self._resolve, lambda problem, remedy: self._report(field_name, problem, remedy)
        )
        try:
            return lowering.value(node)
        except RecursionError:
            self._report(field_name, t("The SQL is nested too deeply."), t("Divide it into features."))
            return None

    def canonical(self, node: exp.Column) -> str:
        """The contract's or look-up's own spelling of a column; a feature named by it is called so."""
        for _, column, _ in self._candidates(node):
            return column.name
        return node.name

    # --- columns -------------------------------------------------------------------------------------

    def _candidates(self, node: exp.Column) -> list[tuple[int, Column, int]]:
        """All columns of that name: join (-1 for the request), column, position in its table."""
        name, table = node.name.lower(), node.table.lower()
        found = []
        if table in ("", self._request_alias):
            exact = [
                (-1, column, slot) for slot, column in enumerate(self.request) if column.name == node.name
            ]
            alike = [
                (-1, column, slot) for slot, column in enumerate(self.request) if column.name.lower() == name
            ]
            found += exact or alike
        for number, join in enumerate(self.joins):
            if table in ("", join.alias.lower()):
                columns = enumerate(join.table.columns)
                found += [(number, column, slot) for slot, column in columns if column.name.lower() == name]
        return found

    def _resolve(self, node: exp.Column) -> Value | None:
        if isinstance(node.this, exp.Star):
            self._say(t("* is not a value."), t("Name the column."))
            return None
        found = self._candidates(node)
        if len(found) == 1:
            number, column, slot = found[0]
            if number < 0:
                return self.graph.column(slot, column.type)
            return self.graph.joined(number, self._slot(self.joins[number].table, column), column.type)
        if found:
            self._say(
                t("The column {column} is ambiguous.", column=node.name),
                t("Put the table's name before it, as in {table}.{column}.", table=REQUEST, column=node.name),
            )
            return None
        if not node.table and node.name.lower() in self.features:
            return self.features[node.name.lower()][1]
        self._unknown(node)
        return None

    def _unknown(self, node: exp.Column) -> None:
        tables = {self._request_alias, *(join.alias.lower() for join in self.joins)}
        if node.table and node.table.lower() not in tables:
            self._say(
                t("There is no table {table} here.", table=node.table),
                t("The tables are {tables}.", tables=", ".join(sorted(tables))),
            )
            return
        if node.name.lower() in self._outcome:
            self._say(
                t("{column} is known only afterwards.", column=node.name),
                t(
                    "A feature may use the request's columns and look-ups only: {columns}.",
                    columns=self._names(),
                ),
            )
            return
        known = [column.name for column in self.request]
        known += [column.name for join in self.joins for column in join.table.columns]
        known += [name for name, _ in self.features.values()]
        by_lower = {name.lower(): name for name in known}
        close = [by_lower[name] for name in get_close_matches(node.name.lower(), by_lower, n=3, cutoff=0.6)]
        remedy = t("Did you mean {names}?", names=", ".join(close))
        if not close:
            remedy = t("The columns are {columns}.", columns=self._names())
        self._say(t("There is no column {column}.", column=node.name), remedy)

    def _names(self) -> str:
        return ", ".join(column.name for column in self.request)

    def _say(self, problem: str, remedy: str) -> None:
        self._report(self._field, problem, remedy)

    def _slot(self, table: LookupTable, column: Column) -> int:
        """The column's place: key columns first, then the others in the order of their first use."""
        for position, key in enumerate(table.key):
            if key.lower() == column.name.lower():
                return position
        used = self._used.setdefault(table.name, [])
        if column not in used:
            used.append(column)
        return len(table.key) + used.index(column)

    def joined_column(self, join: int, slot: int) -> Column:
        """The column behind a join's slot."""
        table = self.joins[join].table
        columns: list[Column] = [*key_columns(table), *self._used.get(table.name, ())]
        return columns[slot]

    def uses(self) -> list[tuple[LookupUse, LookupTable]]:
        """The tables joined, each once, with the columns that any of its joins uses."""
        tables = {join.table.name: join.table for join in self.joins}
        return [
            (
                LookupUse(
                    name,
                    table.key,
                    tuple(column.name for column in self._used.get(name, ())),
                    table.known_at,
                ),
                table,
            )
            for name, table in tables.items()
        ]

    # --- FROM and JOIN -------------------------------------------------------------------------------

    def read_from(self, select: exp.Select) -> None:
        """Read ``FROM request LEFT JOIN …``."""
        source = select.args.get("from_")
        table = None if source is None else source.this
        if not isinstance(table, exp.Table) or table.name.lower() != REQUEST or table.args.get("db"):
            written = "" if table is None else table.sql("duckdb")
            self._report(
                "from",
                t("The features are read from {table}.", table=written)
                if written
                else t("There is no FROM."),
                t("Write FROM request: a feature sees one request and its look-ups."),
            )
        else:
            self._request_alias = (table.alias or REQUEST).lower()
        for join in [
            *(table.args.get("joins") or [] if table is not None else []),
            *(select.args.get("joins") or []),
        ]:
            self._join(join)

    def _join(self, node: exp.Join) -> None:
        table = node.this
        name = table.name if isinstance(table, exp.Table) else table.sql("duckdb")
        self._field = t("join {table}", table=name)
        remedy = t(
            "Write LEFT JOIN {table} ON {table}.<key> = <expression>, for each column of its key.", table=name
        )
        plain = isinstance(table, exp.Table) and not table.args.get("db")
        left = (
            (node.side or "").upper() == "LEFT"
            and (node.kind or "OUTER").upper() == "OUTER"
            and not node.method
        )
        on = node.args.get("on")
        if not plain or not left or on is None:
            self._say(t("Only a LEFT JOIN with a look-up by its key keeps one row per request."), remedy)
            return
        found = self._lookups.get(name.lower())
        if found is None:
            close = get_close_matches(name.lower(), self._lookups, n=1)
            known = ", ".join(table.name for table in self._lookups.values()) or t("none")
            self._say(
                t("There is no look-up table {table}.", table=name),
                t("Did you mean {names}?", names=self._lookups[close[0]].name) if close
                else t("The look-up tables are: {tables}.", tables=known),
            )  # fmt: skip
            return
        alias = table.alias or found.name
        if alias.lower() in (self._request_alias, *(join.alias.lower() for join in self.joins)):
            self._say(t("Two tables are called {table}.", table=alias), t("Give one an alias of its own."))
            return
        self._match_key(Join(alias, found), on, remedy)

    def _match_key(self, join: Join, on: exp.Expression, remedy: str) -> None:
        """Find ``key = expression`` for every key column, in any order, and nothing else."""
        written: dict[str, exp.Expression] = {}
        keys = {key.lower() for key in join.table.key}
        field_name = self._field
        for part in on.flatten() if isinstance(on, exp.And) else [on]:
            test = part.unnest()
            sides = [test.this, test.expression] if isinstance(test, exp.EQ) else []
            mine = [
                side
                for side in sides
                if isinstance(side, exp.Column) and side.table.lower() == join.alias.lower()
            ]
            mine = mine or [
                side for side in sides
                if isinstance(side, exp.Column) and not side.table and side.name.lower() in keys
                and not self._candidates(side)
            ]  # fmt: skip
            if len(mine) != 1 or mine[0].name.lower() not in keys or mine[0].name.lower() in written:
                self._say(t("The join is not by the key of {table}.", table=join.table.name), remedy)
                return
            written[mine[0].name.lower()] = sides[1] if mine[0] is sides[0] else sides[0]
        if set(written) != keys:
            missing = ", ".join(key for key in join.table.key if key.lower() not in written)
            self._say(t("The join leaves out {columns} of the key.", columns=missing), remedy)
            return
        values = [
            self._key_value(join, key, written[key.name.lower()], field_name)
            for key in key_columns(join.table)
        ]
        join.on = [value for value in values if value is not None]
        self.joins.append(join)

    def _key_value(self, join: Join, key: Column, node: exp.Expression, field_name: str) -> Value | None:
        value = self.lower(node, field_name)
        if value is None:
            return None
        fitted = self.graph.convert(value, key.type)
        if key.type not in KEY_TYPES or fitted is None:
            self._say(
                t("{key} of {table} is a {type}, the expression a {other}.",
                  key=key.name, table=join.table.name, type=key.type, other=value.type),
                t("Cast the expression to the key's type; a double cannot be a key."),
            )  # fmt: skip
        return fitted
