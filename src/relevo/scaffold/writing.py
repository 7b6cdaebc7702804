"""The files of a new project: ``project.py``, ``cases.csv``, ``README.md`` and ``.gitignore``."""

from __future__ import annotations

import csv
import io
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING

from relevo.scaffold import fields as contract_fields
from relevo.scaffold.layout import WIDTH, Call, clean, lines, text, wrapped
from relevo.split import RepeatedStratifiedSplit, TimeSplit
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.scaffold.facts import Column, Found
    from relevo.sources import Files

RARE = 0.05
"""Share of positives below which ranking says more than F1."""
_WIDE, _MANY = 100, 3_000_000
_TINY = 1_000


def project(found: Found, name: str, table: str, pattern: str) -> str:
    """Write ``project.py``."""
    title = t(
        "Predicts “{positive}” or “{negative}” from {file}.", file=found.opened.path.name, **_labels(found)
    )
    parts = [
        f'"""{_doc(title)}"""',
        "",
        *_imports(found),
        *_types(found),
        "",
        "",
        "class Request(BaseModel):",
        f'    """{_doc(t("The request: what is known when the question is asked."))}"""',
        "",
        *(f"    {line}" for line in _request_notes(found)),
        *_request(found),
        "",
        "",
        "class Row(Request):",
        f'    """{_doc(t("The table: the request, and what is known only afterwards."))}"""',
        "",
        *_row(found),
        "",
        "",
        *lines(_project(found, name, table, pattern), 0, "project = "),
    ]
    return "\n".join(parts) + "\n"


def _labels(found: Found) -> dict[str, str]:
    return {"positive": found.outcome.positive, "negative": found.outcome.negative}


def _doc(sentence: str) -> str:
    """A sentence that may stand in a docstring."""
    return clean(sentence).replace("\\", "/").replace('"', "'")[:100]


def _imported(module: str, names: Sequence[str]) -> list[str]:
    """One import, on a line of its own or a name a line, as formatters do."""
    line = f"from {module} import {', '.join(names)}"
    return [line] if len(line) <= WIDTH else [f"from {module} import (", *(f"    {n}," for n in names), ")"]


def _imports(found: Found) -> list[str]:
    time = found.cut.time
    rules = [contract_fields.rule(column, required=column is time) for column in _active(found)]
    needed = frozenset[str]().union(*(rule.imports for rule in rules))
    times = sorted(needed & {"date", "datetime"})
    standard = [f"from datetime import {', '.join(times)}"] if times else []
    standard += ["from typing import Literal"] if "Literal" in needed else []
    ours = ["Files", "Gate", "Project", "Table", "Target", "Tuning", type(found.cut.split).__name__]
    return [
        *standard,
        *([""] if standard else []),
        f"from pydantic import BaseModel{', Field' if 'Field' in needed else ''}",
        "",
        *_imported("relevo", [*sorted(ours), "lightgbm", "logistic", "xgboost"]),
    ]


def _active(found: Found) -> list[Column]:
    """The columns that stand in the contracts, not only in comments."""
    return [*found.columns, *_afterwards(found)]


def _types(found: Found) -> list[str]:
    """The lists of texts that are too long for a field's line."""
    made = []
    for column in _active(found):
        listed = contract_fields.rule(column).listed
        if listed is not None:
            made += lines(listed, 0, f"{contract_fields.type_name(column)} = ")
    return ["", *made] if made else []


def _request_notes(found: Found) -> list[str]:
    notes = [
        t(
            "Ranges and lists come from {rows:,} rows. A range is as much again wider than what was found, so that a"
            " wrong unit is refused and new data is not; a text that was seen often enough is one of a list. Correct"
            " them where you know better.",
            rows=found.opened.rows,
        )
    ]
    notes += found.kept_words
    return [line[4:] for note in notes for line in wrapped(note, "    # ")]


