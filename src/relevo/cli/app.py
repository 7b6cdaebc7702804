"""The commands and their options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from relevo.cli import alerts, export, keys, migrating, mlflow, preparing, steps, stories, watched
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
app.add_typer(alerts.app, name="alerts")
app.add_typer(watched.withheld, name="withheld")
app.add_typer(export.app, name="export")
app.add_typer(mlflow.app, name="mlflow")

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


app.command(help=t("Do one step of a run, for an orchestrator."))(steps.step)
app.command(help=t("End a run that an orchestrator does not go on with; one that has ended stays as it is."))(
    steps.end
)


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
    gradio: Annotated[
        bool, typer.Option("--gradio", help=t("Show the end user's page at /gradio (relevo[gradio])."))
    ] = False,
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
        "gradio": gradio or None,
    }
    command(project, host, port, workers, given, json=json)


@app.command(
    help=t(
        "Show the end user's page, made from the contract: of a service, or of the champion in this process."
    )
)
def gradio(
    project: Folder = HERE,
    url: Annotated[
        str, typer.Option(metavar="URL", help=t("The service to ask; without it the champion answers here."))
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=t("File of the key for --url; RELEVO_API_KEY by default.")),
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help=t("The address to listen on."))] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help=t("The port; 0 takes a free one."))
    ] = 7860,
    root_path: Annotated[
        str | None, typer.Option(metavar="PATH", help=t("The path under which a proxy shows the page."))
    ] = None,
    lang: Annotated[
        str, typer.Option(metavar="en|es", help=t("The page's language; the browser's by default."))
    ] = "",
    json: Json = False,
) -> None:
    """Show the page."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from relevo.cli.paging import gradio as command

    command(project, url, key_file, host, port, root_path, lang, json=json)


@app.command(
    help=t("Serve and schedule in one command: the API, and everything that is to be done by the clock.")
)
def up(
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
    no_serve: Annotated[bool, typer.Option("--no-serve", help=t("Schedule only."))] = False,
    json: Json = False,
) -> None:
    """Serve and schedule."""
    from relevo.cli.up import up as command

    command(project, host, port, workers, serve=not no_serve, json=json)


@app.command(help=t("List what is scheduled next, and what ran."))
def jobs(
    project: Folder = HERE,
    project_: Of = HERE,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help=t("How many jobs that ran."))] = 20,
    json: Json = False,
) -> None:
    """List jobs."""
    from relevo.cli.jobs import jobs as command

    command(_either(project, project_), limit, json=json)


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


@app.command(
    help=t("Compare two files, folders or patterns: which columns are distributed otherwise, and how.")
)
def drift(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help=t("Parquet, CSV or JSON lines: what it was like."))
    ],
    current: Annotated[str, typer.Argument(metavar="CURRENT", help=t("What it is like now."))],
    columns: Annotated[
        str, typer.Option(metavar="A,B", help=t("Only these columns; all that both have by default."))
    ] = "",
    top: Annotated[int, typer.Option(metavar="N", min=1, help=t("Show so many columns."))] = 20,
    json: Json = False,
) -> None:
    """Compare two sets of rows."""
    from relevo.cli.drifting import drift as command

    command(reference, current, columns, top, json=json)


@app.command(help=t("Bring the predictions and labels that were logged into the lake."))
def collect(project: Folder = HERE, json: Json = False) -> None:
    """Collect predictions."""
    from relevo.cli.answering import collect as command

    command(project, json=json)


@app.command(help=t("Send the messages that wait, once; exit code 1 says that a channel failed."))
def deliver(project: Folder = HERE, json: Json = False) -> None:
    """Deliver messages."""
    from relevo.cli.delivering import deliver as command

    command(project, json=json)


app.command(
    help=t(
        "Make a workspace ready for processes that share it: folders, the ledger's tables, keys from files."
    )
)(preparing.prepare)
app.command(
    help=t("Look at what is new, alert, decide what follows, and do it: retrain, roll back, withhold.")
)(watched.monitor)
app.command(
    help=t("Tell how a version, an alert, a run, a decision or a window came about, and what followed.")
)(stories.why)
app.command(
    help=t("Ask the critical cases of what answers now, and alert about those that fail (exit code 1).")
)(stories.cases)
app.command(
    help=t("Write a week's report in plain words, as HTML and Markdown; the first lines say what to look at.")
)(stories.report)
app.command(
    help=t("Show what each step costs from run to run, what became dearer, and which limit comes near.")
)(stories.trends)
app.command(help=t("Move the ledger to another database, or take its schema back for an earlier Relevo."))(
    migrating.migrate
)
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
