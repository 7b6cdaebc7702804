"""A small project that lives: files of a week's loans arrive, and the world changes in a known way.

Whether a loan fails hangs on its amount and region. ``week`` draws one, ``spoil`` says how it differs from the
others, and ``Story`` is the project's folder with what is done in it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo.bins import REQUESTS, Bins
from relevo.collect import collect_all
from relevo.definition import load
from relevo.ids import uuid7
from relevo.journal import COUNTS, LABELS, PREDICTIONS, Journal
from relevo.lifecycle import run
from relevo.monitor import monitor
from relevo.package import ModelPackage
from relevo.renewal import carry_out, renew
from relevo.validation import validate
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Decision, Release, Run, Window

PROJECT = '''"""Will this loan fail?"""

from datetime import datetime

from pydantic import BaseModel, Field

from relevo import Files, Gate, Monitor, Project, Retrain, Table, Target, TimeSplit, Tuning, logistic


class Loan(BaseModel):
    """The request."""

    asked_at: datetime = Field(description="When it was asked for", examples=["2026-01-05 10:00:00"])
    amount: float = Field(ge=-100, le=100000, description="In units of the usual", examples=[0.5])
    region: str = Field(max_length=20, description="Where", examples=["north"])
    channel: str | None = Field(None, max_length=20, description="How it was asked", examples=["web"])


class Outcome(Loan):
    """The table."""

    failed: bool


project = Project(
    name="loans",
    tables=[Table("loans", Outcome, Files("data/*.csv"), event_time="asked_at")],
    request=Loan,
    target=Target("failed", positive="fails", negative="is paid"),
    split=TimeSplit(test="4d", folds=2),
    metric="roc_auc",
    candidates=[logistic(C=1.0)],
    tuning=Tuning(trials=1),
    gate=Gate(minimum={"roc_auc": 0.55}, beats_baselines=False),
    monitor=Monitor(loss=0.03),
    retrain=Retrain(window="change", cooldown="1s", watch="60d"),
)
'''
FEATURES = "select amount, region, channel from request\n"
FIELDS = ("asked_at", "amount", "region", "channel", "failed")
REGIONS = ("north", "south", "east", "west")
SHARES = (0.4, 0.3, 0.2, 0.1)
START = datetime(2026, 1, 5)  # a Monday
ROWS = 1400
WEEKS = 10
"""Of the file that the first version is made from."""


def week(
    number: int, seed: int = 0, *, rows: int = ROWS, kind: str = "", rate: float | None = None
) -> list[list[Any]]:
    """Rows of a week. ``kind`` is how it differs: ``broken``, ``moved``, ``turned`` (the concept), or not at all.

    ``rate`` is the share of loans that fail, where it is not the usual one.
    """
    draw = np.random.default_rng([seed, number])
    shares = (0.1, 0.2, 0.3, 0.4) if kind == "moved" else SHARES
    amount = draw.normal(0, 1, rows)
    region = draw.choice(4, rows, p=shares)
    effect = np.array([0.0, 0.5, -0.5, 0.2])[region]
    slope = -1.5 if kind == "turned" else 1.5
    odds = slope * amount + effect
    failed = draw.random(rows) < 1 / (1 + np.exp(-(odds + (-0.7 if rate is None else _level(odds, rate)))))
    channel = draw.choice(["web", "branch", "phone"], rows, p=[0.6, 0.3, 0.1])
    begin = START + timedelta(weeks=number)
    found = []
    for row in range(rows):
        at = begin + timedelta(seconds=int(row * 7 * 86_400 / rows))
        shown = "" if kind == "broken" else str(channel[row])
        found.append([at, round(float(amount[row]), 4), REGIONS[region[row]], shown, bool(failed[row])])
    return found


def _level(odds: Any, rate: float) -> float:
    """What must be added to log-odds for their probabilities to have this mean."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(1 / (1 + np.exp(-(odds + middle)))) < rate else (low, middle)
    return low


def write(path: Path, rows: list[list[Any]]) -> None:
    """Write a file so that it appears whole."""
    aside = path.with_suffix(".part")
    with aside.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(FIELDS)
        out.writerows(rows)
    aside.rename(path)


