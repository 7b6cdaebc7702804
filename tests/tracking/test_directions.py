"""Which side an alias is brought to, with a real MLflow server and one look at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo import challenge
from relevo.tracking import sync as syncing
from relevo.tracking import taking
from relevo.tracking.server import Address, Mlflow
from relevo.tracking.session import Session
from relevo.workspace import Workspace
from support import project
from support.mlflows import MlflowServer, another, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.records import ModelVersion, Release
    from support.project import Done

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]  # they share a server


@pytest.fixture
def named(server: MlflowServer, released: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A model's name of this test's own; MLflow knows 1.0.0, the champion, as its number 1, and another as 2."""
    name = request.node.name
    settle(released, name)
    another(released, threshold=0.9)
    with project.variables(MLFLOW_TRACKING_URI=server.url):
        assert sync(released).code == 0
        yield name


def sync(root: Path, *words: str) -> Done:
    return project.call("mlflow", "sync", root, *words)


def newest(root: Path, alias: str = "champion") -> Release:
    ledger = Workspace.open(root).ledger
    try:
        return ledger.releases("flights", alias)[-1]
    finally:
        ledger.close()


def promote(root: Path, version: str) -> None:
    ledger = Workspace.open(root).ledger
    ledger.release("flights", "champion", version, who="ana", why="better", act="promote")
    ledger.close()


def test_what_could_not_be_pushed_is_pushed_again_and_not_taken_back(
    server: MlflowServer, released: Path, named: str
) -> None:
    good = server.versions(named)[1]["tags"]["relevo.version"]
    server.post("model-versions/delete", "DELETE", name=named, version="2")
    promote(released, good)
    assert "was deleted in MLflow" in sync(released).out
    assert "was deleted in MLflow" in sync(released).out
    assert server.model(named)["aliases"] == {"champion": "1"}
    assert "deleted" not in sync(released, "--again").out
    assert (newest(released).version, newest(released).who) == (good, "ana")
    assert server.model(named)["aliases"] == {"champion": "3"}  # registered anew
    assert [one["tags"]["relevo.version"] for one in server.versions(named)] == ["1.0.0", good]


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_what_is_decided_here_while_a_version_is_looked_at_stands(
    server: MlflowServer, released: Path, named: str, alias: str
) -> None:
    other = another(released, threshold=0.8).version
    sync(released)
    server.move(named, alias, "2")
    workspace = Workspace.open(released)
    ledger = workspace.ledger

    def take(alias: str, version: ModelVersion | None, where: str, newest: int) -> int | None:
        ledger.release("flights", alias, other, who="ana", why="better", act="promote")
        return taking.take(workspace, alias, version, where, newest)

    session = Session(workspace, "flights", Mlflow(Address(server.url, 120)))
    syncing.look(session, take)
    assert [one.who for one in ledger.releases("flights", alias)][-1] == "ana"
    assert server.model(named)["aliases"][alias] == "3"
    assert newest(released, alias).version == other
    ledger.close()


def test_a_challenger_that_takes_the_place_of_one_that_was_removed_there_stays(
    server: MlflowServer, released: Path, named: str
) -> None:
    other = another(released, threshold=0.8).version
    server.move(named, "challenger", "2")
    assert sync(released).code == 0
    assert newest(released, "challenger").who == "MLflow"
    server.post("registered-models/alias", "DELETE", name=named, alias="challenger")
    workspace = Workspace.open(released)

    def take(alias: str, version: ModelVersion | None, where: str, newest: int) -> int | None:
        assert version is None
        challenge.shadow(workspace, "flights", other, who="ana")
        return taking.take(workspace, alias, version, where, newest)

    syncing.look(Session(workspace, "flights", Mlflow(Address(server.url, 120))), take)
    assert (newest(released, "challenger").version, newest(released, "challenger").who) == (other, "ana")
    assert server.model(named)["aliases"]["challenger"] == "3"
    workspace.ledger.close()


@pytest.mark.parametrize("moved", [True, False])
def test_the_champion_promoted_once_more_is_pushed_over_what_was_not_taken_up(
    server: MlflowServer, released: Path, named: str, *, moved: bool
) -> None:
    if moved:  # to a version that somebody registered by hand
        server.post("model-versions/create", name=named, source="s3://bucket/model")
        server.move(named, "champion", "3")
    else:
        server.post("registered-models/alias", "DELETE", name=named, alias="champion")
    assert "is not taken up" in sync(released).out
    assert "is not taken up" in sync(released).out
    done = project.relevo("promote", "1.0.0", "--project", released)
    assert "1.0.0 is champion already" in done.stdout
    assert "is not taken up" not in sync(released).out
    assert server.model(named)["aliases"] == {"champion": "1"}
    assert len(Workspace.open(released).ledger.releases("flights")) == 1


def test_what_was_not_taken_up_is_tried_again(server: MlflowServer, released: Path, named: str) -> None:
    good = server.versions(named)[1]["tags"]["relevo.version"]
    folder = Workspace.open(released).blobs.folder(server.versions(named)[1]["tags"]["relevo.digest"])
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(b"x")
    server.move(named, "champion", "2")
    assert "is not whole" in sync(released).out
    (folder / "model.onnx").write_bytes(whole)
    assert "is not whole" in sync(released).out
    assert newest(released).version == "1.0.0"
    assert "is not whole" not in sync(released, "--again").out
    assert (newest(released).version, newest(released).who) == (good, "MLflow")
