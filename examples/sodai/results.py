"""The weekly loop on a folder of sales: each batch predicted before it came, judged when it has come.

python results.py                                        made-up data, from sample.py
python results.py --data FOLDER [--json] [--check]       a folder with transacciones.parquet, clientes.parquet,
                                                         productos.parquet and incremental/*.parquet

One line for each batch. The first run knows the transactions alone and scores what comes next; each further run
has one more batch, judges by it what was scored before, learns again and scores on. ``--check`` ends with 1 when
the model's F1 is not above the rule's on a batch, or not above the rule's known figures on the first two.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import relevo

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import report  # noqa: E402 - the examples share it

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


def measure(data: Path) -> report.Found:
    """Walk the loop in a copy of the project; ``batches`` and ``runs`` have an entry for each batch and run."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "sodai"
        shutil.copytree(HERE, project, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
        purchases = project / "data" / "purchases"
        purchases.mkdir(parents=True)
        for name in ("clientes.parquet", "productos.parquet"):
            shutil.copy(data / name, project / "data" / name)
        first, batches = files(data)
        found: report.Found = {"batches": [], "runs": []}
        for batch in (first, *batches):
            shutil.copy(batch, purchases / batch.name)
            workspace = relevo.Workspace.open(project)
            found["runs"].append({"data": batch.stem, **run(project, workspace)})
            if batch != first:
                review = relevo.reviews(workspace)[len(found["batches"])]
                found["batches"].append({"batch": batch.stem, **review})
    return found


def run(project: Path, workspace: relevo.Workspace) -> dict[str, Any]:
    """Run once over what is there; gives what came of it and what it took."""
    started = time.perf_counter()
    ended = relevo.run(relevo.load(project), workspace)
    return {
        "status": ended.status,
        "failed": list(relevo.results(workspace, ended).failed),
        "version": ended.version,
        "seconds": time.perf_counter() - started,
        "peak_mb": max(step.peak_rss_bytes for step in workspace.ledger.steps(ended.id)) / 1e6,
    }


def failures(found: report.Found) -> list[str]:
    """Name each batch on which the model is not above the rule."""
    missed = []
    for one in found["batches"]:
        model, rule = one["model"]["f1"]["value"], one["naive"]["f1"]["value"]
        floor = max(rule, FLOORS.get(one["batch"], rule))
        if not model > floor:
            missed.append(f"{one['batch']}: F1 {model:.4f} is not above {floor:.4f}")
    return missed


def told(found: report.Found) -> str:
    """A table of the batches, beside the public figures, and a line for each run."""
    lines = [
        f"| batch | from | pairs bought | who | {' | '.join(SHOWN)} |",
        f"|---|---|---|---{'|---' * len(SHOWN)}|",
    ]
    for one in found["batches"]:
        for name, who in (("model", f"Relevo {one['version']}"), ("naive", "2 of the last 4 weeks")):
            figures = " | ".join(report.shown(one[name].get(metric)) for metric in SHOWN)
            lines.append(f"| {one['batch']} | {one['period']} | {one['outcomes']:,} | {who} | {figures} |")
        if one["batch"] in PUBLIC:
            lines.append(f"| {one['batch']} | | | best public | {PUBLIC[one['batch']]:.3f} | - | - | - |")
    lines += [
        f"{one['batch']}: F1 above the rule's by {report.shown(one['difference'])}"
        for one in found["batches"]
    ]
    for one in found["runs"]:
        lines.append(
            f"after {one['data']}: {one['status']} {one['version']} in {one['seconds']:.0f} s,"
            f" at most {one['peak_mb']:,.0f} MB"
        )
        lines += [f"  ✗ {reason}" for reason in one["failed"]]
    return "\n".join(lines)


if __name__ == "__main__":
    report.main(HERE, __doc__, [".", "--batches", "3"], measure, told, failures)
