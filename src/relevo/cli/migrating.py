"""``migrate``: the ledger to another database, or its schema back for an earlier Relevo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relevo.cli.options import Json
from relevo.texts import t

HERE = Path()


def migrate(
    project: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", show_default=False, help=t("The project's folder; here by default.")
        ),
    ] = HERE,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URL", help=t("Move the ledger there, such as postgresql://user@host/database.")
        ),
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help=t("Move it even if packages or blobs are absent or damaged."))
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help=t("Take the schema back to this one, for an earlier Relevo.")),
    ] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help=t("Forget the rows for which the earlier schema has no place."))
    ] = False,
    json: Json = False,
) -> None:
    """Move the ledger, or change its schema."""
    from relevo.cli.output import say
    from relevo.errors import LedgerError
    from relevo.workspace import Workspace

    if (to is None) == (schema is None):
        raise LedgerError(t("Say either where to, with --to URL, or which schema, with --schema NUMBER."))
    workspace = Workspace.open(project, create=False)
    if to is not None:
        from relevo.migrate import migrate as move

        url = _with_driver(to)
        _tell_moved(move(workspace, url, as_is=as_is, tell=(lambda _: None) if json else say), url, json=json)
        return
    assert schema is not None
    with workspace.lock():
        workspace.ledger.lower(schema, discard=discard)
    _tell_lowered(workspace.ledger.place, schema, json=json)


def _tell_lowered(place: str, schema: str, *, json: bool) -> None:
    from relevo.cli.output import document, say

    if json:
        document({"ledger": place, "schema": schema})
        return
    say(
        t(
            "{ledger} has schema {schema} now. The next command of this Relevo brings it up to date again.",
            ledger=place,
            schema=schema,
        )
    )


def _with_driver(url: str) -> str:
    """SQLAlchemy's URL of a Postgres that is named as its own tools name it."""
    head, mark, rest = url.partition("://")
    return f"postgresql+psycopg{mark}{rest}" if head in {"postgresql", "postgres"} else url


def _tell_moved(found: dict[str, object], url: str, *, json: bool) -> None:
    from relevo.cli.output import document, say
    from relevo.ledger import address

    if json:
        document(found)
        return
    place, parsed = found["ledger"], address.parsed(url)
    rows = found["rows"]
    assert isinstance(rows, dict)
    projects = found["projects"]
    assert isinstance(projects, tuple)
    if found["before"]:
        say(t("It was moved before; nothing was left to do."))
    say(
        t(
            "{rows:,} rows are there, read back and compared; the chain of releases holds ({projects}).",
            rows=sum(rows.values()),
            projects=", ".join(projects) or "-",
        )
    )
    say(t("From now on set RELEVO_LEDGER={place}, or in relevo.toml:", place=place))
    say(f'  ledger = "{place}"')
    if address.public(parsed) != parsed:
        say(
            t(
                "The password belongs into PGPASSWORD, ~/.pgpass or the variable, not into a file that is shared."
            )
        )
    say(t("A service that runs answers on with what it has, and takes up nothing new: start it again."))
