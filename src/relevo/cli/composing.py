"""What ``relevo export compose`` does: a stack's files, and what to type next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relevo.cli.exporting import dags, put
from relevo.cli.output import say
from relevo.definition import load
from relevo.errors import RequestError
from relevo.export import compose as compose_
from relevo.export import observing
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path


def compose(folder: Path, to: Path, stack: str, *, force: bool, json: bool) -> None:
    """Write a stack and say how it is started."""
    if stack not in compose_.STACKS:
        problem = t("{stack!r} is none of: {known}.", stack=stack, known=", ".join(compose_.STACKS))
        raise RequestError([{"field": "--stack", "problem": problem}])
    definition = load(folder)
    files = compose_.files(definition.name, folder=seen_from(to, folder), stack=stack)
    if stack == compose_.FULL:
        found = dags(definition, folder=folder, at="/project")
        files |= {f"dags/{path}": text for path, text in found.items()}
        files |= observing.files(definition, compose_.SERVICES, key_file="/run/secrets/metrics_key")
    put(files, to, engine="compose", force=force, json=json)
    if not json:
        say(
            "\n"
            + t("Next, in {folder}:", folder=to)
            + "\n  ./secrets.sh\n  docker compose build\n  docker compose up -d --wait"
        )


def seen_from(to: Path, folder: Path) -> str:
    """The folder as a relative path that Compose takes for one."""
    found = os.path.relpath(folder.absolute(), to.absolute())
    return found if found.startswith(".") else f"./{found}"
