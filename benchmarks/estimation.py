"""How well estimates without labels hold on real data: realised figures beside the intervals of their estimates.

python benchmarks/estimation.py [--check] [--data FOLDER] [--case NAME] [--show]

Each case is trained on its earlier part in a workspace that is gone afterwards; held-out rows that follow are the
reference, and the windows come after them:

flights      weeks; held out are the newest 180 days, of which the first 10 weeks are the reference
sodai        weeks, of a fifth of the customers; held out are the newest 34 weeks, the first 10 are the reference
readmission  blocks of 3,000 stays that come after the first 45,000; held out are a fifth of the patients before
reggaeton    100 windows of 300 songs, drawn from the half that is not learned from, for each half in turn

"alone" estimates from the reference only. "rows alike" does so as if days did not differ, for comparison; nothing is
promised of it. "with labels" learns besides from the windows before, each known when the
next but one begins, and lets them speak in the check of the assumptions; songs have no order, so not of them.
With --check the script exits with 1 when realised ROC-AUC or F1 is inside the 95 % interval in fewer than 90 % of the
windows whose check passes, or when fewer than half of them pass. FOLDER (by default RELEVO_TEST_DATA, or shared/data
beside the project) holds a folder for each case, as the examples' ``results.py`` want it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from support.measuring import at_least, tell

import relevo
from relevo import estimation, lifecycle, score
from relevo.performance import Answered
from relevo.recalibration import recalibrate
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.definition import Definition
    from relevo.lifecycle import Reference
    from relevo.recalibration import Block, Recalibration
    from relevo.stats import Interval

EXAMPLES = Path(__file__).parents[1] / "examples"
METRICS = ("roc_auc", "f1")
INSIDE, PASSING = 0.9, 0.5
LEAST = 200
"""Rows of a window that is judged."""
ALIKE, ALONE, LABELS = "rows alike", "alone", "with labels"
SURELY = 1e-9
"""How much blocks differ where they do not."""
LATE = 2
"""A window's outcomes are known when so many more have begun."""


@dataclass(frozen=True)
class Case:
    """A reference cut into blocks, and the windows that follow; ``ordered`` says whether they follow each other."""

    blocks: Sequence[Block]
    windows: Sequence[Answered]
    ordered: bool = True


@dataclass
class Tally:
    """Of so many windows how many passed the check, and how often each metric was inside then."""

    windows: int = 0
    passing: int = 0
    inside: dict[str, int] | None = None

    def share(self, metric: str) -> float:
        """Of the passing windows."""
        return (self.inside or {}).get(metric, 0) / max(1, self.passing)


