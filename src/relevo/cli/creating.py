"""``new``: a project from a file."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from relevo.cli.output import document, say
from relevo.errors import Mistake, ProjectError
from relevo.texts import LANGUAGES, speaking, t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.scaffold import Made

NAMES = 50
"""Fields that are named at most."""


def new(
    folder: Path,
    source: Path,
    target: str,
    positive: str | None,
    language: str | None,
    *,
    copy: bool,
    json: bool,
) -> None:
    """Write a project; its comments and what is said are in ``language``."""
    from relevo import scaffold

    if language is not None and language not in LANGUAGES:
        problem = t("the language “{language}” is unknown.", language=language)
        raise ProjectError(
            [Mistake("relevo new", "--lang", problem, t("Known: {names}.", names=", ".join(LANGUAGES)))]
        )
    with speaking(language) if language else nullcontext():
        made = scaffold.new(folder, source, target, positive=positive, copy=copy)
        if json:
            document(scaffold.report(made))
        else:
            _tell(made)


def _tell(made: Made) -> None:
    found, outcome = made.found, made.found.outcome
    say(
        t(
            "{rows:,} rows; {rate:.1%} are “{positive}” ({expression}).",
            rows=found.opened.rows,
            rate=outcome.rate,
            positive=outcome.positive,
            expression=outcome.expression,
        )
    )
    if outcome.unlabelled:
        say(t("{rows:,} rows have no outcome and are not learned from.", rows=outcome.unlabelled))
    if found.opened.damaged:
        say(t("{rows:,} rows are damaged and go to quarantine.", rows=found.opened.damaged))
    if found.nulls:
        say(t("Taken for null: {marks}.", marks=", ".join(f"“{mark}”" for mark in found.nulls)))
    for sentence in found.cut.why:
        say(sentence)
    say(
        t("{count} fields: {names}", count=len(found.columns), names=", ".join(c.name for c in found.columns))
    )
    for item in found.left:
        head = t("Look at") if item.soft else t("Left out")
        say(f"  {head} {item.column.header}: {item.reason}.")
    say(
        t(
            "Written: {folder}. Read project.py, then: {command}",
            folder=made.folder,
            command=made.next,
        )
    )
