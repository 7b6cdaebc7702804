"""The weekly loop on a folder of sales: each batch predicted before it came, judged when it has come.

python results.py                                        made-up data, from sample.py
python results.py --data FOLDER [--json] [--check]       a folder with transacciones.parquet, clientes.parquet,
                                                         productos.parquet and incremental/*.parquet

One line for each batch. The first run knows the transactions alone and scores what comes next; each further run
has one more batch, judges by it what was scored before, learns again and scores on. ``--check`` ends with 1 when
the model's F1 is not above the rule's on a batch, or not above the rule's known figures on the first two.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from relevo import Workspace, load, results, reviews, run

HERE = Path(__file__).resolve().parent
FLOORS = {"batch_t1": 0.453, "batch_t2": 0.529}
"""What “bought in at least 2 of the last 4 weeks” is known to reach on the real batches."""
PUBLIC = {"batch_t1": 0.448, "batch_t2": 0.406}
"""The best public submissions."""
SHOWN = ("f1", "precision", "recall", "pr_auc")


def files(data: Path) -> tuple[Path, list[Path]]:
    """The transactions and the later batches, of a folder like the real one or as sample.py writes it."""
    name = "transacciones.parquet"
    if (data / name).exists():
        return data / name, sorted((data / "incremental").glob("*.parquet"))
    return data / "purchases" / name, sorted((data / "purchases").glob("batch_*.parquet"))


def measure(data: Path, folder: Path) -> dict[str, Any]:
    """Walk the loop in a copy of the project below ``folder``; return one entry for each batch."""
    project = folder / "sodai"
    shutil.copytree(HERE, project, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    purchases = project / "data" / "purchases"
    purchases.mkdir(parents=True)
    for name in ("clientes.parquet", "productos.parquet"):
        shutil.copy(data / name, project / "data" / name)
    first, batches = files(data)
    shutil.copy(first, purchases / first.name)
    found: dict[str, Any] = {"batches": [], "runs": []}
    for batch in [None, *batches]:
        if batch is not None:
            shutil.copy(batch, purchases / batch.name)
        started = time.perf_counter()
        workspace = Workspace.open(project)
        ended = run(load(project), workspace)
        told = results(workspace, ended)
        steps = workspace.ledger.steps(ended.id)
        found["runs"].append(
            {
                "data": batch.stem if batch else "transacciones",
                "status": ended.status,
                "failed": list(told.failed),
                "version": ended.version,
                "seconds": time.perf_counter() - started,
                "peak_mb": max(step.peak_rss_bytes for step in steps) / 1e6,
            }
        )
        if batch is not None:
            found["batches"].append({"batch": batch.stem, **reviews(workspace)[len(found["batches"])]})
    return found


def failures(found: dict[str, Any]) -> list[str]:
    """Name each batch on which the model is not above the rule."""
    missed = []
    for one in found["batches"]:
        model, rule = one["model"]["f1"]["value"], one["naive"]["f1"]["value"]
        floor = max(rule, FLOORS.get(one["batch"], rule))
        if not model > floor:
            missed.append(f"{one['batch']}: F1 {model:.4f} is not above {floor:.4f}")
    return missed


def shown(figure: dict[str, float | None]) -> str:
    """A figure with its 95 % interval."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "-"
    return f"{value:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")


def tell(found: dict[str, Any], *, real: bool) -> None:
    """Print the table, beside the public figures on the real batches."""
    print(
        f"| batch | from | pairs bought | who | {' | '.join(SHOWN)} |\n|---|---|---|---{'|---' * len(SHOWN)}|"
    )
    for one in found["batches"]:
        for name, who in (("model", f"Relevo {one['version']}"), ("naive", "2 of the last 4 weeks")):
            figures = [shown(one[name][metric]) if metric in one[name] else "-" for metric in SHOWN]
            print(
                f"| {one['batch']} | {one['period']} | {one['outcomes']:,} | {who} | {' | '.join(figures)} |"
            )
        if real and one["batch"] in PUBLIC:
            print(f"| {one['batch']} | | | best public | {PUBLIC[one['batch']]:.3f} | - | - | - |")
    for one in found["batches"]:
        print(f"{one['batch']}: F1 above the rule's by {shown(one['difference'])}")
    for one in found["runs"]:
        print(
            f"after {one['data']}: {one['status']} {one['version']} in {one['seconds']:.0f} s,"
            f" at most {one['peak_mb']:,.0f} MB"
        )
        for reason in one["failed"]:
            print(f"  ✗ {reason}")


def main() -> None:
    """Measure, print, check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with the files; made up when left out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = chosen.data
        if data is None:
            data = Path(folder) / "sample"
            command = [sys.executable, str(HERE / "sample.py"), str(data), "--batches", "3"]
            subprocess.run(command, check=True)  # noqa: S603 - our own
        found = measure(data, Path(folder))
    if chosen.json:
        print(json.dumps(found, indent=2))
    else:
        tell(found, real=chosen.data is not None)
    missed = failures(found) if chosen.check else []
    for line in missed:
        print(f"below its floor: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
