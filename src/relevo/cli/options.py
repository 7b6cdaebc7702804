"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relevo.texts import t

Of = Annotated[
    Path,
    typer.Option(
        "--project",
        "-p",
        metavar="FOLDER",
        envvar="RELEVO_PROJECT",
        show_default=False,
        help=t("The project's folder; here by default."),
    ),
]
Json = Annotated[bool, typer.Option("--json", help=t("Print one JSON document."))]
