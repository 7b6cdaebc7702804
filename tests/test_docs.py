"""Every command, option and setting is documented, and the page made from the code is up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from relevo.channels import SECRETS, AlertSettings
from relevo.cli.app import app
from relevo.workspace import SECTIONS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def leaves(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield before + name, command


def options() -> list[tuple[str, str]]:
    return [
        (name, option)
        for name, command in leaves(typer.main.get_command(app))
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in parameter.opts
    ]


def sections() -> dict[str, str]:
    """The parts of the page of commands, by heading."""
    parts = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split("\n## ")
    return {part.partition("\n")[0]: part for part in parts[1:]}


@pytest.mark.parametrize(("command", "option"), options())
def test_every_option_is_documented(command: str, option: str) -> None:
    assert f"`{option}" in sections()[command] or f", {option}" in sections()[command]


def test_every_command_is_documented() -> None:
    assert {command for command, _ in options()} | {"Settings"} == set(sections())


SETTINGS = [
    *(name for name in Settings.model_fields if name not in {*SECTIONS, "alerts"}),
    *(f"{section}__{name}" for section, model in SECTIONS.items() for name in model.model_fields),
    *(f"alerts__{name}" for name in AlertSettings.model_fields if name not in SECRETS),
    *(
        f"alerts__{kind}__name__{field.alias or name}"
        for kind in SECRETS
        for name, field in AlertSettings.model_fields[kind].annotation.__args__[1].model_fields.items()  # type: ignore[union-attr]
    ),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_documented(setting: str) -> None:
    assert f"`RELEVO_{setting.upper()}`" in TEXT


def test_the_commands_named_in_the_pages_exist() -> None:
    import re

    known = {command.partition(" ")[0] for command, _ in options()}
    named = set(re.findall(r"(?:^|`|\$ |&& )relevo ([a-z]+)\b", TEXT, flags=re.MULTILINE))
    assert named - known == set()
    assert {"run", "serve", "predict", "score", "rollback", "sql"} <= named


def test_the_page_of_commands_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "cli_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
