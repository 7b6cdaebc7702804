"""Where rows come from when one table is not enough: examples, histories, population, outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo import digest as digests
from relevo import sql
from relevo.casting import SQL_TYPES
from relevo.definition.near import near
from relevo.definition.relations import Relation, check_columns, contract_of
from relevo.errors import Mistake, ProjectError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.contract import Contract
    from relevo.definition.relations import Queries
    from relevo.project import Project, Table

FILE = "project.py"
TIMES = ("timestamp", "date")
_ANSWERED = {
    "by": ("version", "recommendations"),
    "item": ("id", "probability", "decision", "label"),
}
"""Names that stand beside the field's in what the service recommends."""
KEYS = ("text", "integer", "boolean", "date", "timestamp")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The examples before features. ``sql`` is empty when they are the rows of the clean table ``name``."""

    name: str
    contract: Contract
    event_time: str | None
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Rows by key, each known from a moment on. ``shape`` digests how they are made: equal shapes, equal meaning."""

    name: str
    key: tuple[str, ...]
    known_at: str
    relation: Relation
    shape: str

    @property
    def values(self) -> tuple[sql.Column, ...]:
        """The columns that are neither key nor stamp."""
        return tuple(c for c in self.relation.columns if c.name not in (*self.key, self.known_at))


@dataclass(frozen=True)
class Scored:
    """What a batch run scores and is judged by."""

    population: Relation | None = None
    outcomes: Relation | None = None
    naive_sql: str | None = None


def known_sql(table: Table, contract: Contract) -> str | None:
    """SQL of the moment from which a clean row was known: a date counts from the end of its day."""
    if table.known is None:
        return None
    column = f"cast({sql.quote(table.known)} as timestamp)"
    return f"{column} + interval 1 day" if contract[table.known].type == "date" else column


def examples(
    project: Project,
    contracts: Mapping[str, Contract],
    request: Contract,
    queries: Queries,
    mistakes: list[Mistake],
) -> Rows | None:
    """The examples' rows: those of the main table, or of ``Project.examples``."""
    if project.examples is None:
        table = project.main_table
        return Rows(name=table.name, contract=contracts[table.name], event_time=table.event_time)
    found = queries.read("examples", project.examples.sql)
    if found is None:
        return None
    time = project.examples.time
    if not check_columns(found, [time], mistakes, TIMES) or not check_columns(found, request.names, mistakes):
        return None
    if project.target.known_at is None:
        problem = t(
            "the outcome of a row of {file} must have a time from which it was known.", file=found.file
        )
        remedy = t('Write Target(…, known_at="…"), a column of the query.')
        mistakes.append(Mistake(FILE, "Target.known_at", problem, remedy))
    return Rows(name="examples", contract=contract_of(found, request), event_time=time, sql=found.sql)


def histories(
    project: Project,
    contracts: Mapping[str, Contract],
    where_sql: Mapping[str, str],
    queries: Queries,
    mistakes: list[Mistake],
) -> list[Timeline] | None:
    """The project's histories, and look-up tables whose rows have a time; None when one cannot be read."""
    rules: list[object] = [
        [
            table.name,
            contracts[table.name].to_json(),
            [table.known, list(table.nulls), list(table.unique), where_sql.get(table.name)],
        ]
        for table in project.tables
    ]
    found: list[Timeline] = []
    names = [table.name for table in project.tables]
    before = len(mistakes)
    for history in project.history:
        if history.name in names or not history.name.isidentifier():
            problem = t("“{name}” is reserved, used twice, or not a usable name.", name=history.name)
            remedy = t("Use small letters, digits and _, a letter first.")
            mistakes.append(Mistake(FILE, f"History {history.name}", problem, remedy))
        names.append(history.name)
        relation = queries.read(history.name, history.sql)
        if relation is not None:
            _timeline(found, history.name, history.keys, history.known_at, relation, rules, mistakes)
    for table in project.tables:
        if table.keys and table.known_at is not None:
            relation = queries.bind(table.name, FILE, _versions(table, contracts[table.name]))
            if relation is not None:
                _timeline(found, table.name, table.keys, table.known_at, relation, rules, mistakes)
    return found if len(mistakes) == before else None


