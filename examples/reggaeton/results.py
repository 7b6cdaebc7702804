"""What the reggaeton project reaches on a folder with the real files: beside baselines, out of fold, with intervals.

python results.py                                     made-up songs, from sample.py
python results.py --data FOLDER [--json] [--check]     a folder that holds the three files

Every figure comes from repeated, nested cross-validation: tuning, the choice between candidates, calibration
and threshold see the other folds only. ``pr_auc`` is over all songs of a repeat, the mean of the repeats; ``in a
fold`` is the mean over single folds, as the public figures are. ``--check`` ends with 1 when either is below .72,
when the model is not surely better than a baseline, or when a column that tells the files apart is asked for.
"""

import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import relevo

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import report  # noqa: E402 - the examples share it

FLOOR = 0.72
LEAKS = {"", "time_signature", "id_new", "file", "popularity"}
SHOWN = ("pr_auc", "f1", "precision", "recall", "roc_auc", "brier")


def measure(data: Path) -> report.Found:
    """Run the lifecycle and score the unlabelled songs."""
    definition = relevo.load(HERE, sets={"songs": str(data / "*.csv")})
    with report.fresh_workspace(HERE) as workspace:
        ended = relevo.run(definition, workspace)
        found = asdict(relevo.results(workspace, ended))
        packed = next(step for step in workspace.ledger.steps(ended.id) if step.name == "package")
        package = relevo.ModelPackage.load(workspace.blobs.folder(packed.output["digest"]))
    marked = score(package, data / "data_test.csv")
    return {**found, "request": sorted(definition.request.names), "marked": marked}


def score(package: relevo.ModelPackage, path: Path) -> list[dict[str, Any]]:
    """Mark the songs of a file, the likeliest first."""
    with path.open(encoding="utf-8", newline="") as file:
        songs = list(csv.DictReader(file))
    fields = {field.name: int if field.type == "integer" else float for field in package.request.fields}
    answers = package.predict([{name: make(song[name]) for name, make in fields.items()} for song in songs])
    found = [
        {"song": song["id_new"], "probability": answer.probability, "mark": answer.label}
        for song, answer in zip(songs, answers, strict=True)
    ]
    return sorted(found, key=lambda row: -row["probability"])


def told(found: report.Found) -> str:
    """The models, how far their figures scatter, and the songs that were marked."""
    spread = found["spread"]["pr_auc"]
    marked = [row for row in found["marked"] if row["mark"] == "reggaeton"]
    songs = ", ".join(f"{row['song']} ({row['probability']:.2f})" for row in marked) or "none"
    first = (
        f"{found['rows']:,} songs, {found['positives']} of them reggaeton, each out of fold in"
        f" {found['repeats']} repeats; {found['status']} after {found['seconds']:.0f} s"
    )
    scatter = (
        f"PR-AUC in a fold: mean {spread['fold_mean']:.3f}, standard deviation {spread['folds']:.3f};"
        f" standard deviation between repeats {spread['repeats']:.3f}"
    )
    lines = [first, *(f"  ✗ {reason}" for reason in found["failed"]), report.table(SHOWN, found["models"])]
    lines += ["", scatter, f"{len(marked)} of {len(found['marked'])} unlabelled songs are marked: {songs}"]
    return "\n".join(lines)


def failures(found: report.Found) -> list[str]:
    """Name each floor that was missed."""
    missed = [] if found["status"] == "released" else [f"not released: {'; '.join(found['failed'])}"]
    own = found["models"][found["chosen"]]["pr_auc"]
    within = found["spread"]["pr_auc"]["fold_mean"]
    missed += [f"mean PR-AUC {mean:.3f} < {FLOOR}" for mean in (own["value"], within) if mean < FLOOR]
    for name, metrics in found["models"].items():
        if name != found["chosen"] and own["low"] <= metrics["pr_auc"]["value"]:
            missed.append(f"PR-AUC is not surely above {name}'s, {metrics['pr_auc']['value']:.3f}")
    if leaks := LEAKS & set(found["request"]):
        missed.append(f"columns that tell the files apart are in the request: {', '.join(sorted(leaks))}")
    return missed


if __name__ == "__main__":
    report.main(HERE, __doc__, ["."], measure, told, failures)
