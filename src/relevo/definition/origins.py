"""What a project's sources declare, checked, and replaced where ``--set`` says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from relevo.errors import Mistake
from relevo.sources import NUMBER, SECRET_HEADER, VARIABLE, WEB, Batches, Files, Folder, Query, Rows, public
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.project import Project
    from relevo.sources import Source

FILE = "project.py"


def check(project: Project) -> list[Mistake]:
    """What is wrong with a source before anything is asked of it."""
    return [
        Mistake(FILE, f"Table {table.name}", problem, remedy)
        for table in project.tables
        for problem, remedy in _problems(table.source)
    ]


def _problems(source: object) -> Iterator[tuple[str, str]]:
    match source:
        case Batches():
            yield from _of_batches(source)
        case Query():
            yield from _of_query(source)
        case Rows():
            yield from _of_rows(source)
        case Folder():
            if source.settled < 0:
                yield t("settled is {value}.", value=source.settled), t("Write seconds, 0 or more.")
        case Files():
            pass
        case _:
            problem = t("its source is a {type}.", type=type(source).__name__)
            yield problem, t("Write one of {kinds}.", kinds="Files, Folder, Query, Batches, Rows")


def _of_batches(source: Batches) -> Iterator[tuple[str, str]]:
    if not source.url.startswith(VARIABLE) and (not source.url.startswith(WEB) or NUMBER not in source.url):
        problem = t("“{url}” is no URL of batches.", url=source.place)
        yield problem, t("Write http://… or https://… with {number} in it.", number=NUMBER)
    for name in ("tries", "per_run", "largest"):
        value = getattr(source, name)
        if value is not None and value < 1:
            yield t("{name} is {value}.", name=name, value=value), t("Write 1 or more.")
    for name, value in source.headers.items():
        if SECRET_HEADER.search(name) and VARIABLE not in value:
            problem = t("the header {name} holds a secret in the project's own text.", name=name)
            yield problem, t('Write "env:NAME" and set that environment variable.')


def _of_query(source: Query) -> Iterator[tuple[str, str]]:
    if not source.url.startswith(VARIABLE) and ("://" not in source.url or source.url.startswith(WEB)):
        problem = t("“{url}” is no database URL.", url=source.place)
        yield problem, t("Write sqlite:///path.db, postgresql://user@host/database, or env:NAME.")
    if source.lag is not None and source.watermark is None:
        yield t("there is a lag, but no watermark."), t("Name the column that rises, or leave the lag out.")


def _of_rows(source: Rows) -> Iterator[tuple[str, str]]:
    if isinstance(source.function, str):
        module, mark, name = source.function.partition(":")
        if not (module and mark and name):
            problem = t("“{name}” is no function.", name=source.function)
            yield problem, t('Write "module:function".')
    elif not _is_callable(source.function):
        problem = t("“{name}” is no function.", name=source.function)
        yield problem, t("Name a function of project.py.")


def _is_callable(found: object) -> bool:
    return callable(found)


def given(text: str) -> str:
    """What ``--set`` gives: a URL or ``env:NAME`` as it stands, a path made absolute."""
    return text if "://" in text or text.startswith(VARIABLE) else str(Path(text).absolute())


def redirect(source: Source, text: str, name: str) -> tuple[Source, list[Mistake]]:
    """The source that ``--set name=text`` asks for: any table may read files, others a URL of their kind."""
    text = given(text)
    if public(text) != text:
        remedy = t("It would be written into the ledger. Put the URL in a variable and write env:NAME.")
        return source, [Mistake("--set", name, t("the URL holds a password or another secret."), remedy)]
    variable = text.startswith(VARIABLE)
    if isinstance(source, Batches) and (variable or text.startswith(WEB)):
        return replace(source, url=text), []
    if isinstance(source, Query) and (variable or ("://" in text and not text.startswith(WEB))):
        return replace(source, url=text), []
    if variable or "://" in text:
        problem = t("“{url}” cannot take the place of {kind}.", url=text, kind=type(source).__name__)
        remedy = t("http://… replaces Batches, a database's URL a Query, and a path any source.")
        return source, [Mistake("--set", name, problem, remedy)]
    if isinstance(source, Query | Rows):
        return Files(text), []
    encoding = source.encoding or "utf-8"
    origin = source.origin if isinstance(source, Files) else None
    return Files(text, None, source.delimiter, source.quote, source.escape, encoding, origin), []
