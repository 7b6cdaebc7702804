"""Loads a project folder: runs ``project.py``, then checks everything against everything."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import contract as contracts
from relevo import digest as digests
from relevo import sql
from relevo.definition import brought, check, files, origins, rows, watched
from relevo.definition import cases as critical
from relevo.definition.relations import Queries
from relevo.errors import Mistake, ProjectError, RelevoError
from relevo.project import Project
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.contract import Contract
    from relevo.definition.relations import Relation
    from relevo.definition.rows import Rows, Timeline

PROJECT_FILE = "project.py"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A project that passed its checks, compiled. SQL is canonical DuckDB SQL."""

    project: Project
    contracts: Mapping[str, Contract]
    """By table name."""
    request: Contract
    plan: sql.FeaturePlan
    target_sql: str
    """The outcome, a boolean over the examples' rows."""
    where_sql: Mapping[str, str]
    """Conditions by table name, where given."""
    cases: tuple[critical.Case, ...]
    examples: Rows
    histories: tuple[Timeline, ...] = ()
    """What is joined as of a time: the project's histories, and look-up tables with ``known_at``."""
    population: Relation | None = None
    outcomes: Relation | None = None
    naive_sql: str | None = None
    """The population's rule of thumb, a boolean over the features."""

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.name

    def replace(self, **changes: Any) -> Definition:
        """The same project with other parts (``split=…``, ``tuning=…``), checked and compiled anew."""
        return compile_project(replace(self.project, **changes))

    @property
    def digest(self) -> str:
        """Digest of all that the outcome of a run depends on, beside the data."""
        project = self.project
        return digests.of_json(
            {
                "contracts": {name: contract.to_json() for name, contract in self.contracts.items()},
                "request": self.request.to_json(),
                "sql": self.plan.sql,
                "target": [
                    self.target_sql,
                    project.target.known_at,
                    project.target.positive,
                    project.target.negative,
                ],
                "where": dict(self.where_sql),
                "tables": [
                    [
                        table.name,
                        repr(table.source),
                        table.keys,
                        table.event_time,
                        list(table.nulls),
                        list(table.unique),
                    ]
                    for table in project.tables
                ],
                "choices": [repr(project.split), repr(project.tuning), repr(project.gate), project.metric],
                "candidates": [
                    [c.name, c.algorithm, repr(dict(c.settings)), *brought.told(c, project.root)]
                    for c in project.candidates
                ],
                "cases": [
                    [case.name, repr(sorted(case.request.items())), case.expected] for case in self.cases
                ],
                "limit": project.max_quarantined,
                "known": [table.known_at for table in project.tables],
                "examples": [self.examples.sql, self.examples.event_time],
                "histories": [timeline.shape for timeline in self.histories],
                "population": [
                    self.population.sql if self.population else None,
                    self.outcomes.sql if self.outcomes else None,
                    self.naive_sql,
                    repr(project.population),
                ],
                "decision": [repr(project.decision), repr(project.recommend)],
            }
        )


def load(folder: Path | str, *, sets: Mapping[str, str] | None = None) -> Definition:
    """Load and check a project folder; ``sets`` reads a table from another path or URL.

    Raises ``ProjectError`` with all mistakes at once, each with its file, field and remedy.
    """
    folder = Path(folder).resolve()
    project = replace(_execute(folder), root=folder)
    project, mistakes = _redirect(project, sets or {})
    return compile_project(project, mistakes)


