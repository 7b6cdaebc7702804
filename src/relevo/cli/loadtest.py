"""The options of ``loadtest``, which are many."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads it at run time
from typing import Annotated

import typer

from relevo.texts import t


def loadtest(
    url: Annotated[str, typer.Argument(metavar="URL", help=t("The service, such as http://127.0.0.1:8000."))],
    users: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1_000_000, help=t("Users; 100, with --capacity at most 1024.")),
    ] = None,
    spawn: Annotated[
        float | None, typer.Option(metavar="N", min=0.001, help=t("Users who begin in a second; 1."))
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="TIME", help=t("How long; 60s, with --capacity 10s for each level."))
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, max=256, help=t("Processes that simulate the users."))
    ] = 1,
    capacity: Annotated[
        bool, typer.Option("--capacity", help=t("Find the most users within --p95 and --errors (0.1%)."))
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N", min=0.001, max=1_000_000, help=t("Requests a second by the clock, instead of users.")
        ),
    ] = None,
    arrivals: Annotated[
        str, typer.Option(metavar="constant|poisson", help=t("With --rate: evenly, or as chance has it."))
    ] = "constant",
    connections: Annotated[
        int, typer.Option(metavar="N", min=1, max=60_000, help=t("With --rate: connections at most."))
    ] = 512,
    p95: Annotated[
        str | None, typer.Option("--p95", metavar="TIME", help=t("The p95 that is still good."))
    ] = None,
    errors: Annotated[
        str | None, typer.Option(metavar="SHARE", help=t("The share of failures that is still good."))
    ] = None,
    check: Annotated[bool, typer.Option("--check", help=t("Exit with 1 when a limit is missed."))] = False,
    body: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=t("Bodies: JSON or JSON lines; drawn from the contract without it.")
        ),
    ] = None,
    path: Annotated[str, typer.Option(metavar="PATH", help=t("The route, below the URL."))] = "/v1/predict",
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help=t("A further header; may be repeated."))
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            envvar="RELEVO_API_KEY",
            show_default=False,
            help=t("The API key, as bearer token."),
        ),
    ] = "",
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help=t("After this a request without an answer has failed."))
    ] = "10s",
    seed: Annotated[int, typer.Option(metavar="N", help=t("Of the bodies and of chance."))] = 0,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help=t("Write the locustfile, to change it, and stop."))
    ] = None,
    locustfile: Annotated[Path | None, typer.Option(metavar="FILE", help=t("Run this locustfile."))] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help=t("Write the report as a page."))] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help=t("Write the report as JSON."))] = None,
    json: Annotated[bool, typer.Option("--json", help=t("Print one JSON document."))] = False,
) -> None:
    """Test a service."""
    from relevo.cli.loadtesting import Options
    from relevo.cli.loadtesting import loadtest as command

    options = Options(
        users,
        spawn,
        time,
        processes,
        capacity,
        rate,
        arrivals,
        connections,
        p95,
        errors,
        check,
        body,
        path,
        header or [],
        key,
        timeout,
        seed,
        write,
        locustfile,
        html,
        out,
        json,
    )
    command(url, options)
