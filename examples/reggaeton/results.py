"""What the reggaeton project reaches on a folder with the real files: beside baselines, out of fold, with intervals.

python results.py                                     made-up songs, from sample.py
python results.py --data FOLDER [--json] [--check]     a folder that holds the three files

Every figure comes from repeated, nested cross-validation: tuning, the choice between candidates, calibration
and threshold see the other folds only. ``pr_auc`` is over all songs of a repeat, the mean of the repeats; ``in a
fold`` is the mean over single folds, as the public figures are. ``--check`` ends with 1 when either is below .72,
when the model is not surely better than a baseline, or when a column that tells the files apart is asked for.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from relevo import ModelPackage, Workspace, load, run

HERE = Path(__file__).resolve().parent
FLOOR = 0.72
LEAKS = {"", "time_signature", "id_new", "file", "popularity"}
SHOWN = ("pr_auc", "f1", "precision", "recall", "roc_auc", "brier")


def measure(folder: Path) -> dict[str, Any]:
    """Run the lifecycle in a workspace of its own and score the unlabelled songs."""
    definition = load(HERE, sets={"songs": str(folder / "*.csv")})
    with tempfile.TemporaryDirectory() as place:
        os.environ["RELEVO_WORKSPACE"] = place
        workspace = Workspace.open(HERE)
        ended = run(definition, workspace)
        steps = {step.name: step for step in workspace.ledger.steps(ended.id)}
        record = json.loads(workspace.blobs.get(steps["evaluate"].output["blob"]))
        package = ModelPackage.load(workspace.blobs.folder(steps["package"].output["digest"]))
        marked = score(package, folder / "data_test.csv")
    name = f"Relevo ({record['candidate']})"
    models = {name: record["evaluation"], **record["baselines"]}
    return {
        "status": ended.status,
        "failed": [r["text"] for r in steps["judge"].output["verdict"]["reasons"] if not r["passed"]],
        "seconds": sum(step.wall_seconds for step in steps.values()),
        "rows": record["evaluation"]["rows"],
        "positives": record["evaluation"]["positives"],
        "repeats": record["evaluation"]["repeats"],
        "champion": name,
        "models": {model: {m: found["metrics"][m] for m in SHOWN} for model, found in models.items()},
        "spread": {metric: record["evaluation"]["spread"][metric] for metric in SHOWN},
        "request": sorted(definition.request.names),
        "marked": marked,
    }


def score(package: ModelPackage, path: Path) -> list[dict[str, Any]]:
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


def shown(figure: dict[str, float | None]) -> str:
    """A figure with its 95 % interval."""
    if figure["value"] is None:
        return "-"
    low, high = figure["low"], figure["high"]
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{figure['value']:.3f}{interval}"


def failures(results: dict[str, Any]) -> list[str]:
    """Name each floor that was missed."""
    found = [] if results["status"] == "released" else [f"not released: {'; '.join(results['failed'])}"]
    own = results["models"][results["champion"]]["pr_auc"]
    within = results["spread"]["pr_auc"]["fold_mean"]
    found += [f"mean PR-AUC {mean:.3f} < {FLOOR}" for mean in (own["value"], within) if mean < FLOOR]
    for name, metrics in results["models"].items():
        if name != results["champion"] and own["low"] <= metrics["pr_auc"]["value"]:
            found.append(f"PR-AUC is not surely above {name}'s, {metrics['pr_auc']['value']:.3f}")
    if leaks := LEAKS & set(results["request"]):
        found.append(f"columns that tell the files apart are in the request: {', '.join(sorted(leaks))}")
    return found


def table(results: dict[str, Any]) -> str:
    """The results as text."""
    first = (
        f"{results['rows']:,} songs, {results['positives']} of them reggaeton, each out of fold in"
        f" {results['repeats']} repeats; {results['status']} after {results['seconds']:.0f} s"
    )
    lines = [
        first,
        *(f"  ✗ {reason}" for reason in results["failed"]),
        f"| model | {' | '.join(SHOWN)} |",
        f"|---{'|---' * len(SHOWN)}|",
    ]
    for model, metrics in results["models"].items():
        lines.append(f"| {model} | {' | '.join(shown(metrics[metric]) for metric in SHOWN)} |")
    spread = results["spread"]["pr_auc"]
    lines.append(
        f"\nPR-AUC in a fold: mean {spread['fold_mean']:.3f}, standard deviation {spread['folds']:.3f};"
        f" standard deviation between repeats {spread['repeats']:.3f}"
    )
    marked = [row for row in results["marked"] if row["mark"] == "reggaeton"]
    songs = ", ".join(f"{row['song']} ({row['probability']:.2f})" for row in marked) or "none"
    lines.append(f"{len(marked)} of {len(results['marked'])} unlabelled songs are marked: {songs}")
    return "\n".join(lines)


def data_of(given: Path | None, folder: str) -> Path:
    """The folder with the real files, or one with made-up data, which says that it works and nothing else."""
    if given is not None:
        return given.resolve()
    print("made-up data: the public figures are of the real ones", file=sys.stderr)
    command = [sys.executable, str(HERE / "sample.py"), folder]
    subprocess.run(command, check=True)  # noqa: S603 - our own
    return Path(folder)


def main() -> None:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="the folder that holds the three files; made up when left out"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(data_of(chosen.data, folder))
    print(json.dumps(results, indent=2) if chosen.json else table(results))
    missed = failures(results) if chosen.check else []
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
