"""What the flights project reaches on a folder with the real file: beside baselines, with intervals.

python results.py                                     made-up departures, from sample.py
python results.py --data FOLDER [--json] [--check]     a folder that holds dataset_SCL.csv

``--check`` ends with 1 when a split's model was refused or lies below its floor: on a random tenth F1 of
.44, on the newest 60 days ROC-AUC above .657, what was reached without histories.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import relevo

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import report  # noqa: E402 - the examples share it

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


def measure(data: Path) -> report.Found:
    """Run the lifecycle once for each split."""
    definition = relevo.load(HERE, sets={"departures": str(data / FILE)})
    found: report.Found = {"public": PUBLIC}
    for split, changes in CHANGES.items():
        with report.fresh_workspace(HERE) as workspace:
            ended = relevo.run(definition.replace(**changes), workspace)
            found[split] = asdict(relevo.results(workspace, ended))
    return found


def told(found: report.Found) -> str:
    """A table for each split, beside the public figures where they are comparable."""
    public = {f"public: {who}": figures for who, figures in found["public"].items()}
    parts = []
    for split in CHANGES:
        one = found[split]
        models = {**one["models"], **(public if split == RANDOM else {})}
        parts.append(f"{split}: {one['rows']:,} flights; {one['status']} after {one['seconds']:.0f} s\n")
        parts.append(report.table(SHOWN, models) + "\n")
    return "\n".join(parts)


def failures(found: report.Found) -> list[str]:
    """Name each floor that was missed."""
    missed = [f"{split}: {reason}" for split in CHANGES for reason in found[split]["failed"]]
    for (split, metric), floor in FLOORS.items():
        reached = found[split]["models"][found[split]["chosen"]][metric]["value"]
        if reached < floor:
            missed.append(f"{split}: {metric} {reached:.4f} < {floor}")
    return missed


if __name__ == "__main__":
    report.main(HERE, __doc__, [FILE], measure, told, failures)