def make(folder: Path, *, project: str = PROJECT, rate: float | None = None) -> None:
    """Write the project with the weeks that its first version is made from."""
    (folder / "data").mkdir(parents=True)
    (folder / "project.py").write_text(project, encoding="utf-8")
    (folder / "features.sql").write_text(FEATURES, encoding="utf-8")
    write(folder / "data" / "w00.csv", [row for n in range(WEEKS) for row in week(n, rate=rate)])


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first version was made; copy it with ``Story.begun``."""
    folder = tmp_path_factory.mktemp("stories") / "base"
    make(folder)
    assert Story(folder).run().status == "released"
    return folder


@dataclass
class Story:
    """A project's folder."""

    folder: Path

    @classmethod
    def begun(cls, base: Path, folder: Path) -> Story:
        """Copy one in which the first version was made."""
        shutil.copytree(base, folder)
        return cls(folder)

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(self.folder)

    def arrive(self, number: int, kind: str = "", *, rate: float | None = None) -> None:
        """Let the file of a week come."""
        write(self.folder / "data" / f"w{number:02}.csv", week(number, kind=kind, rate=rate))

    def run(self) -> Run:
        """Make a version."""
        return run(load(self.folder), self.workspace)

    def watch(self) -> tuple[list[Window], list[Decision], list[Run | Release]]:
        """What `relevo monitor` does, in this process."""
        definition, workspace = load(self.folder), self.workspace
        windows = monitor(definition, workspace)
        decisions = renew(definition, workspace, windows)
        return windows, decisions, carry_out(definition, workspace)

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start `relevo monitor` as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "relevo", "monitor", str(self.folder), "--json"],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ask(
        self,
        day: datetime,
        rows: list[list[Any]],
        *,
        labelled: float = 1.0,
        wrong: float = 0.0,
        strange: float = 0.0,
        lasting: float = 86_000,
        again: bool = False,
    ) -> None:
        """Have rows asked on a day, evenly, and the first of them, so large a share, labelled a minute later.

        The answers to a share of them, ``wrong``, are logged otherwise than the model gives them, and a share of the
        requests, ``strange``, with an amount that breaks the contract. ``lasting`` is how many seconds it takes to ask
        them. What was asked before, ``again``, has its labels alone.
        """
        workspace = self.workspace
        version = workspace.ledger.champion("loans")
        assert version is not None
        package = ModelPackage.load(workspace.blobs.folder(version.digest))
        asked, told = [], []
        for place, row in enumerate(rows):
            at = day + timedelta(seconds=place * lasting / len(rows))
            body = {"asked_at": str(row[0]), "amount": row[1], "region": row[2], "channel": row[3] or None}
            (answer,) = package.predict([validate(package.validators, body)])
            if place < strange * len(rows):
                body["amount"] = 1e9
            probability = answer.probability / 2 if place < wrong * len(rows) else answer.probability
            line = {
                "id": f"{at.timestamp():.6f}",
                "at": at.isoformat(timespec="microseconds"),
                "project": "loans",
                "version": version.version,
                "digest": version.digest,
                "probability": probability,
                "decision": answer.decision,
                "label": answer.label,
                "request": body,
            }
            asked.append(json.dumps(line))
            if place < labelled * len(rows):
                label = {
                    "id": f"l{at.timestamp():.6f}",
                    "received_at": (at + timedelta(minutes=1)).isoformat(timespec="microseconds"),
                    "project": "loans",
                    "prediction": line["id"],
                    "key": None,
                    "time": None,
                    "outcome": row[4],
                    "at": None,
                    "label": package.labels[row[4]],
                }
                told.append(json.dumps(label))
        for stream, lines in ((PREDICTIONS, [] if again else asked), (LABELS, told)):
            if lines:
                journal = Journal.open(workspace.logs, stream)
                journal.write("".join(f"{line}\n" for line in lines).encode())
                journal.close()
        collect_all(workspace)

    def count(self, hour: datetime, *, rows: int = 0, refused: int = 0, failed: int = 0) -> None:
        """Have the service count requests of an hour."""
        workspace = self.workspace
        version = workspace.ledger.champion("loans")
        assert version is not None
        bins = Bins.of(ModelPackage.load(workspace.blobs.folder(version.digest)))
        assert bins is not None
        line = {
            "id": uuid7(),
            "project": "loans",
            "source": REQUESTS,
            "version": version.version,
            "digest": version.digest,
            "bins": bins.digest,
            "size": bins.size,
            "hour": hour.isoformat(),
            "rows": rows,
            "refused": refused,
            "failed": failed,
            "places": [],
            "counts": [],
        }
        journal = Journal.open(workspace.logs, COUNTS)
        journal.write(f"{json.dumps(line)}\n".encode())
        journal.close()
        collect_all(workspace)

    def champion(self) -> str:
        """The version in force."""
        found = self.workspace.ledger.champion("loans")
        return found.version if found is not None else ""

    def told(self) -> dict[str, Any]:
        """The story so far, without times and ids: what was decided, released, withheld and is alerted of."""
        ledger = self.workspace.ledger
        decisions = reversed(ledger.watch.decisions("loans", limit=1000))
        return {
            "decisions": [(one.cause, one.action, one.version) for one in decisions],
            "releases": [(one.act, one.version) for one in ledger.releases("loans")],
            "alerts": sorted(
                (one.alert.signal, one.severity, one.state)
                for one in ledger.alerts.all("loans", resolved=True)
            ),
            "windows": sorted(
                (one.source, one.unit, one.name, one.version, tuple(sorted(f["kind"] for f in one.findings)))
                for one in ledger.watch.windows("loans", limit=1000)
            ),
        }
