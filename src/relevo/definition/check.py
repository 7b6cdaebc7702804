"""The cross-checks: each returns the mistakes it finds, so that all are told at once."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from relevo import durations, sql
from relevo.candidates import ALGORITHMS, BROUGHT
from relevo.decisions import Costs, TopK
from relevo.definition import brought
from relevo.definition.near import near
from relevo.errors import Mistake, ProjectError
from relevo.gate import METRICS, UNBOUNDED
from relevo.split import GroupSplit, RepeatedStratifiedSplit, TimeSplit, unexplained
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.contract import Contract
    from relevo.project import Project

FILE = "project.py"
RESERVED = frozenset(
    {
        "request",
        "raw",
        "clean",
        "quarantine",
        "examples",
        "predictions",
        "labels",
        "main",
        "history",
        "scores",
        "labelled",
        "assigned",
        "part",
        "answers",
    }
)


def shape(project: Project) -> list[Mistake]:
    """What can be checked before any contract is read: names, counts, choices."""
    found = []
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", project.name):
        problem = t("“{name}” is not a usable name.", name=project.name)
        found.append(
            Mistake(FILE, "Project.name", problem, t("Use small letters, digits, - and _, a letter first."))
        )
    names = [table.name for table in project.tables]
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) or name in RESERVED or names.count(name) > 1:
            problem = t("“{name}” is reserved, used twice, or not a usable name.", name=name)
            remedy = t("Use small letters, digits and _, a letter first.")
            found.append(Mistake(FILE, f"Table {name}", problem, remedy))
    if all(table.keys for table in project.tables):
        remedy = t("Add the table whose rows are learned from.")
        found.append(Mistake(FILE, "Project.tables", t("no table is without a key."), remedy))
    found += _candidates(project) + _metrics(project) + _gate(project)
    if not 0 <= project.max_quarantined <= 1:
        problem = t("{value} is not a share between 0 and 1.", value=project.max_quarantined)
        found.append(Mistake(FILE, "Project.max_quarantined", problem, ""))
    if project.target.positive == project.target.negative:
        problem = t("positive and negative have the same name, “{name}”.", name=project.target.positive)
        found.append(Mistake(FILE, "Target", problem, t("Name the two decisions apart.")))
    return list(dict.fromkeys(found))


def _candidates(project: Project) -> list[Mistake]:
    names = [candidate.name for candidate in project.candidates]
    found = []
    if not names:
        remedy = "candidates=[logistic(), lightgbm(), xgboost()]"
        found.append(Mistake(FILE, "Project.candidates", t("there is none."), remedy))
    for candidate in project.candidates:
        if names.count(candidate.name) > 1:
            problem = t("two candidates are named “{name}”.", name=candidate.name)
            found.append(Mistake(FILE, "Project.candidates", problem, t("Give one another name.")))
        if (candidate.source is None) == (candidate.algorithm in BROUGHT):
            problem = t("“{name}” needs what it is made from.", name=candidate.name)
            remedy = t("Write estimator(make=…) or pretrained(path).")
            found.append(Mistake(FILE, "Project.candidates", problem, remedy))
        elif candidate.source is not None:
            found += brought.mistakes(candidate, project.root, FILE)
        elif candidate.algorithm not in ALGORITHMS:
            problem = t("the algorithm “{name}” is unknown.", name=candidate.algorithm)
            found.append(Mistake(FILE, "Project.candidates", problem, near(candidate.algorithm, ALGORITHMS)))
    if project.tuning.trials < 1:
        found.append(Mistake(FILE, "Tuning.trials", t("at least one trial is needed."), ""))
    return found


def _metrics(project: Project) -> list[Mistake]:
    wanted = [("Project.metric", project.metric), *(("Gate.minimum", name) for name in project.gate.minimum)]
    return [
        Mistake(FILE, place, t("the metric “{name}” is unknown.", name=name), near(name, METRICS))
        for place, name in wanted
        if name not in METRICS
    ]


def _gate(project: Project) -> list[Mistake]:
    """Figures that every model would satisfy, or none."""
    gate, found = project.gate, []
    if not 0 < gate.confidence < 1:
        found.append(_no_share("Gate.confidence", gate.confidence, 0.95))
    bounds = [(f"Gate.minimum.{name}", name, least, 0.6) for name, least in gate.minimum.items()]
    for place, metric, value, example in [("Gate.margin", project.metric, gate.margin, 0.02), *bounds]:
        if metric not in UNBOUNDED and not 0 <= value <= 1:
            found.append(_no_share(place, value, example))
        elif not 0 <= value < math.inf:
            problem = t("{value} is not a finite number from 0 on.", value=value)
            found.append(Mistake(FILE, place, problem, ""))
    for place, least in (
        ("Gate.minimum_rows", gate.minimum_rows),
        ("Gate.minimum_positives", gate.minimum_positives),
    ):
        if not 1 <= least < math.inf:
            found.append(Mistake(FILE, place, t("at least one row is needed."), ""))
    return found


def _no_share(place: str, value: float, example: float) -> Mistake:
    problem = t("{value} is not a share between 0 and 1.", value=value)
    return Mistake(FILE, place, problem, t("Write a share such as {example}.", example=example))


def _column(place: str, name: str, contract: Contract, kinds: tuple[str, ...] = ()) -> list[Mistake]:
    if name not in contract:
        problem = t("there is no column “{name}” in {contract}.", name=name, contract=contract.name)
        return [Mistake(FILE, place, problem, near(name, contract.names))]
    if kinds and contract[name].type not in kinds:
        problem = t(
            "“{name}” is {type}, not {wanted}.", name=name, type=contract[name].type, wanted="/".join(kinds)
        )
        return [Mistake(FILE, place, problem, t("Name another column, or change its type."))]
    return []


def tables(project: Project, contracts: Mapping[str, Contract]) -> list[Mistake]:
    """Keys, unique columns and event times exist, and times are times."""
    found = []
    for table in project.tables:
        contract, place = contracts[table.name], f"Table {table.name}"
        for key in table.keys:
            found += _column(
                f"{place}.key", key, contract, ("text", "integer", "boolean", "date", "timestamp")
            )
        for name in table.unique:
            found += _column(f"{place}.unique", name, contract)
        for column, what in ((table.event_time, "event_time"), (table.known_at, "known_at")):
            if column is not None:
                found += _column(f"{place}.{what}", column, contract, ("timestamp", "date"))
    return found


def request(project: Project, examples: Contract, wanted: Contract) -> list[Mistake]:
    """Every field of the request stands in the examples table with the same type and alias."""
    found = []
    for field in wanted.fields:
        place = f"{wanted.name}.{field.name}"
        missing = _column(place, field.name, examples, (field.type,))
        found += missing
        if not missing and examples[field.name].alias != field.alias:
            problem = t(
                "its alias is “{alias}” here and “{other}” in {contract}.",
                alias=field.alias,
                other=examples[field.name].alias,
                contract=examples.name,
            )
            found.append(
                Mistake(
                    FILE, place, problem, t("Let {contract} inherit the request.", contract=examples.name)
                )
            )
    if not wanted.fields:
        found.append(
            Mistake(FILE, "Project.request", t("{name} has no field.", name=project.request.__name__), "")
        )
    return found


def decision(project: Project, request: Contract) -> list[Mistake]:
    """Top-K counts within a field of the request; with costs, each mistake costs more than being right."""
    rule = project.decision
    found: list[Mistake] = []
    if isinstance(rule, TopK):
        if rule.k < 1:
            problem = t("{value} rows cannot be chosen.", value=rule.k)
            found.append(Mistake(FILE, "TopK.k", problem, t("Write a number from 1.")))
        found += _column("TopK.by", rule.by, request)
    if isinstance(rule, Costs):
        for wrong, right, place in (
            (rule.false_positive, rule.true_negative, "Costs.false_positive"),
            (rule.false_negative, rule.true_positive, "Costs.false_negative"),
        ):
            if not wrong > right or not math.isfinite(wrong - right):
                problem = t("being wrong costs {wrong} and being right {right}.", wrong=wrong, right=right)
                remedy = t("Let the mistake cost more; gains are negative.")
                found.append(Mistake(FILE, place, problem, remedy))
    return found


def split(project: Project, examples: Contract, event_time: str | None) -> list[Mistake]:
    """The split's column is there, and its sizes make sense."""
    cut = project.split
    place = f"{type(cut).__name__}"
    found: list[Mistake] = []
    if cut.folds < 2:  # noqa: PLR2004 - one fold is no fold
        found.append(Mistake(FILE, f"{place}.folds", t("at least 2 folds are needed."), ""))
    if isinstance(cut, TimeSplit):
        if event_time is None:
            problem = t("the table {table} has no event_time to split by.", table=examples.name)
            remedy = t('Write Table(…, event_time="…"), or use StratifiedSplit or GroupSplit.')
            found.append(Mistake(FILE, place, problem, remedy))
        for name in ("test", "gap"):
            try:
                durations.parse(getattr(cut, name))
            except ValueError as error:
                found.append(Mistake(FILE, f"{place}.{name}", str(error), ""))
        return found
    found += _chance(project, event_time)
    if isinstance(cut, RepeatedStratifiedSplit):
        return found + _repeated(cut)
    if isinstance(cut, GroupSplit):
        found += _column(f"{place}.by", cut.by, examples)
    if not 0 < cut.test < 1:
        found.append(
            Mistake(FILE, f"{place}.test", t("{value} is not a share between 0 and 1.", value=cut.test), "")
        )
    return found


