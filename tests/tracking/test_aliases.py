"""Aliases moved in a real MLflow server are taken up by a running ``relevo up``; what must not be is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from relevo.records import WITHDRAW
from relevo.workspace import Workspace
from support import project
from support.mlflows import MlflowServer, another, settle
from support.service import GOOD, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relevo.records import Release

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]  # they share a server
NAME = "aliases"


@dataclass
class Up:
    """A running ``relevo up``."""

    url: str
    root: Path
    process: subprocess.Popen[str]
    known: Mapping[str, str] = field(default_factory=dict)
    """Versions: the ``first``, a ``good`` one, one that is ``wrong`` in a critical case, one that was ``refused``."""

    def version(self) -> str:
        """The version that answers a prediction."""
        answer = httpx.post(f"{self.url}/v1/predict", json=GOOD, timeout=60).json()
        return str(answer["version"])


@contextmanager
def up(root: Path, url: str) -> Iterator[Up]:
    """Run it for the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELEVO_")}
    with (root / "said.txt").open("a") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "relevo", "up", str(root), "--port", "0", "--workers", "1", "--json"],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=environment | {"LC_ALL": "C.UTF-8", "MLFLOW_TRACKING_URI": url},
        )
    assert process.stdout is not None
    try:
        found: dict[str, Any] = {}
        while not {"url", "mlflow"} <= set(found):
            line = process.stdout.readline()
            assert line, (root / "said.txt").read_text()
            found |= json.loads(line)
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        yield Up(found["url"], root, process)
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture(scope="module")
def running(server: MlflowServer, original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A project with four versions, of which the first is champion."""
    root = project.copy(original, tmp_path_factory.mktemp("aliases") / "flights")
    settle(root, NAME)
    with (root / "relevo.toml").open("a") as settings:
        settings.write("[up]\ncases = ''\nreport = ''\npoll = 3600\n")
    made = {
        "good": another(root, threshold=0.9),
        "wrong": another(root, threshold=0.0),
        "refused": another(root, accepted=False, threshold=0.8),
    }
    with up(root, server.url) as found:
        until(lambda: len(_versions(server)) == 4, 400)
        found.known = {"first": "1.0.0", **{name: version.version for name, version in made.items()}}
        yield found


def _versions(server: MlflowServer) -> dict[str, str]:
    """MLflow's numbers by Relevo's."""
    try:
        return {one["tags"]["relevo.version"]: str(one["version"]) for one in server.versions(NAME)}
    except AssertionError:  # there is no such model yet
        return {}


def newest(root: Path, alias: str = "champion") -> Release:
    return Workspace.open(root).ledger.releases("flights", alias)[-1]


def alerts(root: Path) -> dict[str, str]:
    """The texts of open alerts, by signal."""
    ledger = Workspace.open(root).ledger
    every = [alarm for alarm in ledger.alerts.all("flights") if alarm.state != "resolved"]
    return {alarm.alert.signal: alarm.events[-1].text for alarm in every}


def test_a_version_promoted_in_mlflow_answers_within_five_seconds(running: Up, server: MlflowServer) -> None:
    assert running.version() == "1.0.0"
    good = running.known["good"]
    numbers = _versions(server)
    before, took = services(running), list[float]()
    while not took or (min(took) >= 5 and len(took) < 4):
        server.move(NAME, "champion", numbers["1.0.0"])
        until(lambda: running.version() == "1.0.0", 180)
        server.move(NAME, "champion", numbers[good])
        began = time.monotonic()
        until(lambda: running.version() == good, 180)
        took.append(time.monotonic() - began)
        release = newest(running.root)
        assert (release.version, release.who, release.act) == (good, "MLflow", "promote")
        assert release.why == f"The alias champion was moved to version {numbers[good]} of {NAME} in MLflow."
    assert before
    assert before <= services(running)
    assert min(took) < 5, took


def services(running: Up) -> set[int]:
    """The processes that answer, and the one above them; they outlast a release."""
    found = set()
    for child in psutil.Process(running.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a job that ended
            if "serve" in child.cmdline():
                found.add(child.pid)
    return found


def test_a_promotion_here_goes_there_and_does_not_come_back(running: Up, server: MlflowServer) -> None:
    ledger = Workspace.open(running.root).ledger
    ledger.release("flights", "champion", "1.0.0", who="ana", why="better", act="promote")
    number = _versions(server)["1.0.0"]
    until(lambda: server.model(NAME)["aliases"].get("champion") == number, 180)
    before = newest(running.root)
    moves = len(ledger.releases("flights"))
    time.sleep(3)  # three looks, in which nothing may happen
    assert newest(running.root) == before
    assert len(ledger.releases("flights")) == moves
    assert server.model(NAME)["aliases"]["champion"] == number


def foreign(server: MlflowServer, _: Mapping[str, str]) -> str:
    """A version that somebody registered by hand."""
    made = server.post("model-versions/create", name=NAME, source="s3://bucket/model")
    return str(made["model_version"]["version"])


def forged(server: MlflowServer, known: Mapping[str, str]) -> str:
    """A version that says it is the good one."""
    genuine = next(one for one in server.versions(NAME) if one["tags"]["relevo.version"] == known["good"])
    tags = [{"key": key, "value": value} for key, value in genuine["tags"].items()]
    made = server.post("model-versions/create", name=NAME, source="s3://bucket/model", tags=tags)
    return str(made["model_version"]["version"])


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (foreign, "is not Relevo's"),
        (forged, "another package or another version"),
        ("wrong", "Critical cases of {wrong} fail"),
        ("refused", "The gate refused {refused}"),
    ],
)
def test_what_must_not_answer_is_left_alone_and_told(
    running: Up, server: MlflowServer, which: Any, said: str
) -> None:
    before = newest(running.root)
    said = said.format(**running.known)
    known = _versions(server)
    number = which(server, running.known) if callable(which) else known[running.known[which]]
    server.move(NAME, "champion", number)
    until(lambda: said in alerts(running.root).get("alias:champion", ""), 180)
    assert newest(running.root) == before
    assert running.version() == before.version
    assert server.model(NAME)["aliases"]["champion"] == number
    told = project.relevo("mlflow", "status", running.root, env={"MLFLOW_TRACKING_URI": server.url}).stdout
    assert said in told
    if callable(which):
        server.post("model-versions/delete", "DELETE", name=NAME, version=number)
    server.move(NAME, "champion", known[before.version])
    until(lambda: "alias:champion" not in alerts(running.root), 180)


def test_a_deleted_version_is_told_and_the_champion_goes_on(running: Up, server: MlflowServer) -> None:
    before = newest(running.root)
    number = _versions(server)[running.known["wrong"]]
    server.move(NAME, "champion", number)
    server.post("model-versions/delete", "DELETE", name=NAME, version=number)  # its alias goes with it
    until(lambda: "its version was deleted" in alerts(running.root).get("alias:champion", ""), 180)
    assert running.version() == before.version
    assert newest(running.root) == before
    server.move(NAME, "champion", _versions(server)[before.version])
    until(lambda: "alias:champion" not in alerts(running.root), 180)


def test_a_challenger_named_in_mlflow_is_a_shadow_until_the_alias_is_gone(
    running: Up, server: MlflowServer
) -> None:
    other = next(running.known[n] for n in ("good", "first") if running.known[n] != running.version())
    server.move(NAME, "challenger", _versions(server)[other])

    def tried() -> Any:
        return Workspace.open(running.root).ledger.standing("flights", "challenger")

    until(lambda: tried() is not None, 180)
    assert (tried().version, tried().facts["mode"], tried().who) == (other, "shadow", "MLflow")
    server.post("registered-models/alias", "DELETE", name=NAME, alias="challenger")
    until(lambda: tried() is None, 180)
    assert newest(running.root, "challenger").act == WITHDRAW


def test_no_service_imports_mlflow(running: Up) -> None:
    for child in psutil.Process(
        running.process.pid
    ).children():  # jobs that it begins may import what they need
        mapped = {entry.path for entry in child.memory_maps()}
        own = "relevo.cli.following" in child.cmdline()
        assert any("pandas" in path for path in mapped) <= own, child.cmdline()