def _request(found: Found) -> list[str]:
    left = {item.column.place: item for item in found.left}
    keep = {column.place for column in found.columns}
    written: list[str] = []
    for column in found.all:
        item = left.get(column.place)
        if column.place in keep:
            if item is not None:
                written += wrapped(t("Look at this one: {reason}.", reason=item.reason), "    # ")
            required = found.cut.time is not None and found.cut.time.place == column.place
            written += contract_fields.written(column, required=required)
        elif item is not None:
            written += wrapped(t("Left out: {reason}.", reason=item.reason), "    # ")
            written += [f"    # {line[4:]}" for line in contract_fields.written(column, inline=True)]
    return written


def _afterwards(found: Found) -> list[Column]:
    """The columns of the table beside the request: what the outcome is made of, and the group."""
    keep = {column.place for column in found.columns}
    wanted = {*found.outcome.columns, *([found.cut.group.place] if found.cut.group else [])}
    return [column for column in found.all if column.place in wanted - keep]


def _row(found: Found) -> list[str]:
    written = []
    for column in _afterwards(found):
        if found.cut.group is not None and column.place == found.cut.group.place:
            note = t("Which rows belong together; it says nothing of new ones, so it is not in the request.")
            written += wrapped(note, "    # ")
        written += contract_fields.written(column)
    return written


def _project(found: Found, name: str, table: str, pattern: str) -> Call:
    outcome = found.outcome
    arguments: list[tuple[str | Call, Sequence[str]]] = [
        (f"name={text(name)}", ()),
        (Call("tables=", (_table(found, table, pattern),), "[]", always=True), _table_notes(found)),
        ("request=Request", ()),
        ('features="features.sql"', ()),
        (
            Call(
                "target=Target",
                (
                    text(outcome.expression),
                    f"positive={text(outcome.positive)}",
                    f"negative={text(outcome.negative)}",
                ),
            ),
            [outcome.why, *_known(found)],
        ),
        (_named("split=", found.cut.split), found.cut.why),
        (f"metric={text(metric(found))}", [_why_metric(found)]),
        ("candidates=[logistic(), lightgbm(), xgboost()]", ()),
        (f"tuning=Tuning(trials={trials(found)})", ()),
        (
            "gate=Gate()",
            [
                t(
                    "Ask for more where you know what is enough: {example}.",
                    example='Gate(minimum={"roc_auc": 0.7})',
                )
            ],
        ),
        (
            'cases="cases.csv"',
            [
                t(
                    "Still empty. Write a row for each request that every model must get right, with “{positive}” or"
                    " “{negative}” as expected; a model that fails one is not released.",
                    **_labels(found),
                )
            ],
        ),
    ]
    notes = tuple(
        tuple(line[10:] for sentence in said for line in wrapped(sentence, " " * 8 + "# ", 102))
        for _, said in arguments
    )
    return Call("Project", tuple(argument for argument, _ in arguments), always=True, notes=notes)


def _table(found: Found, table: str, pattern: str) -> Call:
    source = found.opened.source
    more = [f"{name}={text(value)}" for name, value in _options(source)]
    parts: list[str | Call] = [text(table), "Row", Call("Files", (text(pattern), *more))]
    if found.cut.time is not None and isinstance(found.cut.split, TimeSplit):
        parts.append(f"event_time={text(found.cut.time.name)}")
    if found.nulls:
        parts.append(Call("nulls=", tuple(text(mark) for mark in found.nulls), "[]"))
    return Call("Table", tuple(parts))


def _options(source: Files) -> list[tuple[str, str]]:
    named = {"format": source.format, "delimiter": source.delimiter}
    found = [(name, str(value)) for name, value in named.items() if value is not None]
    return [*found, ("encoding", source.encoding)] if source.encoding != "utf-8" else found


def _table_notes(found: Found) -> list[str]:
    marked = [
        t("“{mark}” in {column} ({count:,})", mark=mark, column=column.header, count=count)
        for column in found.all
        for mark, count in column.marks.items()
    ]
    if not marked:
        return []
    more = t(" and {count} more", count=len(marked) - 6) if len(marked) > 6 else ""  # noqa: PLR2004
    return [t("Taken for null: {marks}{more}.", marks=", ".join(marked[:6]), more=more)]


