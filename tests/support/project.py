"""A project folder with a small sample of its own, and a workspace in which a version was released."""

from __future__ import annotations

import fcntl
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import lifecycle
from relevo.definition import load
from relevo.workspace import Workspace
from support.small import FLIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from relevo.definition import Definition
    from relevo.lifecycle import Event
    from relevo.records import Run

ROWS = 3000
SAMPLE = Path(__file__).parents[2] / "examples" / "flights" / "sample.py"
RELEVO = Path(sys.executable).parent / "relevo"
QUICK = (
    ("candidates=[logistic(), lightgbm(), xgboost()]", "candidates=[logistic(), lightgbm()]"),
    ("Tuning(trials=12)", "Tuning(trials=1)"),
    ('Gate(minimum={"roc_auc": 0.6})', 'Gate(minimum={"roc_auc": 0.5}, margin=0.2, beats_baselines=False)'),
)

CASES = """name,Fecha-I,Vlo-I,Des-I,Emp-I,TIPOVUELO,expected
quiet Tuesday night to Panama,2017-05-16 02:30:00,115,MPTO,CMP,I,on time
early Wednesday to Calama in autumn,2017-05-17 05:10:00,140,SCCF,LAN,N,on time
"""


@cache
def sample() -> ModuleType:
    """The example's own ``sample.py``."""
    spec = importlib.util.spec_from_file_location("flights_sample", SAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_sample(path: Path, rows: int = ROWS, *, seed: int = 0, start: str = "2017-01-01") -> Path:
    """Write made-up departures of one year; half a hundredth is broken."""
    sample().write(path, rows, seed, date.fromisoformat(start))
    return path


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace parts of a text file; each must stand there."""
    text = path.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def make(folder: Path, rows: int = ROWS) -> Path:
    """Copy the flights project to ``folder``, make it quick, and write its sample."""
    shutil.copytree(FLIGHTS, folder, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    edit(folder / "project.py", *QUICK)
    (folder / "cases.csv").write_text(CASES, encoding="utf-8")
    if rows:
        write_sample(folder / "data" / "departures.csv", rows)
    return folder


def definition(folder: Path) -> Definition:
    """Load a project."""
    return load(folder)


def workspace(folder: Path) -> Workspace:
    """Open a project's workspace."""
    return Workspace.open(folder)


def run(folder: Path, listen: Callable[[Event], None] = lambda event: None) -> Run:  # noqa: ARG005
    """Run the lifecycle in this process."""
    return lifecycle.run(load(folder), Workspace.open(folder), listen=listen)


def released(shared: Path) -> Path:
    """A project with a released version, made once for all test processes; copy it before changing it."""
    folder = shared / "released"
    with (shared / "released.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (shared / "released.done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = relevo("run", make(folder))  # a process of its own leaves no connection open
            assert done.returncode == 0, done.stderr
            (shared / "released.done").touch()
    return folder


def copy(folder: Path, to: Path) -> Path:
    """Copy a project with its workspace, of which nobody changes the original meanwhile."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("ledger.db-*", "scratch"))
    return to


def relevo(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed command, in English, without a terminal."""
    environment = {**os.environ, "RELEVO_LANG": "en", **options.pop("env", {})}
    return subprocess.run(
        [RELEVO, *map(str, words)], capture_output=True, text=True, env=environment, check=False, **options
    )


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that was printed."""
        return json.loads(self.out)


def call(*words: str | Path, stdin: str = "") -> Done:
    """Run the command line within this process, in English: the same code without a second to start."""
    from relevo.cli import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["relevo", *map(str, words)], io.StringIO(stdin)
    try:
        with redirect_stdout(out), redirect_stderr(err), variables(RELEVO_LANG="en"):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv, sys.stdin = before
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def variables(**values: str) -> Iterator[Mapping[str, str]]:
    """Set environment variables for the block."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield os.environ
    finally:
        os.environ.clear()
        os.environ.update(before)
