"""What the readmission project reaches on a folder with the real file: beside baselines, with intervals.

python results.py                                     made-up stays, from sample.py
python results.py --data FOLDER [--json] [--check]     a folder that holds diabetic_data.csv

The file comes over HTTP from ``provider.py``, in batches of 15,000 rows.
``--check`` ends with 1 when nothing was released or the ROC-AUC on held-out patients is below .66.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import provider

import relevo

HERE = Path(__file__).resolve().parent
FILE = "diabetic_data.csv"
FLOOR = 0.66
SHOWN = ("roc_auc", "pr_auc", "f1", "precision", "recall", "accuracy", "brier")
PUBLIC = {
    "LightGBM, stopped early, split by patient": {"roc_auc": 0.656},
    "FLAML, 60 s": {"roc_auc": 0.669},
    "AutoGluon, 300 s": {"roc_auc": 0.679},
    "always “not readmitted”": {"accuracy": 0.889},
}
"""What others reach on the same data, with splits of their own."""


def measure(source: Path) -> dict[str, Any]:
    """Run the lifecycle in a workspace of its own; return its figures as plain data."""
    definition = relevo.load(HERE)
    encounters, *code_books = definition.project.tables
    with tempfile.TemporaryDirectory() as folder, provider.provided(source) as url:
        batched = replace(encounters, source=relevo.Batches(url))
        definition = definition.replace(tables=[batched, *code_books])
        os.environ["RELEVO_WORKSPACE"] = folder
        workspace = relevo.Workspace.open(HERE)
        found = relevo.results(workspace, relevo.run(definition, workspace))
    return {**asdict(found), "public": PUBLIC}


def shown(figure: dict[str, float | None] | float | None) -> str:
    """A figure with its 95 % interval, where it has one."""
    if isinstance(figure, float):
        return f"{figure:.3f}"
    if figure is None or figure["value"] is None:
        return "-"
    low, high = figure["low"], figure["high"]
    interval = "" if low is None or high is None or low == high else f" [{low:.3f}, {high:.3f}]"
    return f"{figure['value']:.3f}{interval}"


def table(found: dict[str, Any]) -> str:
    """The models and their figures in Markdown."""
    public = {f"public: {name}": figures for name, figures in found["public"].items()}
    lines = [f"| model | {' | '.join(SHOWN)} |", f"|---{'|---' * len(SHOWN)}|"]
    for model, figures in {**found["models"], **public}.items():
        lines.append(f"| {model} | {' | '.join(shown(figures.get(metric)) for metric in SHOWN)} |")
    return "\n".join(lines)


def failures(found: dict[str, Any]) -> list[str]:
    """Name each floor that was missed."""
    reached = found["models"][found["chosen"]]["roc_auc"]["value"]
    return [*found["failed"], *([f"ROC-AUC {reached:.3f} < {FLOOR}"] if reached < FLOOR else [])]


def data_of(given: Path | None, folder: str) -> Path:
    """The folder with the real file, or one with made-up data, which says that it works and nothing else."""
    if given is not None:
        return given.resolve()
    print("made-up data: the public figures are of the real ones", file=sys.stderr)
    command = [sys.executable, str(HERE / "sample.py"), str(Path(folder) / FILE)]
    subprocess.run(command, check=True)  # noqa: S603 - our own
    return Path(folder)


def main() -> None:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help=f"the folder that holds {FILE}; made up when left out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(data_of(chosen.data, folder) / FILE)
    if chosen.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(
            f"{found['rows']:,} stays of held-out patients; {found['status']} after {found['seconds']:.0f} s\n"
        )
        print(table(found))
    missed = failures(found) if chosen.check else []
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
