"""The options of the commands that tell what happened to a project."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations at run time
from typing import Annotated

import typer

from relevo.cli.options import Json, Of
from relevo.cli.watched import HERE, Folder
from relevo.texts import t


def why(
    about: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            show_default=False,
            help=t("A version, or an id of an alert, a run, a decision or a window, or how it begins."),
        ),
    ],
    project: Of = HERE,
    json: Json = False,
) -> None:
    """Tell a story."""
    from relevo.cli.telling import why as command

    command(about, project, json=json)


def cases(
    project: Folder = HERE,
    url: Annotated[
        str,
        typer.Option(
            metavar="URL", help=t("The service to ask; by default the one of this workspace, if one listens.")
        ),
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=t("A file with the key to it; or RELEVO_CASES_KEY holds it.")),
    ] = None,
    json: Json = False,
) -> None:
    """Ask the critical cases."""
    from relevo.cli.telling import cases as command

    command(project, url, key_file, json=json)


def report(
    project: Folder = HERE,
    week: Annotated[
        str,
        typer.Option(metavar="WEEK", help=t("The week, such as 2026-W46; the last whole one by default.")),
    ] = "",
    lang: Annotated[str | None, typer.Option(metavar="en|es", help=t("The report's language."))] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help=t("The folder to write it to; reports in the workspace by default.")
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a week's report."""
    from relevo.cli.reporting import report as command

    command(project, week, lang, out, json=json)


def trends(project: Folder = HERE, json: Json = False) -> None:
    """Show trends."""
    from relevo.cli.reporting import trends as command

    command(project, json=json)