def _repeated(cut: RepeatedStratifiedSplit) -> list[Mistake]:
    found, place = [], type(cut).__name__
    if cut.folds == 2:  # noqa: PLR2004 - see the remedy
        remedy = t("Write folds=3 or more: while one judges, the others tune by turns.")
        found.append(Mistake(FILE, f"{place}.folds", t("2 folds are too few here."), remedy))
    if cut.repeats < 1:
        found.append(Mistake(FILE, f"{place}.repeats", t("at least one repeat is needed."), ""))
    return found


def _chance(project: Project, time: str | None) -> list[Mistake]:
    """Rows with a time are not drawn at random, unless asked for in words."""
    place = type(project.split).__name__
    if time is None or not unexplained(project.split):
        return []
    problem = t(
        "the rows have a time, “{column}”, and are drawn at random: later rows teach, earlier ones judge.",
        column=time,
    )
    remedy = t('Write TimeSplit(…), or say why in words: {split}(…, because="…").', split=place)
    return [Mistake(FILE, place, problem, remedy)]


def columns(contract: Contract) -> tuple[sql.Column, ...]:
    """A contract's fields as SQL columns."""
    return tuple(sql.Column(field.name, field.type) for field in contract.fields)


def _condition(text: str, contract: Contract, field: str, mistakes: list[Mistake]) -> str:
    try:
        canonical: str
        canonical, kind = sql.compile_expression(text, columns=columns(contract), file=FILE, field=field)
    except ProjectError as error:
        mistakes += error.mistakes
        return ""
    if kind != "boolean":
        problem = t("the expression is {type}, not boolean.", type=kind)
        mistakes.append(Mistake(FILE, field, problem, t("Compare it with something.")))
    return canonical


def target(project: Project, examples: Contract, mistakes: list[Mistake]) -> str:
    """Compile the outcome's expression over the examples table."""
    if project.target.known_at is not None:
        mistakes += _column("Target.known_at", project.target.known_at, examples, ("timestamp", "date"))
    return _condition(project.target.expression, examples, "Target", mistakes)


def conditions(
    project: Project, contracts: Mapping[str, Contract], mistakes: list[Mistake]
) -> dict[str, str]:
    """Compile each table's ``where``."""
    return {
        table.name: _condition(table.where, contracts[table.name], f"Table {table.name}.where", mistakes)
        for table in project.tables
        if table.where is not None
    }
