"""The command line. ``relevo --help`` imports nothing but Typer; each command imports what it needs."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line; errors of ours end with one clear message and exit code 1."""
    from relevo import leash

    leash.fasten()
    from relevo.cli.app import app
    from relevo.cli.output import guarded

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an old terminal gets escapes, not an error
    with guarded():
        app(prog_name="relevo")
    sys.exit(0)
