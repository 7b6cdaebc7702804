"""Writes docs/cli.md from the commands' own help; ``--check`` says whether it is up to date."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["RELEVO_LANG"] = "en"

import typer

from relevo.cli.app import app
from relevo.service import ServiceSettings
from relevo.workspace import FILE, Settings

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Commands

<!-- made by scripts/cli-docs; a test holds it to the code -->

Long work shows its progress on a terminal and prints plain lines elsewhere. With `--json` a command prints one JSON
document and nothing else, also when it fails: `{"error": …, "message": …}`.

| exit code | |
|---|---|
| 0 | done |
| 1 | failed, with one message that says what to do |
| 2 | mistyped |
| 3 | `relevo run`: the gate refused the candidate; nothing changed |
| 130 | interrupted |
"""
SETTINGS = f"""
## Settings

In `{FILE}` beside the project, or as variables, which win. Those of the service stand in its section `[serve]`.

| setting | variable | | default |
|---|---|---|---|
"""
LANGUAGE = """
`RELEVO_LANG` is the language of messages, `en` or `es`; the machine's own by default.
"""


def cell(text: object) -> str:
    """A table's cell."""
    return str(text).replace("|", "\\|")


def shown_default(parameter: Any) -> str:
    """What is taken when nothing is given."""
    value = parameter.default
    return "" if value in (None, "", Path()) or isinstance(value, bool) else f"`{value}`"


def row(parameter: Any) -> str:
    """One argument or option as a line of the table."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar
    else:
        name = ", ".join(parameter.opts) + ("" if parameter.is_flag else f" {parameter.metavar}")
    needed = "needed" if parameter.required else shown_default(parameter)
    variable = f" (`{parameter.envvar}`)" if getattr(parameter, "envvar", None) else ""
    return f"| `{cell(name)}` | {cell(parameter.help or '')}{variable} | {cell(needed)} |"


def section(name: str, command: Any) -> str:
    """One command."""
    context = command.context_class(command, info_name=f"relevo {name}")
    pieces = [piece.strip("{}") for piece in command.collect_usage_pieces(context)]
    usage = " ".join([f"relevo {name}", *pieces])
    rows = [row(parameter) for parameter in command.params]
    return "\n".join(
        [
            f"\n## {name}\n",
            f"{command.help}\n",
            f"```\n{usage}\n```\n",
            "| | | default |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def leaves(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each command with its whole name; those of a group too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield before + name, command


def settings() -> Iterator[str]:
    """Each setting as a line of the table; those of the service by their section."""
    for name, field in Settings.model_fields.items():
        if name == "serve":
            continue
        yield f"| `{name}` | `RELEVO_{name.upper()}` | {cell(field.description)} | {shown_default(field)} |"
    for name, field in ServiceSettings.model_fields.items():
        variable = f"`RELEVO_SERVE__{name.upper()}`"
        yield f"| `serve.{name}` | {variable} | {cell(field.description)} | {shown_default(field)} |"


def page() -> str:
    """The whole page."""
    sections = [section(name, command) for name, command in leaves(typer.main.get_command(app))]
    return HEAD + "".join(sections) + SETTINGS + "\n".join(settings()) + "\n" + LANGUAGE


def main() -> None:
    """Write the page, or compare it."""
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is out of date: run scripts/cli-docs.")


if __name__ == "__main__":
    main()