def main() -> int:
    """Measure, print and check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--data", type=Path, default=_data(), help="the folder with the real data")
    parser.add_argument("--case", choices=CASES, action="append", help="only this one; may come again")
    parser.add_argument("--show", action="store_true", help="print every window")
    chosen = parser.parse_args()
    promises: dict[str, bool] = {}
    lines = [
        "| case | estimated | windows | passing | inside ROC-AUC | inside F1 | width ROC-AUC | width F1 |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name in chosen.case or CASES:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            os.environ["RELEVO_WORKSPACE"] = str(Path(folder) / "workspace")
            cases = CASES[name](chosen.data.resolve() / name, Path(folder))
        print(f"{name}: ready after {time.perf_counter() - started:.0f} s", file=sys.stderr)
        for how in (ALIKE, ALONE, LABELS) if cases[0].ordered else (ALIKE, ALONE):
            tally, widths = walked(cases, how, show=chosen.show)
            figures = " | ".join(f"{tally.share(metric):.0%}" for metric in METRICS)
            wide = " | ".join(f"{widths[metric]:.3f}" for metric in METRICS)
            lines.append(f"| {name} | {how} | {tally.windows} | {tally.passing} | {figures} | {wide} |")
            if how == ALIKE:
                continue
            who = f"{name}, {how}"
            promises |= dict(at_least(f"{who}: inside {m}", tally.share(m), INSIDE) for m in METRICS)
            promises |= dict([at_least(f"{who}: passing", tally.passing / tally.windows, PASSING)])
    print("\n".join(lines))
    return tell(promises, fail=chosen.check)


def _data() -> Path:
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("RELEVO_TEST_DATA", beside))


def walked(cases: Sequence[Case], how: str, *, show: bool) -> tuple[Tally, Mapping[str, float]]:
    """Estimate every window in turn, and see whether what was realised is inside; gives the mean widths besides."""
    tally = Tally(inside=dict.fromkeys(METRICS, 0))
    wide: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for case in cases:
        for number, window in enumerate(case.windows):
            before = case.windows[: max(0, number - LATE + 1)] if how == LABELS else ()
            known = [(one.probability, one.outcome > 0) for one in before]
            line = alike(case.blocks) if how == ALIKE else recalibrate([*case.blocks, *known])
            # What is to contradict must not have been learned from.
            apart = recalibrate([*case.blocks, *known[: -estimation.RECENT]]) if how == LABELS else line
            passes, reasons = estimation.holds(window.probability, apart, realised=before)
            found = estimation.estimate(window.probability, window.decision, line).metrics
            real = window.measured()
            inside = {m: found[m].low <= real[m].value <= found[m].high for m in METRICS}
            tally.windows += 1
            if show:
                print(
                    number, len(window.outcome), told(found, real), "" if passes else f"({' '.join(reasons)})"
                )
            if passes:
                tally.passing += 1
                for metric in METRICS:
                    assert tally.inside is not None
                    tally.inside[metric] += inside[metric]
                    wide[metric].append(found[metric].high - found[metric].low)
    return tally, {metric: float(np.mean(each)) if each else 0.0 for metric, each in wide.items()}


def alike(blocks: Sequence[Block]) -> Recalibration:
    """One line for all rows, which new ones have too."""
    whole = recalibrate([(np.concatenate([p for p, _ in blocks]), np.concatenate([y for _, y in blocks]))])
    return replace(whole, level=replace(whole.level, scale=SURELY), slope=replace(whole.slope, scale=SURELY))


def told(found: Mapping[str, Interval], real: Mapping[str, Interval]) -> str:
    """The estimates beside what came true."""
    parts = []
    for metric in METRICS:
        one, came = found[metric], real[metric].value
        mark = "" if one.low <= came <= one.high else " OUT"
        parts.append(f"{metric} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}] came {came:.3f}{mark}")
    return "; ".join(parts)


def flights(data: Path, folder: Path) -> list[Case]:
    """Weeks after a reference of ten."""
    del folder
    definition = relevo.load(EXAMPLES / "flights", sets={"departures": str(data / "dataset_SCL.csv")})
    definition = definition.replace(
        split=relevo.TimeSplit(test="180d"), candidates=[relevo.lightgbm()], tuning=relevo.Tuning(trials=1)
    )
    found, _ = ran(definition, Workspace.open(EXAMPLES / "flights"))
    return [weekly(found, 10)]


def sodai(data: Path, folder: Path) -> list[Case]:
    """Weeks after a reference of ten, asked on Mondays, of the customers whose number five divides."""
    project = folder / "sodai"
    shutil.copytree(
        EXAMPLES / "sodai", project, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__")
    )
    purchases = project / "data" / "purchases"
    purchases.mkdir(parents=True)
    for name in ("clientes.parquet", "productos.parquet"):
        shutil.copy(data / name, project / "data" / name)
    for file in (data / "transacciones.parquet", *(data / "incremental").glob("*.parquet")):
        shutil.copy(file, purchases)
    sql = (project / "examples.sql").read_text(encoding="utf-8")
    newest = "range(2 * (n.start // 2 - 9), 2 * (n.start // 2))"
    assert newest in sql
    sql = sql.replace(newest, "range(2 * (n.start // 2 - 44), 2 * (n.start // 2), 2)")
    (project / "examples.sql").write_text(sql, encoding="utf-8")
    definition = relevo.load(project)
    sold, customers, products = definition.project.tables
    fifth = "customer_id % 5 = 0"
    definition = definition.replace(
        tables=[replace(sold, where=fifth), replace(customers, where=fifth), products],
        split=relevo.TimeSplit(test="238d", folds=3),
        population=None,
    )
    found, _ = ran(definition, Workspace.open(project))
    return [weekly(found, 10)]


def readmission(data: Path, folder: Path) -> list[Case]:
    """Blocks of later stays; the reference is of patients and has no time."""
    first = 45_000
    lines = (data / "diabetic_data.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    files = {"first": lines[1 : first + 1], "later": lines[first + 1 :]}
    for name, part in files.items():
        (folder / f"{name}.csv").write_text("".join([lines[0], *part]), encoding="utf-8")
    definition = relevo.load(EXAMPLES / "readmission")
    encounters, *code_books = definition.project.tables
    definition = definition.replace(
        tables=[replace(encounters, source=relevo.Files(str(folder / "first.csv"))), *code_books],
        candidates=[
            relevo.lightgbm(num_leaves=16, learning_rate=0.08, colsample_bytree=0.5, class_weight=0.0)
        ],
        tuning=relevo.Tuning(trials=1),
    )
    workspace = Workspace.open(EXAMPLES / "readmission")
    found, package = ran(definition, workspace)
    score.score(workspace.lake, package, folder / "later.csv", folder / "out.csv", nulls=encounters.nulls)
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["probability"]]
    p = np.array([float(row["probability"]) for row in rows])
    y = np.array([row["readmitted"] == "<30" for row in rows])
    return [Case(found.blocks("week"), cut(p, y, package.threshold, np.arange(len(p)) // 3000))]


def reggaeton(data: Path, folder: Path) -> list[Case]:
    """Windows drawn from the songs that a half's model has not learned from."""
    return [_half(data, folder / str(half), half) for half in range(2)]


