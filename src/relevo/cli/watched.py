"""The options of the commands that watch a project and renew it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relevo.cli.options import Json, Of
from relevo.texts import t

HERE = Path()
Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", show_default=False, help=t("The project's folder; here by default.")),
]


def monitor(
    project: Folder = HERE,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE=PATH", help=t("Read a table from another file or URL.")),
    ] = None,
    no_renew: Annotated[
        bool, typer.Option("--no-renew", help=t("Alert and decide, but begin no run and roll nothing back."))
    ] = False,
    no_runs: Annotated[
        bool,
        typer.Option("--no-runs", help=t("Begin no run, but list those that wait, for an orchestrator.")),
    ] = False,
    json: Json = False,
) -> None:
    """Look at what is new, alert, decide and act."""
    from relevo.cli.monitoring import monitor as command

    command(project, set_ or [], act=not no_renew, runs=not no_runs, json=json)


withheld = typer.Typer(
    help=t("List the pieces of data that are withheld from learning, and give them back."),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@withheld.command("list", help=t("List the pieces that are withheld, and why."))
def list_(project: Of = HERE, json: Json = False) -> None:
    """List what is withheld."""
    from relevo.cli.monitoring import list_withheld as command

    command(project, json=json)


@withheld.command(help=t("Let a piece be learned from again, since it was mended or is right after all."))
def give_back(
    piece: Annotated[str, typer.Argument(metavar="PIECE", help=t("Its name, or how its digest begins."))],
    project: Of = HERE,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help=t("The reason, for the history."))] = "",
    json: Json = False,
) -> None:
    """Give a piece back."""
    from relevo.cli.monitoring import give_back as command

    command(piece, project, why, json=json)
