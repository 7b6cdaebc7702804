"""A real MLflow server that lost what it was told: it is told again, and no alias is put on another version."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from relevo.workspace import Workspace
from support import project
from support.mlflows import MlflowServer, another, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.project import Done

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]  # they share a server


def sync(root: Path, url: str, *words: str) -> Done:
    with project.variables(MLFLOW_TRACKING_URI=url):
        return project.call("mlflow", "sync", root, *words)


def numbers(server: MlflowServer, name: str) -> dict[str, str]:
    """Relevo's versions by MLflow's numbers."""
    return {str(one["version"]): one["tags"]["relevo.version"] for one in server.versions(name)}


@pytest.fixture
def deleted(server: MlflowServer, released: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a registered model that MLflow had, with 1.0.0 and the champion 1.1.0, until somebody deleted it."""
    name = request.node.name
    settle(released, name)
    another(released, threshold=0.9)
    ledger = Workspace.open(released).ledger
    ledger.release("flights", "champion", "1.1.0", who="ana", why="better", act="promote")
    assert sync(released, server.url).code == 0
    server.post("registered-models/delete", "DELETE", name=name)
    yield name
    ledger.close()


def test_a_model_that_was_deleted_stays_so_until_it_is_wanted(
    server: MlflowServer, released: Path, deleted: str
) -> None:
    for _ in range(2):
        done = sync(released, server.url)
        assert (done.code, f"The registered model {deleted} was deleted" in done.err) == (1, True)
    done = sync(released, server.url, "--again")
    assert done.code == 0, done.err
    assert numbers(server, deleted) == {"1": "1.0.0", "2": "1.1.0"}
    model = server.model(deleted)
    assert model["aliases"] == {"champion": "2"}
    assert {f"relevo.release.00000{number}" for number in (1, 2)} <= set(model["tags"])


def test_a_model_that_is_made_anew_has_every_version_and_its_alias_the_right_one(
    server: MlflowServer, released: Path, deleted: str
) -> None:
    third = another(released, threshold=0.8).version
    done = sync(released, server.url)
    assert done.code == 0, done.err
    assert numbers(server, deleted) == {"1": "1.0.0", "2": "1.1.0", "3": third}
    assert server.model(deleted)["aliases"] == {"champion": "2"}


def test_no_alias_is_put_on_another_version_of_the_number(
    server: MlflowServer, released: Path, deleted: str
) -> None:
    """As when somebody changes what a version there says of itself."""
    assert sync(released, server.url, "--again").code == 0
    server.post("model-versions/set-tag", name=deleted, version="1", key="relevo.digest", value="f" * 64)
    ledger = Workspace.open(released).ledger
    ledger.release("flights", "champion", "1.0.0", who="ana", why="better", act="rollback")
    assert "was deleted in MLflow" in sync(released, server.url).out
    assert server.model(deleted)["aliases"] == {"champion": "2"}
    assert sync(released, server.url, "--again").code == 0
    assert server.model(deleted)["aliases"] == {"champion": "3"}
    assert ledger.releases("flights")[-1].version == "1.0.0"
    ledger.close()


def test_a_server_that_lost_its_database_is_told_everything_anew(released: Path, tmp_path: Path) -> None:
    server = MlflowServer(tmp_path / "mlflow").start()
    settle(released, "lost")
    try:
        assert sync(released, server.url).code == 0
        runs = len(server.runs("lost"))
        server.stop()
        shutil.rmtree(server.root)
        server.start()
        done = sync(released, server.url, "--json")
        assert (done.code, json.loads(done.out)["runs"]) == (0, 1), done
        assert len(server.runs("lost")) == runs
        assert numbers(server, "lost") == {"1": "1.0.0"}
        assert server.model("lost")["aliases"] == {"champion": "1"}
    finally:
        server.stop()
