"""What the examples' ``results.py`` share: options and data, a workspace for once, tables of figures, and floors."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relevo import Workspace

Found = dict[str, Any]
"""What a script measured, as plain data."""


def main(
    project: Path,
    about: str,
    sample: Sequence[str],
    measure: Callable[[Path], Found],
    told: Callable[[Found], str],
    failures: Callable[[Found], list[str]],
) -> None:
    """Measure the folder of ``--data``, print it as text or JSON, and end with 1 when ``--check`` finds failures.

    Without ``--data`` the project's sample.py makes it up, from the arguments ``sample`` in an empty folder.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with the real data; made up when left out")
    parser.add_argument("--json", action="store_true", help="print plain data")
    parser.add_argument("--check", action="store_true", help="end with 1 when a floor is missed")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chosen.data.resolve() if chosen.data else made_up(project, sample, Path(folder)))
    print(json.dumps(found, indent=2, ensure_ascii=False) if chosen.json else told(found))
    missed = failures(found) if chosen.check else []
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    sys.exit(bool(missed))


def made_up(project: Path, sample: Sequence[str], folder: Path) -> Path:
    """Fill a folder with data that say that all works, and nothing else."""
    print("made-up data: the public figures are of the real ones", file=sys.stderr)
    command = [sys.executable, str(project / "sample.py"), *sample]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - our own
    return folder


@contextmanager
def fresh_workspace(project: Path) -> Iterator[Workspace]:
    """Open a workspace that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RELEVO_WORKSPACE"] = folder
        yield Workspace.open(project)


def table(metrics: Sequence[str], models: Mapping[str, Mapping[str, Any]]) -> str:
    """The models and their figures in Markdown."""
    lines = [f"| model | {' | '.join(metrics)} |", f"|---{'|---' * len(metrics)}|"]
    for model, figures in models.items():
        lines.append(f"| {model} | {' | '.join(shown(figures.get(metric)) for metric in metrics)} |")
    return "\n".join(lines)


def shown(figure: Mapping[str, float | None] | float | None) -> str:
    """A figure with its 95 % interval, where it has one."""
    if isinstance(figure, float):
        return f"{figure:.3f}"
    if figure is None or figure["value"] is None:
        return "-"
    low, high = figure["low"], figure["high"]
    interval = "" if low is None or high is None or low == high else f" [{low:.3f}, {high:.3f}]"
    return f"{figure['value']:.3f}{interval}"