def compile_project(project: Project, mistakes: list[Mistake] | None = None) -> Definition:
    """Check and compile a project made in Python; ``root`` must be its folder."""
    mistakes = list(mistakes or [])
    mistakes += check.shape(project) + origins.check(project)
    if all(table.keys for table in project.tables):
        raise ProjectError(mistakes)
    read = {table.name: _contract(table.contract, mistakes) for table in project.tables}
    request = _contract(project.request, mistakes)
    if request is None or any(contract is None for contract in read.values()):
        raise ProjectError(mistakes)
    known: dict[str, Contract] = {name: contract for name, contract in read.items() if contract is not None}
    mistakes += check.tables(project, known)
    queries = Queries(project, known, mistakes)
    where_sql = check.conditions(project, known, mistakes)
    examples = rows.examples(project, known, request, queries, mistakes)
    histories = rows.histories(project, known, where_sql, queries, mistakes)
    if examples is None or histories is None:
        raise ProjectError(mistakes)
    mistakes += check.request(project, examples.contract, request)
    mistakes += check.split(project, examples.contract, examples.event_time)
    target_sql = check.target(project, examples.contract, mistakes)
    plan = _features(project, known, request, (examples, histories), mistakes)
    for candidate in project.candidates:
        mistakes += brought.texts(candidate, plan.features if plan else (), check.FILE)
    cases: tuple[critical.Case, ...] = ()
    if project.cases is not None:
        cases, wrong = critical.read(project.root / project.cases, request, project.target)
        mistakes += wrong
    rows.recommend(project, request, mistakes)
    mistakes += check.decision(project, request)
    names = [feature.name for feature in plan.features] if plan else []
    mistakes += watched.check(project, request, names, examples.event_time)
    scored = rows.population(project, request, plan, queries, mistakes)
    if mistakes or plan is None:
        raise ProjectError(mistakes)
    return Definition(
        project=project,
        contracts=known,
        request=request,
        plan=plan,
        target_sql=target_sql,
        where_sql=where_sql,
        cases=cases,
        examples=examples,
        histories=tuple(h for h in histories if h.name in {use.name for use in plan.lookups}),
        population=scored.population,
        outcomes=scored.outcomes,
        naive_sql=scored.naive_sql,
    )


def _execute(folder: Path) -> Project:
    path = folder / PROJECT_FILE
    if not path.is_file():
        problem = t("there is no {file} in {folder}.", file=PROJECT_FILE, folder=folder)
        raise ProjectError([Mistake(PROJECT_FILE, "-", problem, t("Give the project's folder."))])
    spec = spec_from_file_location(f"relevo_project_{digests.of_bytes(str(folder).encode())[:12]}", path)
    if spec is None or spec.loader is None:
        raise ProjectError([Mistake(PROJECT_FILE, "-", t("it cannot be imported."), "")])
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # Pydantic looks annotations up there
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except RelevoError:
        raise
    except Exception as error:
        raise ProjectError([Mistake(PROJECT_FILE, _line(error, path), _first_line(error), "")]) from error
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = before
    project = getattr(module, "project", None)
    if not isinstance(project, Project):
        problem = t("there is no `project = Project(…)` in it.")
        raise ProjectError([Mistake(PROJECT_FILE, "project", problem, t("Add one."))])
    return project


def _line(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return t("line {line}", line=error.lineno or 0)
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path) and f.lineno
    ]
    return t("line {line}", line=lines[-1] if lines else 0)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _redirect(project: Project, sets: Mapping[str, str]) -> tuple[Project, list[Mistake]]:
    names = [table.name for table in project.tables]
    mistakes = [
        Mistake(
            "--set", name, t("there is no such table."), t("The tables are: {names}.", names=", ".join(names))
        )
        for name in sets
        if name not in names
    ]
    tables = []
    for table in project.tables:
        if table.name in sets:
            source, wrong = origins.redirect(table.source, sets[table.name], table.name)
            mistakes += wrong
            table = replace(table, source=source)  # noqa: PLW2901
        tables.append(table)
    return replace(project, tables=tables), mistakes


def _contract(model: Any, mistakes: list[Mistake]) -> Contract | None:
    try:
        return contracts.read(model)
    except ProjectError as error:
        mistakes += [mistake for mistake in error.mistakes if mistake not in mistakes]
        return None


def _features(
    project: Project,
    known: Mapping[str, Contract],
    request: Contract,
    made: tuple[Rows, Sequence[Timeline]],
    mistakes: list[Mistake],
) -> sql.FeaturePlan | None:
    path = project.root / project.features
    if not path.is_file():
        problem = t("there is no such file in {folder}.", folder=project.root)
        mistakes.append(Mistake(project.features, "-", problem, t("Write it: select … from request.")))
        return None
    examples, histories = made
    lookups = [
        sql.LookupTable(table.name, table.keys, check.columns(known[table.name]))
        for table in project.lookups
        if all(key in known[table.name] for key in table.keys)
    ]
    lookups += [sql.LookupTable(h.name, h.key, h.relation.columns, h.known_at) for h in histories]
    outcome = [name for name in examples.contract.names if name not in request]
    text = files.read_text(path, project.features, mistakes)
    if text is None:
        return None
    try:
        return sql.compile_features(
            text, request=check.columns(request), lookups=lookups, outcome=outcome, file=project.features
        )
    except ProjectError as error:
        mistakes += error.mistakes
        return None
