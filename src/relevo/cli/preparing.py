"""``prepare``: what other processes need before they can begin on a workspace, in one command that may be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relevo import disk
from relevo.cli.options import Json, Of
from relevo.cli.output import document, say
from relevo.errors import RequestError, WorkspaceError
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.records import ApiKey
    from relevo.workspace import Workspace


def prepare(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", show_default=False, help=t("The project's folder; here by default.")
        ),
    ] = Path(),
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:SCOPE[,SCOPE]=FILE",
            help=t("Take the key that the file holds, good for these scopes; may be repeated."),
        ),
    ] = None,
    project: Of = Path(),
    json: Json = False,
) -> None:
    """Make the workspace and the ledger's tables, note the project's name, and take keys. Safe to repeat."""
    from relevo.definition import load
    from relevo.workspace import Workspace

    place = project if folder == Path() else folder
    wanted = [_asked(one) for one in key or []]
    definition = load(place)
    workspace = Workspace.open(place)
    for needed in (workspace.blobs.root, workspace.lookups, workspace.logs):
        with disk.explained(needed):
            needed.mkdir(mode=0o700, parents=True, exist_ok=True)
    workspace.ledger.projects()  # its first use makes the tables
    workspace.remember(definition.name)
    taken = [_take(workspace, definition.name, *one) for one in wanted]
    ids, revoked = [one.id for one in taken], [one.id for one in taken if one.revoked_at]
    if json:
        facts = {"project": definition.name, "workspace": str(workspace.root)}
        document({**facts, "keys": ids, "revoked": revoked})
    else:
        for id_ in revoked:
            say(t("The key {id} is revoked and opens nothing; make a new one.", id=id_))
        say(
            t(
                "{project} is ready in {root}; keys: {count}.",
                project=definition.name,
                root=workspace.root,
                count=len(taken),
            )
        )


def _asked(text: str) -> tuple[str, list[str], Path]:
    from relevo.keys import SCOPES

    head, mark, path = text.partition("=")
    name, colon, listed = head.partition(":")
    scopes = [part.strip() for part in listed.split(",") if part.strip()]
    if not (mark and colon and name and path and scopes) or any(part not in SCOPES for part in scopes):
        problem = t(
            "{text!r} is not NAME:SCOPE=FILE. Scopes are: {known}.", text=text, known=", ".join(SCOPES)
        )
        raise RequestError([{"field": "--key", "problem": problem}])
    return name, scopes, Path(path)


def _take(workspace: Workspace, project: str, name: str, scopes: list[str], path: Path) -> ApiKey:
    """Put a file's key into the ledger unless it is there; returns it as it is there.

    One that was revoked stays revoked. Raises ``WorkspaceError`` when it is there as another, or good for other scopes.
    """
    from relevo import keys
    from relevo.cli.trying import who

    with disk.explained(path):
        text = path.read_text(encoding="utf-8").strip()
    try:
        made = keys.of(text, project, name, scopes, who=who(), expires=None)
    except ValueError as error:
        problem = t("it is empty") if not text else str(error)
        raise WorkspaceError(t("{path}: holds no key: {problem}.", path=path, problem=problem)) from error
    known = next((one for one in workspace.ledger.keys.all(project) if one.id == made.id), None)
    if known is None:
        workspace.ledger.keys.add(made)
        return made
    if not _same(known, text):
        raise WorkspaceError(
            t("{path}: its key bears the id of another, {id}. Make a new one.", path=path, id=made.id)
        )
    if not known.revoked_at and (known.name, known.scopes) != (made.name, made.scopes):
        raise WorkspaceError(
            t(
                "{path}: its key is known as {known}, not as {asked}. What a key is good for stays: make a new one, "
                "and revoke this one with relevo keys revoke {id}.",
                path=path,
                known=_shown(known),
                asked=_shown(made),
                id=made.id,
            )
        )
    return known


def _shown(key: ApiKey) -> str:
    return f"{key.name}:{','.join(key.scopes)}"


def _same(known: ApiKey, text: str) -> bool:
    from relevo import keys

    found = keys.split(text)
    return found is not None and keys.matches(known, found[1])