def _versions(table: Table, contract: Contract) -> str:
    """The rows of a look-up table as a history of its own."""
    stamp = known_sql(table, contract)
    listed = ", ".join(sql.quote(name) for name in contract.names if name != table.known)
    return f"select {listed}, {stamp} as {sql.quote(str(table.known))} from {sql.quote(table.name)}"


def _timeline(
    found: list[Timeline],
    name: str,
    key: tuple[str, ...],
    known_at: str,
    relation: Relation,
    rules: list[object],
    mistakes: list[Mistake],
) -> None:
    if not key:
        mistakes.append(Mistake(FILE, f"History {name}", t("it has no key."), 'key="…"'))
    fine = check_columns(relation, key, mistakes, KEYS)
    if not check_columns(relation, [known_at], mistakes, TIMES) or not fine or not key:
        return
    stamped = Relation(
        name=name,
        file=relation.file,
        sql=_stamped(relation, known_at),
        columns=tuple(sql.Column(c.name, "timestamp") if c.name == known_at else c for c in relation.columns),
    )
    shape = digests.of_json([name, list(key), known_at, stamped.sql, rules])
    found.append(Timeline(name=name, key=key, known_at=known_at, relation=stamped, shape=shape))


def _stamped(relation: Relation, known_at: str) -> str:
    quoted = sql.quote(known_at)
    return (
        f"select * replace (cast({quoted} as {SQL_TYPES['timestamp']}) as {quoted}) from (\n{relation.sql}\n)"
    )


def population(
    project: Project,
    request: Contract,
    plan: sql.FeaturePlan | None,
    queries: Queries,
    mistakes: list[Mistake],
) -> Scored:
    """What a batch run scores, its outcomes, and its rule of thumb."""
    wanted = project.population
    if wanted is None:
        return Scored()
    found = queries.read("population", wanted.sql)
    outcomes = queries.read("outcomes", wanted.outcomes) if wanted.outcomes else None
    for relation in (found, outcomes):
        if relation is not None:
            check_columns(relation, [wanted.time], mistakes, TIMES)
            check_columns(relation, request.names, mistakes)
    if found is not None:
        check_columns(found, wanted.segments, mistakes)
    naive = None
    if wanted.naive is not None and plan is not None:
        try:
            naive, kind = sql.compile_expression(
                wanted.naive, columns=plan.features, file=FILE, field="Population.naive"
            )
        except ProjectError as error:
            mistakes += error.mistakes
        else:
            if kind != "boolean":
                problem = t("the expression is {type}, not boolean.", type=kind)
                mistakes.append(Mistake(FILE, "Population.naive", problem, t("Compare it with something.")))
    return Scored(found, outcomes, naive)


def recommend(project: Project, request: Contract, mistakes: list[Mistake]) -> None:
    """Note what is wrong with what the service shall recommend."""
    wanted = project.recommend
    if wanted is None:
        return
    for place, name in (("by", wanted.by), ("item", wanted.item)):
        if name not in request:
            problem = t("there is no field “{name}” in {contract}.", name=name, contract=request.name)
            mistakes.append(Mistake(FILE, f"Recommend.{place}", problem, near(name, request.names)))
        elif request[name].alias in _ANSWERED[place]:
            problem = t("the alias “{alias}” is a name of the answer's own.", alias=request[name].alias)
            remedy = t("Give the field another alias, none of {names}.", names=", ".join(_ANSWERED[place]))
            mistakes.append(Mistake(FILE, f"Recommend.{place}", problem, remedy))
    others = [f.name for f in request.fields if f.required and f.name not in (wanted.by, wanted.item)]
    if others:
        problem = t("the request needs more than the two: {names}.", names=", ".join(others))
        mistakes.append(Mistake(FILE, "Recommend", problem, t("Give them a default.")))
    tables = {table.name: table for table in project.lookups}
    if wanted.among not in tables or len(tables[wanted.among].keys) != 1:
        problem = t("“{name}” is not a look-up table with one key.", name=wanted.among)
        mistakes.append(Mistake(FILE, "Recommend.among", problem, near(wanted.among, list(tables))))
