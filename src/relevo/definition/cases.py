"""Critical cases: requests with the decision that every model must give."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevo import validation
from relevo.definition import files
from relevo.errors import Mistake, RequestError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relevo.contract import Contract
    from relevo.target import Target

EXPECTED, NAME = "expected", "name"


@dataclass(frozen=True)
class Case:
    """One critical case: a validated request and the decision it must get."""

    name: str
    request: Mapping[str, Any]
    expected: bool
    line: int


def read(path: Path, contract: Contract, target: Target) -> tuple[tuple[Case, ...], list[Mistake]]:
    """Read ``cases.csv``: the request's columns, ``expected`` (one of the two labels) and, if wanted, ``name``."""
    if not path.is_file():
        problem, remedy = t("there is no such file."), t("Write it, or leave `cases` out.")
        return (), [Mistake("project.py", "Project.cases", f"{path.name}: {problem}", remedy)]
    validators = validation.build(contract)
    cases: list[Case] = []
    mistakes: list[Mistake] = []
    text = files.read_text(path, path.name, mistakes, newline="")
    if text is None:
        return (), mistakes
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if EXPECTED not in (reader.fieldnames or ()):
        remedy = t(
            "Add it, with “{positive}” or “{negative}”.",
            positive=target.positive,
            negative=target.negative,
        )
        return (), [Mistake(path.name, EXPECTED, t("the column is absent."), remedy)]
    for row in reader:
        found = _case(row, reader.line_num, validators, contract, target, path.name)
        if isinstance(found, Case):
            cases.append(found)
        else:
            mistakes += found
    return tuple(cases), mistakes


def _case(
    row: Mapping[str, Any],
    line: int,
    validators: validation.Validators,
    contract: Contract,
    target: Target,
    file: str,
) -> Case | list[Mistake]:
    place = t("line {line}", line=line)
    labels = {target.positive: True, target.negative: False}
    expected = (row[EXPECTED] or "").strip()
    mistakes = []
    if expected not in labels:
        problem = t("“{value}” is neither “{positive}” nor “{negative}”.", value=expected, **vars(target))
        mistakes.append(Mistake(file, f"{place}, {EXPECTED}", problem, ""))
    known = {spelling for field in contract.fields for spelling in (field.alias, field.name)}
    request = {k: v if v != "" else None for k, v in row.items() if k in known}
    try:
        valid = validation.validate(validators, request)
    except RequestError as error:
        return mistakes + [
            Mistake(file, f"{place}, {p['field']}", str(p["problem"]), "") for p in error.problems
        ]
    name = (row.get(NAME) or place).strip()
    return mistakes or Case(name, valid, labels[expected], line)