def _half(data: Path, folder: Path, half: int) -> Case:
    folder.mkdir()
    os.environ["RELEVO_WORKSPACE"] = str(folder / "workspace")
    away: list[tuple[dict[str, str], bool]] = []
    for name in ("data_reggaeton.csv", "data_todotipo.csv"):
        header, *songs = (data / name).read_text(encoding="utf-8").splitlines(keepends=True)
        # By a digest of the song without its number, so that copies stay together.
        side = [hashlib.sha256(song.split(",", 1)[1].encode()).digest()[0] % 2 for song in songs]
        kept = [song for song, own in zip(songs, side, strict=True) if own != half]
        (folder / name).write_text("".join([header, *kept]), encoding="utf-8")
        others = [song for song, own in zip(songs, side, strict=True) if own == half]
        away += [(row, name == "data_reggaeton.csv") for row in csv.DictReader([header, *others])]
    definition = relevo.load(EXAMPLES / "reggaeton", sets={"songs": str(folder / "*.csv")})
    definition = definition.replace(
        candidates=[relevo.logistic(class_weight=[0.0])],
        tuning=relevo.Tuning(trials=1),
        split=relevo.RepeatedStratifiedSplit(folds=5, repeats=2),
        gate=relevo.Gate(beats_baselines=False),
    )
    found, package = ran(definition, Workspace.open(EXAMPLES / "reggaeton"))
    whole = [(row, outcome) for row, outcome in away if row["danceability"] not in ("", "NA")]
    answers = package.predict([song(package, row) for row, _ in whole])
    p, y = np.array([answer.probability for answer in answers]), np.array([outcome for _, outcome in whole])
    generator = np.random.default_rng(half)
    drawn = [generator.integers(0, len(p), 300) for _ in range(50)]
    windows = [Answered.of(p[rows], p[rows] >= package.threshold, y[rows]) for rows in drawn]
    return Case(found.blocks("week"), windows, ordered=False)


def song(package: relevo.ModelPackage, row: Mapping[str, str]) -> dict[str, float | int | None]:
    """A song of the file as a request."""
    fields = {field.name: int if field.type == "integer" else float for field in package.request.fields}
    return {
        name: None if row.get(name) in (None, "", "NA") else make(float(row[name]))
        for name, make in fields.items()
    }


def ran(definition: Definition, workspace: Workspace) -> tuple[Reference, relevo.ModelPackage]:
    """Run the lifecycle; the newest version's held-out rows, and its package."""
    ended = relevo.run(definition, workspace)
    version = workspace.ledger.versions(definition.name)[-1]
    assert ended.status in {"released", "refused"}, ended.message
    package = relevo.ModelPackage.load(workspace.blobs.folder(version.digest))
    return lifecycle.reference(definition, workspace, version.version), package


def weekly(found: Reference, weeks: int) -> Case:
    """The first so many weeks as the reference, the others as windows."""
    assert found.time is not None
    number = (found.time.astype("datetime64[D]").astype(np.int64) + 3) // 7
    early = number < np.unique(number)[weeks]
    part = replace(
        found,
        probability=found.probability[early],
        decision=found.decision[early],
        outcome=found.outcome[early],
        time=found.time[early],
    )
    threshold = found.probability[found.decision].min()
    late = ~early
    return Case(
        part.blocks("week"), cut(found.probability[late], found.outcome[late], threshold, number[late])
    )


def cut(
    probability: NDArray[np.float64], outcome: NDArray[np.bool_], threshold: float, number: NDArray[np.int64]
) -> list[Answered]:
    """Windows by their number, without those of too few rows."""
    found = []
    for one in np.unique(number):
        rows = number == one
        if np.count_nonzero(rows) >= LEAST:
            p = probability[rows]
            found.append(Answered.of(p, p >= threshold, outcome[rows]))
    return found


CASES: dict[str, Callable[[Path, Path], list[Case]]] = {
    "flights": flights,
    "sodai": sodai,
    "readmission": readmission,
    "reggaeton": reggaeton,
}


if __name__ == "__main__":
    raise SystemExit(main())
