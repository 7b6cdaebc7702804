"""The commands and their options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from relevo.cli import keys
from relevo.cli.loadtest import loadtest
from relevo.cli.options import Json, Of
from relevo.texts import t

app = typer.Typer(
    help=t("From a tabular classifier to a served, judged, rolled-back-able model."),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.add_typer(keys.app, name="keys")

Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", show_default=False, help=t("The project's folder; here by default.")),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE=PATH", help=t("Read a table from another file or URL.")),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help=t("The reason, for the history."))]
HERE = Path()


@app.command(
    help=t("Write a project from a file and a target: contract, features, split, and what looks wrong.")
)
def new(
    name: Annotated[
        Path, typer.Argument(metavar="NAME", show_default=False, help=t("The new project's folder."))
    ],
    from_: Annotated[
        Path,
        typer.Option(
            "--from", metavar="FILE", help=t("CSV, Parquet or JSON lines, with one row for each example.")
        ),
    ],
    target: Annotated[
        str,
        typer.Option(metavar="COLUMN", help=t("The column that holds the outcome, or a condition in SQL.")),
    ],
    positive: Annotated[
        str | None, typer.Option(metavar="VALUE", help=t("Which value of the column is the yes."))
    ] = None,
    lang: Annotated[
        str | None, typer.Option(metavar="en|es", help=t("The language of comments and messages."))
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help=t("Copy the file into the project."))] = False,
    json: Json = False,
) -> None:
    """Write a project."""
    from relevo.cli.creating import new as command

    command(name, from_, target, positive, lang, copy=copy, json=json)


@app.command(help=t("Walk from the data to a released version; does only what is new."))
def run(
    project: Folder = HERE,
    set_: Sets = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=t("Trials for each candidate."))
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="N", min=1, help=t("Seconds for each candidate."))
    ] = None,
    json: Json = False,
) -> None:
    """Run the lifecycle."""
    from relevo.cli.running import run as command

    command(project, set_ or [], trials, seconds, json=json)


@app.command(help=t("Check the project's definition and tell all mistakes."))
def check(project: Folder = HERE, json: Json = False) -> None:
    """Check a project."""
    from relevo.cli.running import check as command

    command(project, json=json)


@app.command(help=t("Do one step of a run, for an orchestrator."))
def step(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=t("The step: ingest, clean, examples, train:NAME, …"))
    ],
    run_id: Annotated[
        str, typer.Option("--run", metavar="ID", help=t("The run's id; a new one begins a run."))
    ],
    project: Of = HERE,
    set_: Sets = None,
    json: Json = False,
) -> None:
    """Do one step."""
    from relevo.cli.running import step as command

    command(name, run_id, project, set_ or [], json=json)


@app.command(help=t("Serve the champion over HTTP; follows promotions without a restart."))
def serve(
    project: Folder = HERE,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help=t("The address to listen on."))] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help=t("The port; 0 takes a free one."))
    ] = 8000,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help=t(
                "Processes that answer; auto takes as many as the control group's quota of processors allows."
            ),
        ),
    ] = "auto",
    rate: Annotated[
        str | None, typer.Option(metavar="100/s", help=t("The most requests of each caller."))
    ] = None,
    access_log: Annotated[
        str | None, typer.Option(metavar="FILE|-", help=t("Write a JSON line for each request."))
    ] = None,
    certificate: Annotated[
        str | None, typer.Option(metavar="FILE", help=t("TLS: the certificate and its chain (PEM)."))
    ] = None,
    certificate_key: Annotated[
        str | None, typer.Option(metavar="FILE", help=t("TLS: the certificate's private key (PEM)."))
    ] = None,
    root_path: Annotated[
        str | None, typer.Option(metavar="PATH", help=t("The path under which a proxy shows the service."))
    ] = None,
    json: Json = False,
) -> None:
    """Serve."""
    # numpy's threads would do nothing here, and not survive a fork
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from relevo.cli.answering import serve as command

    given = {
        "rate": rate,
        "access_log": access_log,
        "certificate": certificate,
        "certificate_key": certificate_key,
        "root_path": root_path,
    }
    command(project, host, port, workers, given, json=json)


@app.command(help=t("Answer a request given as JSON, FIELD=VALUE pairs, or - for standard input."))
def predict(
    request: Annotated[
        list[str], typer.Argument(metavar="REQUEST", help=t("JSON, FIELD=VALUE pairs, or -."))
    ],
    project: Of = HERE,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help=t("Another version than the champion."))
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help=t("Say what each field adds to the probability."))
    ] = False,
    json: Json = False,
) -> None:
    """Predict."""
    from relevo.cli.answering import predict as command

    command(request, project, version, explain=explain, json=json)


@app.command(
    help=t(
        "Score a file in constant memory; every row is kept, a refused one with its problems. With --population,"
        " IN is the project's folder: score what population.sql gives, record it, and write OUT."
    )
)
def score(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="IN",
            show_default=False,
            help=t("CSV, TSV, Parquet or JSON lines; or the project's folder."),
        ),
    ] = None,
    destination: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            show_default=False,
            help=t("CSV, TSV, Parquet or JSON lines, by its ending; may be left out with --population."),
        ),
    ] = None,
    population: Annotated[
        bool,
        typer.Option("--population", help=t("Score the period that comes next, in place of its scores.")),
    ] = False,
    positive: Annotated[
        bool, typer.Option("--positive", help=t("Write only what is decided positive."))
    ] = False,
    top: Annotated[
        int | None, typer.Option(metavar="K", min=1, help=t("Write only the K likeliest of each."))
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="FIELD", help=t("The request's field that keeps rows together."))
    ] = "",
    project: Of = HERE,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help=t("Another version than the champion."))
    ] = "",
    json: Json = False,
) -> None:
    """Score a file or the population."""
    from relevo.cli import scoring

    chosen = scoring.Choice(population=population, positive=positive, top=top, by=by)
    scoring.score(source, destination, project, version, chosen, json=json)


@app.command(help=t("Show the champion, the last run and its steps, the data, and the predictions."))
def status(project: Folder = HERE, project_: Of = HERE, json: Json = False) -> None:
    """Show the status."""
    from relevo.cli.registry import status as command

    command(_either(project, project_), json=json)


@app.command(help=t("List the registered versions."))
def versions(project: Folder = HERE, project_: Of = HERE, json: Json = False) -> None:
    """List versions."""
    from relevo.cli.registry import versions as command

    command(_either(project, project_), json=json)


@app.command(help=t("List every release and verify the chain that links them."))
def history(project: Folder = HERE, project_: Of = HERE, json: Json = False) -> None:
    """List releases."""
    from relevo.cli.registry import history as command

    command(_either(project, project_), json=json)


@app.command(help=t("Make a registered version the champion."))
def promote(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=t("The version, such as 1.2.0."))],
    project: Of = HERE,
    why: Why = "",
    json: Json = False,
) -> None:
    """Promote a version."""
    from relevo.cli.registry import promote as command

    command(version, project, why, json=json)


@app.command(help=t("Go back to the version before, to a version, or to what was champion at a time."))
def rollback(
    project: Of = HERE,
    to: Annotated[str, typer.Option(metavar="VERSION|TIME", help=t("A version, or a time (ISO 8601)."))] = "",
    why: Why = "",
    json: Json = False,
) -> None:
    """Roll back."""
    from relevo.cli.registry import rollback as command

    command(project, to, why, json=json)


@app.command(
    help=t(
        "Try a version beside the champion: as a shadow off the path, or as a canary for a share of the callers."
    )
)
def challenge(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", show_default=False, help=t("The version, such as 1.2.0."))
    ] = "",
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help=t("Answer the same requests, off the path; the answers are logged.")),
    ] = False,
    cpu: Annotated[
        str, typer.Option(metavar="SHARE", help=t("The share of one processor that a shadow may use."))
    ] = "20%",
    canary: Annotated[
        str, typer.Option(metavar="SHARE", help=t("Answer this share of the callers, such as 10%."))
    ] = "",
    by: Annotated[
        str,
        typer.Option(
            metavar="FIELD|key", help=t("What tells a canary's callers apart: their key, or a field.")
        ),
    ] = "",
    end: Annotated[bool, typer.Option("--end", help=t("End what is tried."))] = False,
    project: Of = HERE,
    why: Why = "",
    json: Json = False,
) -> None:
    """Try a version."""
    from relevo.cli import trying

    asked = trying.Asked(version=version, shadow=shadow, cpu=cpu, canary=canary, by=by, end=end)
    trying.challenge(asked, project, why, json=json)


@app.command(help=t("Ask the logged predictions again, of a version: which decisions it would have changed."))
def replay(
    version: Annotated[str, typer.Argument(metavar="VERSION", help=t("The version, such as 1.2.0."))],
    since: Annotated[
        str, typer.Option(metavar="DURATION|TIME", help=t("How far back: 7d, 12h, or a time (ISO 8601)."))
    ] = "7d",
    project: Of = HERE,
    json: Json = False,
) -> None:
    """Replay predictions."""
    from relevo.cli import trying

    trying.replay(version, since, project, json=json)


@app.command(
    help=t(
        "Query the lake: raw.*, clean.*, quarantine.*, history.*, examples.*, scores.*, reviews.*, predictions and"
        " labels."
    )
)
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help=t("One SQL query, read only."))],
    project: Of = HERE,
    json: Json = False,
) -> None:
    """Query the lake."""
    from relevo.cli.query import sql as command

    command(query, project, json=json)


@app.command(help=t("Bring the predictions and labels that were logged into the lake."))
def collect(project: Folder = HERE, json: Json = False) -> None:
    """Collect predictions."""
    from relevo.cli.answering import collect as command

    command(project, json=json)


app.command(
    help=t("Test a service under load: users who wait for answers, the most of them, or a fixed rate.")
)(loadtest)


def _version(value: bool) -> None:
    if value:
        from relevo import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help=t("Print the version."))
    ] = False,
) -> None:
    """Take the options that come before a command."""


def _either(argument: Path, option: Path) -> Path:
    return option if argument == HERE else argument
