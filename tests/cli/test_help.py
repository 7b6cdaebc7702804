"""The command line as one meets it: help, languages, mistakes of typing, and what importing it costs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

from relevo.cli.app import app
from relevo.texts import catalogue
from support import project

COMMANDS = sorted(
    str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback
)
HEAVY = (
    "pydantic",
    "numpy",
    "duckdb",
    "sqlalchemy",
    "rich.console",
    "orjson",
    "onnxruntime",
    "deltalake",
    "sqlglot",
)


def test_every_command_is_here() -> None:
    wanted = (
        "cases challenge check collect deliver drift end gradio history jobs loadtest migrate monitor new predict "
        "prepare promote replay report rollback run score serve sql status step trends up versions why"
    )
    assert wanted.split() == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_help(name: str) -> None:
    done = project.call(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert "--json" in done.out
    (command,) = [
        c for c in app.registered_commands if c.callback and c.callback.__name__ in (name, f"{name}_")
    ]
    assert command.help
    assert command.callback is not None
    assert inspect.getdoc(command.callback)


def test_help_speaks_spanish() -> None:
    """The texts are looked up once, when the command line is imported: hence processes of their own."""
    code = """import json, typer
from relevo.cli.app import app
group = typer.main.get_command(app)
found = {name: [c.help, *(p.help for p in c.params if getattr(p, "help", None))] for name, c in group.commands.items()}
print(json.dumps([group.help, *(text for texts in found.values() for text in texts)]))"""
    english, spanish = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code], env={"RELEVO_LANG": lang}, capture_output=True, check=True
            ).stdout
        )
        for lang in ("en", "es")
    )
    texts = catalogue("es")
    ours = [text for text in english if text != "Show this message and exit."]
    assert [texts.get(text, text) for text in english] == spanish
    assert len(ours) > 30


def test_help_imports_nothing_heavy() -> None:
    code = f"""import sys
sys.argv = ["relevo", "--help"]
from relevo.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
print([name for name in {HEAVY!r} if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version() -> None:
    from relevo import __version__

    assert project.call("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runn"], "No such command 'runn'"),
        (["score", "a.csv"], "the one to write, OUT"),
        (["run", "--trials", "0"], "--trials"),
    ],
)
def test_mistakes_of_typing_end_with_2(words: list[str], said: str) -> None:
    done = project.call(*words)
    assert done.code == 2
    assert said in done.err
