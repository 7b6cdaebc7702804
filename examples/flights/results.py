"""What the flights project reaches on a folder with the real file: beside baselines, with intervals.

python results.py --data FOLDER [--json] [--check]

``--check`` ends with 1 when a figure lies below its floor: on the newest 60 days F1 above always-yes and
ROC-AUC of at least .64, on a random tenth F1 of at least .43.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from relevo import StratifiedSplit, TimeSplit, Workspace, load, run

HERE = Path(__file__).resolve().parent
SPLITS = {
    "newest 60 days": TimeSplit(test="60d"),
    "random 10 %": StratifiedSplit(test=0.1, because="compared with public figures on random splits"),
}
FLOORS = {("newest 60 days", "roc_auc"): 0.64, ("random 10 %", "f1"): 0.43}
SHOWN = ("f1", "precision", "recall", "roc_auc", "pr_auc", "brier")


def measure(source: Path, split: TimeSplit | StratifiedSplit) -> dict[str, Any]:
    """Run the lifecycle on one split in a workspace of its own; return models by name with their metrics."""
    definition = load(HERE, sets={"departures": str(source)}).replace(split=split)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RELEVO_WORKSPACE"] = folder
        workspace = Workspace.open(HERE)
        ended = run(definition, workspace)
        steps = {step.name: step for step in workspace.ledger.steps(ended.id)}
        record = json.loads(workspace.blobs.get(steps["evaluate"].output["blob"]))
        seconds = sum(step.wall_seconds for step in steps.values())
    name = f"Relevo ({record['algorithm']})"
    models = {name: record["evaluation"], **record["baselines"]}
    return {
        "status": ended.status,
        "failed": [r["text"] for r in steps["judge"].output["verdict"]["reasons"] if not r["passed"]],
        "seconds": seconds,
        "rows": record["evaluation"]["rows"],
        "champion": name,
        "models": {model: {m: found["metrics"][m] for m in SHOWN} for model, found in models.items()},
    }


def shown(figure: dict[str, float | None]) -> str:
    """A figure with its 95 % interval."""
    if figure["value"] is None:
        return "-"
    low, high = figure["low"], figure["high"]
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{figure['value']:.3f}{interval}"


def failures(results: dict[str, Any]) -> list[str]:
    """Name each floor that was missed."""
    found = [
        f"{split}: {'; '.join(r['failed'])}" for split, r in results.items() if r["status"] != "released"
    ]
    for (split, metric), floor in FLOORS.items():
        value = results[split]["models"][results[split]["champion"]][metric]["value"]
        if value < floor:
            found.append(f"{split}: {metric} {value:.3f} < {floor}")
    timed = results["newest 60 days"]
    f1, always = (timed["models"][name]["f1"]["value"] for name in (timed["champion"], "always-yes"))
    if f1 <= always:
        found.append(f"newest 60 days: F1 {f1:.3f} is not above always-yes, {always:.3f}")
    return found


def main() -> None:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds dataset_SCL.csv")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    results = {name: measure(chosen.data / "dataset_SCL.csv", split) for name, split in SPLITS.items()}
    if chosen.json:
        print(json.dumps(results, indent=2))
    else:
        for name, found in results.items():
            print(
                f"\n{name}: {found['rows']:,} held-out rows, {found['status']} after {found['seconds']:.0f} s"
            )
            for reason in found["failed"]:
                print(f"  ✗ {reason}")
            print(f"| model | {' | '.join(SHOWN)} |\n|---{'|---' * len(SHOWN)}|")
            for model, metrics in found["models"].items():
                print(f"| {model} | {' | '.join(shown(metrics[metric]) for metric in SHOWN)} |")
    missed = failures(results) if chosen.check else []
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
