"""What the flights project reaches on a folder with the real file: beside baselines, with intervals.

python results.py                                     made-up departures, from sample.py
python results.py --data FOLDER [--json] [--check]     a folder that holds dataset_SCL.csv

``--check`` ends with 1 when a split's model was refused or lies below its floor: on a random tenth F1 of
.44, on the newest 60 days ROC-AUC above .657, what was reached without histories.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import relevo

HERE = Path(__file__).resolve().parent
FILE = "dataset_SCL.csv"
NEWEST, RANDOM = "newest 60 days", "random 10 %"
CHANGES: dict[str, dict[str, Any]] = {
    NEWEST: {},
    RANDOM: {
        "split": relevo.StratifiedSplit(test=0.1, because="compared with public figures on random splits"),
        "candidates": [relevo.lightgbm()],
    },
}
"""What each run has otherwise than the project: the random one is there to be compared with others' figures."""
FLOORS = {(NEWEST, "roc_auc"): 0.6571, (RANDOM, "f1"): 0.44}
SHOWN = ("f1", "precision", "recall", "roc_auc", "pr_auc", "brier")
PUBLIC = {
    "XGBoost, target encoders, weight 5": {"f1": 0.42, "precision": 0.30, "recall": 0.71},
    "XGBoost, ten best one-hots, balanced": {"f1": 0.366},
    "logistic regression, ten best one-hots": {"f1": 0.364},
    "guessing at random": {"f1": 0.26},
}
"""What others reach on the same data, all on random splits of their own."""


def measure(source: Path, changes: dict[str, Any]) -> dict[str, Any]:
    """Run the lifecycle in a workspace of its own; return its figures as plain data."""
    definition = relevo.load(HERE, sets={"departures": str(source)}).replace(**changes)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RELEVO_WORKSPACE"] = folder
        workspace = relevo.Workspace.open(HERE)
        return asdict(relevo.results(workspace, relevo.run(definition, workspace)))


def shown(figure: dict[str, float | None] | float | None) -> str:
    """A figure with its 95 % interval, where it has one."""
    if isinstance(figure, float):
        return f"{figure:.3f}"
    if figure is None or figure["value"] is None:
        return "-"
    low, high = figure["low"], figure["high"]
    interval = "" if low is None or high is None or low == high else f" [{low:.3f}, {high:.3f}]"
    return f"{figure['value']:.3f}{interval}"


def table(models: dict[str, dict[str, Any]]) -> str:
    """The models and their figures in Markdown."""
    lines = [f"| model | {' | '.join(SHOWN)} |", f"|---{'|---' * len(SHOWN)}|"]
    for model, figures in models.items():
        lines.append(f"| {model} | {' | '.join(shown(figures.get(metric)) for metric in SHOWN)} |")
    return "\n".join(lines)


def failures(results: dict[str, Any]) -> list[str]:
    """Name each floor that was missed."""
    found = [f"{split}: {reason}" for split in CHANGES for reason in results[split]["failed"]]
    for (split, metric), floor in FLOORS.items():
        reached = results[split]["models"][results[split]["chosen"]][metric]["value"]
        if reached < floor:
            found.append(f"{split}: {metric} {reached:.4f} < {floor}")
    return found


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
        data = data_of(chosen.data, folder)
        results = {name: measure(data / FILE, changes) for name, changes in CHANGES.items()}
    if chosen.json:
        print(json.dumps({**results, "public": PUBLIC}, indent=2, ensure_ascii=False))
    else:
        for name, found in results.items():
            print(f"{name}: {found['rows']:,} flights; {found['status']} after {found['seconds']:.0f} s\n")
            public = PUBLIC if name == RANDOM else {}
            print(
                table({**found["models"], **{f"public: {who}": known for who, known in public.items()}})
                + "\n"
            )
    missed = failures(results) if chosen.check else []
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
