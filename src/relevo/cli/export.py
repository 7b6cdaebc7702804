"""``relevo export``: files for the engines that a company runs already. The options of each engine are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relevo.cli.options import Json
from relevo.texts import t

app = typer.Typer(
    help=t("Write files for other engines; what was edited by hand is never overwritten."),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", show_default=False, help=t("The project's folder; here by default.")),
]
To = Annotated[
    Path, typer.Option("--to", metavar="DIR", show_default=False, help=t("The folder to write to."))
]
Force = Annotated[
    bool, typer.Option("--force", help=t("Replace edited files too; they are kept as NAME.orig."))
]


@app.command(
    help=t(
        "Write a DAG file and the module it imports: one task for each step, run in Relevo's own environment."
    )
)
def airflow(
    to: To,
    project: Folder = Path(),
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="PATH",
            help=t("Where Airflow's workers find the project's folder; where it is now."),
        ),
    ] = "",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write for Airflow."""
    from relevo.cli import exporting

    exporting.airflow(project, to, at, force=force, json=json)


@app.command(
    help=t("Write a stack for Docker Compose: its files, its images' build, and what makes its secrets.")
)
def compose(
    to: To,
    project: Folder = Path(),
    stack: Annotated[
        str,
        typer.Option(
            metavar="light|full",
            help=t(
                "light is one container; full has Postgres, MLflow, Airflow, two services and what watches them."
            ),
        ),
    ] = "light",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write for Docker Compose."""
    from relevo.cli import composing

    composing.compose(project, to, stack, force=force, json=json)


@app.command(
    help=t(
        "Write kustomize manifests for Kubernetes; requests and limits are what runs and a load test showed."
    )
)
def kubernetes(
    to: To,
    project: Folder = Path(),
    image: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=t("The image with Relevo and the project, with a tag; NAME:1.0.0 by default."),
        ),
    ] = "",
    serve_image: Annotated[
        str, typer.Option(metavar="NAME", help=t("A smaller image for the API; the same by default."))
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            metavar="light|full",
            help=t("light fits one small node; full has the ledger on Postgres and scales over nodes."),
        ),
    ] = "light",
    load_test: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help=t("What `relevo loadtest --out FILE` said of the service."),
        ),
    ] = None,
    node: Annotated[
        str, typer.Option(metavar="CPUS:MEMORY", help=t("The single node that light must fit."))
    ] = "2:4GB",
    no_workflows: Annotated[
        bool,
        typer.Option("--no-workflows", help=t("Leave out the CronJobs, where Airflow runs the workflows.")),
    ] = False,
    assume: Annotated[
        bool, typer.Option("--assume", help=t("Take marked guesses for what was not measured."))
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write for Kubernetes."""
    from relevo.cli import kubernetes as command

    command.kubernetes(
        project,
        command.Options(
            to=to,
            image=image,
            serve_image=serve_image,
            profile=profile,
            load_test=load_test,
            node=node,
            workflows=not no_workflows,
            assume=assume,
            force=force,
            json=json,
        ),
    )
