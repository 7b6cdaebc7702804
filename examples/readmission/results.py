"""What the readmission project reaches on a folder with the real file: beside baselines, with intervals.

python results.py                                     made-up stays, from sample.py
python results.py --data FOLDER [--json] [--check]     a folder that holds diabetic_data.csv

The file comes over HTTP from ``provider.py``, in batches of 15,000 rows.
``--check`` ends with 1 when nothing was released or the ROC-AUC on held-out patients is below .66.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path

import provider

import relevo

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import report  # noqa: E402 - the examples share it

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


def measure(data: Path) -> report.Found:
    """Run the lifecycle on the file as it comes from a provider."""
    definition = relevo.load(HERE)
    encounters, *code_books = definition.project.tables
    with provider.provided(data / FILE) as url, report.fresh_workspace(HERE) as workspace:
        batched = replace(encounters, source=relevo.Batches(url))
        ended = relevo.run(definition.replace(tables=[batched, *code_books]), workspace)
        return {**asdict(relevo.results(workspace, ended)), "public": PUBLIC}


def told(found: report.Found) -> str:
    """The models beside the public figures."""
    public = {f"public: {name}": figures for name, figures in found["public"].items()}
    return (
        f"{found['rows']:,} stays of held-out patients; {found['status']} after {found['seconds']:.0f} s\n\n"
        + report.table(SHOWN, {**found["models"], **public})
    )


def failures(found: report.Found) -> list[str]:
    """Name each floor that was missed."""
    reached = found["models"][found["chosen"]]["roc_auc"]["value"]
    return [*found["failed"], *([f"ROC-AUC {reached:.3f} < {FLOOR}"] if reached < FLOOR else [])]


if __name__ == "__main__":
    report.main(HERE, __doc__, [FILE], measure, told, failures)
