"""Steps that are done again after MLflow, which lets no parameter be changed, was told of the run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from relevo.records import Trial
from relevo.workspace import Workspace
from support import project
from support.ledgers import a_run, a_step
from support.mlflows import MlflowServer, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.records import Run, Step
    from relevo.workspace import Workspace as Opened

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]  # they share a server


@pytest.fixture
def workspace(released: Path) -> Iterator[Opened]:
    found = Workspace.open(released)
    yield found
    found.ledger.close()


def told(root: Path, server: MlflowServer, name: str, run: Run) -> dict[str, dict[str, Any]]:
    """What MLflow shows of a run by its parts, after it was told."""
    with project.variables(MLFLOW_TRACKING_URI=server.url):
        done = project.call("mlflow", "sync", root, "--json")
    assert (done.code, done.document["refused"]) == (0, []), done
    shown = [one for one in server.runs(name) if one["lifecycle_stage"] == "active"]
    own = [one for one in shown if one["tags"]["relevo.run"] == run.id]
    found = {one["tags"]["relevo.part"]: one for one in own}
    assert len(found) == len(own)
    return found


def trained(run: Run, depth: int, **changes: Any) -> Step:
    output = {"fit": {"algorithm": "lightgbm", "settings": {"depth": depth}, "metric": "f1"}, "score": 0.5}
    return a_step(run, name="train:deep", output=output, **changes)


def tried(run: Run, depth: int) -> Trial:
    return Trial(
        run=run.id,
        candidate="deep",
        number=0,
        settings={"depth": depth},
        state="complete",
        score=0.5,
        training_score=0.5,
        seconds=1.0,
    )


def test_a_candidate_that_failed_first_and_one_that_came_out_otherwise(
    server: MlflowServer, workspace: Opened
) -> None:
    settle(workspace.project, "again_candidate")
    run, ledger = a_run("flights", plan={}), workspace.ledger
    ledger.start_run(run)
    ledger.save_step(a_step(run, name="train:deep", status="failed", output={}, error="no memory"))
    first = told(workspace.project, server, "again_candidate", run)
    assert (first["candidate:deep"]["params"], first["candidate:deep"]["status"]) == ({}, "FAILED")
    for depth in (3, 5):
        ledger.save_trials([tried(run, depth)])
        ledger.save_step(trained(run, depth))
        found = told(workspace.project, server, "again_candidate", run)
        assert found["candidate:deep"]["params"] == {"algorithm": "lightgbm", "settings.depth": str(depth)}
        assert found["candidate:deep"]["status"] == "FINISHED"
        assert found["trial:deep:0"]["params"] == {"depth": str(depth)}
        assert found["trial:deep:0"]["tags"]["mlflow.parentRunId"] == found["candidate:deep"]["run_id"]
        assert found["candidate:deep"]["tags"]["mlflow.parentRunId"] == found["run"]["run_id"]
    assert found["run"]["run_id"] == first["run"]["run_id"]


def test_a_run_that_failed_and_learned_from_more_rows_later(server: MlflowServer, workspace: Opened) -> None:
    settle(workspace.project, "again_run")
    ledger = workspace.ledger
    [before] = ledger.runs("flights")
    evaluated = next(step for step in ledger.steps(before.id) if step.name == "evaluate")
    record = json.loads(workspace.blobs.get(str(evaluated.output["blob"])))
    run = a_run("flights", plan={})
    ledger.start_run(run)
    for rows in (1000, 2000):
        blob = workspace.blobs.put(json.dumps({**record, "data": {**record["data"], "rows": rows}}).encode())
        ledger.save_step(replace(evaluated, run=run.id, output={**evaluated.output, "blob": blob}))
        told(workspace.project, server, "again_run", run)
        ledger.finish_run(run.id, status="failed", message="the disk is full")
        assert told(workspace.project, server, "again_run", run)["run"]["params"]["rows"] == str(rows)
        ledger.reopen_run(run.id)