def _known(found: Found) -> list[str]:
    known = [column for column in found.all if column.place in found.outcome.known]
    return [
        t(
            "“{column}” is where the time is counted from, so it is taken to be known before and stays in the request.",
            column=column.header,
        )
        for column in known
    ]


def _named(before: str, choice: object) -> Call:
    """Write a dataclass with the arguments that are not its defaults."""
    parts = []
    for field in fields(choice):  # type: ignore[arg-type]
        value = getattr(choice, field.name)
        if field.default is MISSING or value != field.default or field.name == "test":
            parts.append(f"{field.name}={text(value) if isinstance(value, str) else repr(value)}")
    return Call(f"{before}{type(choice).__name__}", tuple(parts))


def metric(found: Found) -> str:
    """F1, or PR-AUC where positives are rare."""
    return "pr_auc" if found.outcome.rate < RARE else "f1"


def _why_metric(found: Found) -> str:
    rate = found.outcome.rate
    if metric(found) == "pr_auc":
        return t(
            "{rate:.1%} are “{positive}”: so rare that the ranking matters most.", rate=rate, **_labels(found)
        )
    return t("{rate:.1%} are “{positive}”.", rate=rate, **_labels(found))


def trials(found: Found) -> int:
    """Fewer where each costs much or can tell little."""
    if len(found.columns) > _WIDE or isinstance(found.cut.split, RepeatedStratifiedSplit):
        return 3
    if found.opened.rows < _TINY:
        return 5
    return 6 if found.opened.rows * len(found.columns) > _MANY else 12


def cases(found: Found) -> str:
    """Write the header of ``cases.csv``: what every model must get right, only a person knows."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(
        ["name", *(column.header for column in found.columns), "expected"]
    )
    return out.getvalue()


def readme(found: Found, name: str, folder: str) -> str:
    """Write ``README.md``: what was found, what was left out and why, and what to do next."""
    outcome = found.outcome
    hard = [item for item in found.left if not item.soft]
    soft = [item for item in found.left if item.soft]
    said = [f"# {name}", "", t("Made by `relevo new` from `{file}`.", file=found.opened.path.name), ""]
    said.append(
        t(
            "- Target: `{expression}`: {positives:,} of {rows:,} rows ({rate:.1%}) are “{positive}”. {why}",
            expression=clean(outcome.expression),
            positives=outcome.positives,
            rows=outcome.positives + outcome.negatives,
            rate=outcome.rate,
            why=clean(outcome.why),
            positive=clean(outcome.positive),
        )
    )
    if outcome.unlabelled:
        said.append(t("- {rows:,} rows have no outcome and are not learned from.", rows=outcome.unlabelled))
    said.append(
        t(
            "- Split: `{split}`. {why}",
            split=_named("", found.cut.split).flat(),
            why=clean(" ".join(found.cut.why)),
        )
    )
    said.append(
        t("- {count} fields in the request: {names}.", count=len(found.columns), names=_names(found.columns))
    )
    for title, items in ((t("Left out"), hard), (t("In, but look at"), soft)):
        if items:
            said += ["", f"## {title}", ""]
            said += [f"- `{clean(item.column.header)}`: {clean(item.reason)}." for item in items]
    said += [
        "",
        f"## {t('Next')}",
        "",
        "```console",
        f"$ relevo run {folder}",
        f"$ relevo serve {folder}",
        "```",
        "",
    ]
    said.append(
        t(
            "Then read `project.py`, take out what is known only afterwards, correct the ranges, and write the first"
            " rows of `cases.csv`."
        )
    )
    return "\n".join([*said, ""])


def _names(columns: Sequence[Column], most: int = 20) -> str:
    shown = ", ".join(f"`{column.name}`" for column in columns[:most])
    return f"{shown}, …" if len(columns) > most else shown
