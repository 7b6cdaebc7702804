"""``relevo alerts``: listing alerts, taking them on, resolving them, and testing the channels that carry them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from relevo.cli.options import Json, Of
from relevo.texts import t


class _Listing(TyperGroup):
    """A group that lists when no command of it is named: ``relevo alerts``, ``relevo alerts FOLDER --all``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put the command in where there is none."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Listing,
    help=t("List alerts, take them on, resolve them, and test the channels."),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Ids = Annotated[list[str], typer.Argument(metavar="ID", help=t("Ids, or their first characters."))]
Said = Annotated[str, typer.Option("--why", metavar="TEXT", help=t("What you do about it, or did."))]


@app.command("list", help=t("List the alerts that are not resolved; this is what `relevo alerts` does."))
def list_(
    project: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", show_default=False, help=t("The project's folder; here by default.")
        ),
    ] = Path(),
    project_: Of = Path(),
    all_: Annotated[bool, typer.Option("--all", help=t("Those that are resolved too."))] = False,
    json: Json = False,
) -> None:
    """List alerts."""
    from relevo.cli import alerting

    alerting.list_(project_ if project == Path() else project, every=all_, json=json)


@app.command(help=t("Show an alert: what was seen, what happened to it, and who was told."))
def show(
    alert: Annotated[str, typer.Argument(metavar="ID", help=t("The id, or its first characters."))],
    project: Of = Path(),
    json: Json = False,
) -> None:
    """Show an alert."""
    from relevo.cli import alerting

    alerting.show(alert, project, json=json)


@app.command(help=t("Acknowledge alerts: you look into them, and nobody else is called."))
def ack(alerts: Ids, why: Said = "", project: Of = Path(), json: Json = False) -> None:
    """Acknowledge alerts."""
    from relevo.cli import alerting

    alerting.ack(alerts, why, project, json=json)


@app.command(help=t("Resolve alerts: what they are about is over."))
def resolve(alerts: Ids, why: Said = "", project: Of = Path(), json: Json = False) -> None:
    """Resolve alerts."""
    from relevo.cli import alerting

    alerting.resolve(alerts, why, project, json=json)


@app.command("test", help=t("Send a test message now, and say of each channel whether it went out."))
def try_(
    channel: Annotated[
        str, typer.Option(metavar="NAME", help=t("One channel, such as email.oncall; all by default."))
    ] = "",
    project: Of = Path(),
    json: Json = False,
) -> None:
    """Test channels."""
    from relevo.cli import delivering

    delivering.test(channel, project, json=json)
