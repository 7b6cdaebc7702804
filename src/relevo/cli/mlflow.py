"""The options of ``mlflow``: what an MLflow server is told, and how that stands."""

from __future__ import annotations

from typing import Annotated

import typer

from relevo.cli.options import Json, Of
from relevo.cli.watched import HERE, Folder
from relevo.texts import t

app = typer.Typer(
    help=t("Tell an MLflow server what was done, and take up what was moved there."), no_args_is_help=True
)


@app.command(help=t("Tell MLflow what waits, once, and take up the aliases that were moved there."))
def sync(
    project: Folder = HERE,
    project_: Of = HERE,
    again: Annotated[
        bool, typer.Option("--again", help=t("Try what was refused once more, aliases too."))
    ] = False,
    json: Json = False,
) -> None:
    """Tell MLflow."""
    from relevo.cli.mirror import sync as command

    command(project_ if project == HERE else project, again=again, json=json)


@app.command(help=t("Say what waits to be told to MLflow, what it refused, the aliases, and the last error."))
def status(project: Folder = HERE, project_: Of = HERE, json: Json = False) -> None:
    """Show how things stand."""
    from relevo.cli.mirror import status as command

    command(project_ if project == HERE else project, json=json)
