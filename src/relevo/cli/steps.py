"""The options of the commands by which an orchestrator drives a run: ``step`` and ``end``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relevo.cli.options import Json, Of
from relevo.texts import t

HERE = Path()


def step(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=t("The step: ingest, clean, examples, train:NAME, …"))
    ],
    run_id: Annotated[
        str, typer.Option("--run", metavar="ID", help=t("The run's id; a new one begins a run."))
    ],
    project: Of = HERE,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="TABLE=PATH", help=t("Read a table from another file or URL.")),
    ] = None,
    window: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help=t("With a new run: learn only from the newest rows, such as 180d.")
        ),
    ] = "",
    because: Annotated[
        str, typer.Option(metavar="ID", help=t("With a new run: the decision that it follows from."))
    ] = "",
    json: Json = False,
) -> None:
    """Do one step."""
    from relevo.cli import stepping

    stepping.step(name, run_id, project, stepping.Begun(set_ or [], window, because), json=json)


def end(
    run_id: Annotated[str, typer.Argument(metavar="ID", help=t("The run's id."))],
    project: Of = HERE,
    failed: Annotated[bool, typer.Option("--failed", help=t("It was given up, not only left off."))] = False,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help=t("The reason, for the history."))] = "",
    json: Json = False,
) -> None:
    """End a run."""
    from relevo.cli import stepping

    stepping.end(run_id, project, why, failed=failed, json=json)
