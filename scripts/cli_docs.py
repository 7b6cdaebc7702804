"""Writes docs/cli.md from the commands' own help; ``--check`` says whether it is up to date."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["RELEVO_LANG"] = "en"

import typer
from pydantic_core import PydanticUndefined

from relevo.channels import SECRETS, AlertSettings, AppriseChannel, EmailChannel, WebhookChannel
from relevo.cli.app import app
from relevo.workspace import FILE, SECTIONS, Settings

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

In `{FILE}` beside the project, or as variables, which win. Those of the service stand in its section `[serve]`, those
of `relevo up` in `[up]`, those of MLflow in `[mlflow]`, those of alerts in `[alerts]`; a channel has a section of its
own, such as `[alerts.email.oncall]`, whose name stands in the variable's: `RELEVO_ALERTS__EMAIL__ONCALL__HOST`. A
setting without a name is a secret, which only a variable may hold.

| setting | variable | | default |
|---|---|---|---|
"""
LANGUAGE = """
`RELEVO_LANG` is the language of messages, `en` or `es`; the machine's own by default.
"""

CHANNELS: dict[str, Any] = {"email": EmailChannel, "webhooks": WebhookChannel, "apprise": AppriseChannel}


def cell(text: object) -> str:
    """A table's cell."""
    return str(text).replace("|", "\\|")


def shown_default(parameter: Any) -> str:
    """What is taken when nothing is given."""
    value = parameter.default
    if value is PydanticUndefined or value == {}:
        return ""
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
    pieces = [piece.replace("{", "").replace("}", "") for piece in command.collect_usage_pieces(context)]
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
    """Each setting as a line of the table; those of a section by its name."""
    for name, field in Settings.model_fields.items():
        if name in {*SECTIONS, "alerts"}:
            continue
        yield f"| `{name}` | `RELEVO_{name.upper()}` | {cell(field.description)} | {shown_default(field)} |"
    for section_name, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            variable = f"`RELEVO_{section_name.upper()}__{name.upper()}`"
            yield f"| `{section_name}.{name}` | {variable} | {cell(field.description)} | {shown_default(field)} |"
    for name, field in AlertSettings.model_fields.items():
        if name not in CHANNELS:
            variable = f"`RELEVO_ALERTS__{name.upper()}`"
            yield f"| `alerts.{name}` | {variable} | {cell(field.description)} | {shown_default(field)} |"
    for kind, channel in CHANNELS.items():
        for inner, field in channel.model_fields.items():
            name = field.alias or inner
            variable = f"`RELEVO_ALERTS__{kind.upper()}__NAME__{name.upper()}`"
            setting = "" if SECRETS[kind] == name else f"`alerts.{kind}.NAME.{name}`"
            needed = "needed" if field.is_required() else shown_default(field)
            yield f"| {setting} | {variable} | {cell(field.description)} | {needed} |"


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
