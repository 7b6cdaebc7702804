"""Three weeks of flights in minutes: files arrive every day, the world changes once, and nobody is there.

python benchmarks/rehearsal.py [--check] [--day 24] [--keep FOLDER]

`relevo up` runs the flights project, with the service, on a clock that makes a day pass in --day seconds. A week goes
by as the months before it did; then the hours at which flights are late turn round, for the rest of the time. With
--check the script exits with 1 unless nothing was trained before the change, something was released after it that
is better on the days that followed, and nothing was trained in the last days, when that had been learned.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from support.measuring import HERE, at_least, below, tell

from relevo import clock
from relevo.findings import Finding
from relevo.workspace import Workspace

EXAMPLE = HERE.parent / "examples" / "flights"
FIRST, BEGIN, CHANGE, END = date(2017, 3, 6), date(2017, 7, 3), date(2017, 7, 10), date(2017, 7, 24)
ROWS = 70_000
"""A year's departures."""
NOON = 12
SETTINGS = """[up]
poll = 1
cases = "30 12 * * *"
"""
REPLACED = {
    'split=TimeSplit(test="60d")': 'split=TimeSplit(test="3d")',
    "candidates=[logistic(), lightgbm(), xgboost()]": "candidates=[lightgbm()]",
    'gate=Gate(minimum={"roc_auc": 0.6})': 'gate=Gate(minimum={"roc_auc": 0.55}, beats_baselines=False)',
    'cases="cases.csv",': 'retrain=Retrain(window="change", cooldown="2d", watch="3d"),',
    "    Project,\n": "    Project,\n    Retrain,\n",
}
"""A quicker project, whose cases, picked for the world as it was, may become wrong."""


def rows() -> list[list[str]]:
    """A year's departures; from the day of the change on, those before noon are late, and others not."""
    sys.path.insert(0, str(EXAMPLE))
    import sample  # type: ignore[import-not-found]

    place = {name: sample.HEADER.index(name) for name in ("Fecha-I", "Fecha-O")}
    found = []
    for row in sample.departures(ROWS, 0, FIRST):
        planned, left = (datetime.fromisoformat(row[place[name]]) for name in ("Fecha-I", "Fecha-O"))
        if planned.date() >= CHANGE:
            late = planned.hour < NOON and (planned.minute + planned.hour) % 3 > 0
            row[place["Fecha-O"]] = str(planned + timedelta(minutes=40 if late else 4))
        elif left - planned > timedelta(hours=12):
            continue
        found.append(row)
    return sorted(found, key=lambda row: row[place["Fecha-I"]])


def write(path: Path, header: list[str], part: list[list[str]]) -> None:
    """Write a file so that it appears whole."""
    aside = path.with_suffix(".part")
    with aside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *part])
    aside.rename(path)


def prepare(folder: Path) -> None:
    """Copy the project, with quicker settings."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".relevo", "__pycache__"))
    text = (folder / "project.py").read_text(encoding="utf-8")
    for old, new in REPLACED.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "project.py").write_text(text, encoding="utf-8")
    (folder / "relevo.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "data").mkdir()


def rehearse(folder: Path, day: float) -> None:
    """Let the weeks pass: the file of a day comes when it is over."""
    every = rows()
    header, planned = _header(), 0
    by_day: dict[str, list[list[str]]] = {}
    for row in every:
        by_day.setdefault(row[planned][:10], []).append(row)
    begin = BEGIN.isoformat()
    write(
        folder / "data" / "before.csv", header, [row for row in every if FIRST.isoformat() <= row[0] < begin]
    )
    _call(folder, {}, "run")
    start = datetime(BEGIN.year, BEGIN.month, BEGIN.day, tzinfo=UTC)
    pace = clock.Pace(start.timestamp(), 86_400 / day, time.time())
    variables = {clock.VARIABLE: pace.text()}
    command = [sys.executable, "-m", "relevo", "up", str(folder), "--port", "0", "--json"]
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    try:
        today = BEGIN
        while today < END:
            over = pace.anchor + ((today - BEGIN).days + 1) * day
            time.sleep(max(0.0, over + 0.02 * day - time.time()))
            if process.poll() is not None:
                raise SystemExit("relevo up ended")
            write(folder / "data" / f"{today}.csv", header, by_day[today.isoformat()])
            today += timedelta(days=1)
        time.sleep(3 * day)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)


def _header() -> list[str]:
    import sample

    found: list[str] = sample.HEADER
    return found


def _call(folder: Path, variables: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "relevo", *words, str(folder), "--json"]
    subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=True)


def judge(folder: Path) -> list[tuple[str, bool]]:
    """Tell the story, and what was promised of it."""
    ledger = Workspace.open(folder).ledger
    decisions = [*reversed(ledger.watch.decisions("flights", limit=1000))]
    for one in decisions:
        print(f"{one.at[:16]}  {one.cause}: {one.action}  {one.text[:150]}")
    for release in ledger.releases("flights"):
        print(f"{release.released_at[:16]}  {release.act} {release.version}  {release.why[:100]}")
    runs = [run for run in ledger.runs("flights", limit=1000) if run.plan.get("because")]
    for run in reversed(runs):
        print(f"{run.started_at[:16]}  run: {run.status} {run.version}  {run.message[:100]}")
    change, settled = CHANGE.isoformat(), (END - timedelta(days=4)).isoformat()
    windows = ledger.watch.windows("flights", source="arrivals", unit="day", limit=1000)
    losses = {w.name: _losses(w.findings) for w in windows if w.name >= settled}
    print(f"{len(windows)} days watched; losses told of the last days: {losses}")
    return [
        below("runs before the change", len([run for run in runs if run.started_at[:10] < change]), 1),
        at_least("versions released after it", len([run for run in runs if run.status == "released"]), 1),
        below("runs in the last days", len([run for run in runs if run.started_at[:10] > settled]), 1),
        below("losses told of the last days", sum(map(len, losses.values())), 1),
        at_least("days watched", len(windows), (END - BEGIN).days - 2),
    ]


def _losses(findings: Any) -> list[str]:
    return [Finding.of_json(one).told() for one in findings if one["kind"] == "loss"]


def main() -> int:
    """Rehearse, tell and check; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is missed")
    parser.add_argument("--day", type=float, default=24, help="seconds that a day takes")
    parser.add_argument("--keep", type=Path, help="an absent folder in which the project stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = chosen.keep or Path(made) / "flights"
        prepare(folder)
        rehearse(folder, chosen.day)
        return tell(dict(judge(folder)), fail=chosen.check)


if __name__ == "__main__":
    sys.exit(main())
