"""``relevo keys``: making, listing and revoking the keys to a project's service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relevo.cli.options import Json, Of
from relevo.cli.output import document, say, table
from relevo.errors import RequestError
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.records import ApiKey
    from relevo.workspace import Workspace

app = typer.Typer(
    help=t("Make, list and revoke keys to the service."),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_SECRET = {"salt", "digest", "method"}


@app.command(help=t("Make a key. It is shown once: what is kept cannot be turned back into it."))
def create(
    scope: Annotated[
        list[str], typer.Option(metavar="SCOPE", help=t("predict, label, read or admin; may be repeated."))
    ],
    project: Of = Path(),
    name: Annotated[str, typer.Option(metavar="TEXT", help=t("Whose key it is."))] = "",
    expires: Annotated[
        str, typer.Option(metavar="90d|never", help=t("How long it is good; a year by default."))
    ] = "365d",
    rate: Annotated[
        str | None, typer.Option(metavar="100/s", help=t("The most requests in a second, minute or hour."))
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=t("The most requests at once."))
    ] = None,
    json: Json = False,
) -> None:
    """Make a key."""
    from relevo import durations, keys
    from relevo.cli.trying import who
    from relevo.service import per_second

    scopes = [part.strip() for given in scope for part in given.split(",") if part.strip()]
    wrong = [part for part in scopes if part not in keys.SCOPES]
    if wrong or not scopes:
        problem = t("{scope} is no scope. Scopes are: {known}.", scope=wrong, known=", ".join(keys.SCOPES))
        raise RequestError([{"field": "--scope", "problem": problem}])
    try:
        lasting = None if expires == "never" else durations.parse(expires)
    except (ValueError, OverflowError) as error:
        raise RequestError([{"field": "--expires", "problem": str(error)}]) from error
    try:
        per = None if rate is None else per_second(rate)
    except ValueError as error:
        raise RequestError([{"field": "--rate", "problem": str(error)}]) from error
    workspace, named = _open(project)
    key, text = keys.create(
        named, name, scopes, who=who(), expires=lasting, rate=per, concurrency=concurrency
    )
    workspace.ledger.keys.add(key)
    if json:
        document({**_shown(key), "key": text})
        return
    say(text)
    until = key.expires_at[:19] or t("never")
    say(
        t(
            "Keep it: it is not shown again. Scopes: {scopes}; expires: {until}.",
            scopes=", ".join(key.scopes),
            until=until,
        )
    )


@app.command("list", help=t("List the keys, and which of them are good."))
def list_(project: Of = Path(), json: Json = False) -> None:
    """List keys."""
    workspace, name = _open(project)
    found = [_shown(key) for key in workspace.ledger.keys.all(name)]
    if json:
        document(found)
        return
    columns = (t("key"), t("name"), t("scopes"), t("state"), t("made"), t("expires"), t("who"))
    rows = [
        (
            one["id"],
            one["name"],
            ", ".join(one["scopes"]),
            one["state"],
            one["created_at"][:19],
            one["expires_at"][:19] or t("never"),
            one["who"],
        )
        for one in found
    ]
    table(columns, rows)


@app.command(help=t("Revoke a key: services that run refuse it within a second."))
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help=t("The key's id, as listed."))],
    project: Of = Path(),
    json: Json = False,
) -> None:
    """Revoke a key."""
    workspace, name = _open(project)
    found = workspace.ledger.keys.revoke(name, key)
    if json:
        document(_shown(found))
    else:
        say(t("Key {id} is revoked since {time}.", id=found.id, time=found.revoked_at[:19]))


def _open(folder: Path) -> tuple[Workspace, str]:
    from relevo.workspace import Workspace

    workspace = Workspace.open(folder, create=False)
    return workspace, workspace.project_name()


def _shown(key: ApiKey) -> dict[str, Any]:
    from dataclasses import asdict

    from relevo.records import now

    expired = bool(key.expires_at) and key.expires_at <= now()
    state = t("revoked") if key.revoked_at else t("expired") if expired else t("good")
    shown = {name: value for name, value in asdict(key).items() if name not in _SECRET}
    return {**shown, "state": state}
