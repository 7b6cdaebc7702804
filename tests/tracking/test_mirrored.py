"""What a run leaves behind in a real MLflow server, once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from relevo.workspace import Workspace
from support import project
from support.loopback import silent
from support.mlflows import ROOT, MlflowServer, another, follower, sender, settle
from support.service import GOOD, until

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow")]  # they share a server


def relevo(*words: str | Path, url: str, **more: str) -> subprocess.CompletedProcess[str]:
    return project.relevo(*words, env={"MLFLOW_TRACKING_URI": url, **more})


def parts(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Runs by what they are a part of, none of which may be there twice."""
    counted = Counter((run["tags"]["relevo.run"], run["tags"]["relevo.part"]) for run in runs)
    assert set(counted.values()) <= {1}, counted
    return {run["tags"]["relevo.part"]: run for run in runs}


def waiting(root: Path, url: str) -> Mapping[str, int]:
    found: Mapping[str, int] = json.loads(relevo("mlflow", "status", root, "--json", url=url).stdout)[
        "waiting"
    ]
    return found


def test_a_run_its_candidates_trials_figures_package_and_version_are_there(
    server: MlflowServer, released: Path
) -> None:
    settle(released, "whole")
    done = relevo("mlflow", "sync", released, url=server.url)
    assert done.returncode == 0, done.stderr
    ledger = Workspace.open(released).ledger
    [run] = ledger.runs("flights")
    version = ledger.champion("flights")
    assert version is not None
    found = parts(server.runs("whole"))
    trials = {f"trial:{trial.candidate}:{trial.number}" for trial in ledger.trials(run.id)}
    assert set(found) == {"run", "candidate:logistic", "candidate:lightgbm"} | trials
    top = found["run"]
    assert (top["status"], top["tags"]["relevo.run"]) == ("FINISHED", run.id)
    assert top["tags"]["relevo.digest"] == version.digest
    assert (top["tags"]["relevo.version"], top["tags"]["relevo.decision"]) == ("1.0.0", "accepted")
    for name, part in found.items():
        candidate = part["tags"].get("relevo.candidate", "")
        above = {"run": None, f"candidate:{candidate}": "run"}.get(name, f"candidate:{candidate}")
        assert part["tags"].get("mlflow.parentRunId") == (found[above]["run_id"] if above else None)
    f1 = version.metrics["metrics"]["f1"]
    shown = [top["metrics"][f"held_out/f1{end}"] for end in ("", "_low", "_high")]
    assert shown == pytest.approx([f1["value"], f1["low"], f1["high"]])
    assert {"baseline/tree/f1", "baseline/majority/roc_auc"} <= set(top["metrics"])
    for step in ledger.steps(run.id):
        name = f"system/{step.name.replace(':', '_')}"
        assert top["metrics"][f"{name}/wall_seconds"] == pytest.approx(step.wall_seconds)
        assert top["metrics"][f"{name}/peak_rss_mib"] == pytest.approx(step.peak_rss_bytes / 2**20)
    assert not any("git" in key for key in top["tags"])
    files = server.get("artifacts/list", run_id=top["run_id"], path="plots")["files"]
    assert {Path(one["path"]).name for one in files} == {
        "calibration.svg",
        "confusion.svg",
        "metrics.svg",
        "roc.svg",
    }
    model = server.model("whole")
    assert model["aliases"] == {"champion": "1"}
    assert model["tags"]["relevo.release.000001"].startswith("champion: - → 1.0.0 (promote)")
    [registered] = server.versions("whole")
    assert registered["tags"]["relevo.digest"] == version.digest
    assert registered["run_id"] == top["run_id"]


def test_telling_again_adds_nothing_and_a_project_folder_has_no_line_of_it(
    server: MlflowServer, released: Path
) -> None:
    settle(released, "again")
    assert relevo("mlflow", "sync", released, url=server.url).returncode == 0
    before = server.runs("again"), server.versions("again")
    ledger = Workspace.open(released).ledger
    for one in ledger.mirror.known("flights", _digest(server)).values():  # as if every note had been lost
        ledger.mirror.forget("flights", one.server, one.kind, refused=False)
    done = json.loads(relevo("mlflow", "sync", released, "--json", url=server.url).stdout)
    assert (done["runs"], done["versions"], done["releases"]) == (1, 1, 1)
    assert (server.runs("again"), server.versions("again")) == before
    assert "mlflow" not in (released / "project.py").read_text()


def _digest(server: MlflowServer) -> str:
    from relevo.tracking.server import Address

    return Address(server.url, 1).digest


def test_a_model_that_is_somebody_elses_is_left_alone_and_runs_are_told(
    server: MlflowServer, released: Path
) -> None:
    settle(released, "theirs")
    server.post("registered-models/create", name="theirs")
    done = relevo("mlflow", "sync", released, url=server.url)
    assert done.returncode == 1
    assert "RELEVO_MLFLOW__MODEL" in done.stderr
    assert len(server.runs("theirs")) == 5
    assert server.versions("theirs") == []
    assert waiting(released, server.url) == {"run": 0, "version": 1, "release": 1}


def test_killed_senders_and_senders_at_once_tell_everything_once(
    server: MlflowServer, released: Path
) -> None:
    settle(released, "killed")
    for seen in (1, 3):  # killed when so many runs are there
        one = sender(released, server.url)
        until(lambda seen=seen, one=one: len(server.runs("killed")) >= seen or one.poll() is not None, 400)  # type: ignore[misc]
        one.kill()
        one.communicate()
    together = [sender(released, server.url) for _ in range(2)]
    said = [one.communicate(timeout=900)[0].decode() for one in together]
    assert [one.returncode for one in together] == [0, 0], said
    assert len(parts(server.runs("killed"))) == 5
    assert len(server.versions("killed")) == 1
    assert server.model("killed")["aliases"] == {"champion": "1"}
    assert sum(waiting(released, server.url).values()) == 0


def test_two_runs_made_of_one_become_one(server: MlflowServer, released: Path) -> None:
    """As when an answer was lost and somebody else sent it meanwhile."""
    settle(released, "twice")
    assert relevo("mlflow", "sync", released, url=server.url).returncode == 0
    top = parts(server.runs("twice"))["run"]
    tags = [{"key": key, "value": value} for key, value in top["tags"].items()]
    server.post("runs/create", experiment_id=top["experiment_id"], start_time=top["start_time"], tags=tags)
    ledger = Workspace.open(released).ledger
    ledger.mirror.forget("flights", _digest(server), "run", refused=False)
    assert relevo("mlflow", "sync", released, url=server.url).returncode == 0
    active = [run for run in server.runs("twice") if run["lifecycle_stage"] == "active"]
    assert len(parts(active)) == 5


def test_a_server_that_says_nothing_slows_no_run(released: Path) -> None:
    with silent() as url:
        variables = {"MLFLOW_TRACKING_URI": url, "RELEVO_MLFLOW__TIMEOUT": "600"}
        assert project.relevo("run", released, env=variables, timeout=590).returncode == 0


def away(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a command says that the server is, and not that another process tells it."""
    assert done.returncode == 1
    return "does not answer" in done.stderr


def test_a_server_that_is_away_stops_no_run_and_is_told_later_once(
    server: MlflowServer, released: Path
) -> None:
    settle(released, "away")
    assert project.relevo("run", released, env={"MLFLOW_TRACKING_URI": ""}).returncode == 0
    following = follower(released, server.url)
    server.stop()
    try:
        assert relevo("run", released, url=server.url).returncode == 0
        newer = another(released, threshold=0.9).version
        assert relevo("promote", newer, "--project", released, url=server.url).returncode == 0
        until(lambda: away(relevo("mlflow", "sync", released, url=server.url)), 400)
        assert waiting(released, server.url) == {"run": 3, "version": 2, "release": 2}
        status = relevo("mlflow", "status", released, url=server.url).stdout
        assert "does not answer" in status
    finally:
        server.start()
    # what follows sends, and so may what these commands left behind; whoever does, it is there once
    until(lambda: sum(waiting(released, server.url).values()) == 0, 400)
    until(lambda: server.model("away")["aliases"] == {"champion": "2"}, 400)
    following.terminate()
    following.communicate(timeout=120)
    found = server.runs("away")
    assert Counter(run["tags"]["relevo.status"] for run in found if run["tags"]["relevo.part"] == "run") == {
        "released": 1,
        "unchanged": 2,
    }
    assert len({(run["tags"]["relevo.run"], run["tags"]["relevo.part"]) for run in found}) == len(found)
    assert [one["tags"]["relevo.version"] for one in server.versions("away")] == ["1.0.0", newer]


def test_a_run_is_told_by_what_it_leaves_behind(server: MlflowServer, released: Path) -> None:
    settle(released, "behind")
    assert relevo("run", released, url=server.url).returncode == 0
    until(lambda: sum(waiting(released, server.url).values()) == 0, 400)
    assert len(server.runs("behind")) == 6


def test_the_package_loads_with_plain_pyfunc_where_only_its_requirements_are(
    server: MlflowServer, released: Path, tmp_path: Path
) -> None:
    settle(released, "loaded")
    assert relevo("mlflow", "sync", released, url=server.url).returncode == 0
    ours = Workspace.open(released)
    version = ours.ledger.champion("flights")
    assert version is not None
    wanted = json.loads(project.relevo("predict", json.dumps(GOOD), "--project", released, "--json").stdout)
    uv = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", ROOT], check=True)
    model = server.versions("loaded")[0]["tags"]["relevo.model"]
    listed = f"{server.url}/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files"
    text = httpx.get(listed, params={"artifact_file_path": "requirements.txt"}, timeout=120).text
    (tmp_path / "requirements.txt").write_text(text)
    python = tmp_path / "fresh" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "fresh"], check=True)
    chosen: list[str | Path] = [
        "--python",
        python,
        "--find-links",
        tmp_path / "dist",
        "-r",
        tmp_path / "requirements.txt",
    ]
    subprocess.run([uv, "pip", "install", "--quiet", *chosen], check=True)
    code = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
row = json.loads(sys.argv[2])
rows = pandas.DataFrame([row, {**row, "Fecha-I": pandas.Timestamp(row["Fecha-I"]), "Vlo-I": None}])
found = [model.predict(given).to_dict("records") for given in (row, [row, row], pandas.DataFrame([row]), rows)]
found.append(model.predict(model.input_example).to_dict("records"))
try:
    model.predict({**row, "TIPOVUELO": "Q"})
except Exception as error:
    found.append(f"{type(error).__name__}: {error}")
training = {"sklearn", "lightgbm", "xgboost", "sqlglot", "optuna", "duckdb"} & set(sys.modules)
print(json.dumps([found, sorted(training), [c.name for c in model.metadata.get_input_schema()]]))
"""
    quiet = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {**os.environ, **quiet, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    words: list[str | Path] = [python, "-c", code, "models:/loaded@champion", json.dumps(GOOD)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, training, names = json.loads(done.stdout.splitlines()[-1])
    answer = {name: wanted[name] for name in ("decision", "label")}
    for answers in found[:3]:
        for one in answers:
            assert {name: one[name] for name in answer} == answer
            assert one["probability"] == pytest.approx(wanted["probability"], abs=1e-6)
    assert len(found[3]) == 2
    assert len(found[4]) == 5
    assert found[5] == "RequestError: row 1: TIPOVUELO: must be one of: I, N."
    assert training == []
    assert names == ["Fecha-I", "Vlo-I", "Des-I", "Emp-I", "TIPOVUELO"]


def test_a_sender_ends_in_order(server: MlflowServer, released: Path) -> None:
    """SIGTERM in the middle leaves nothing locked."""
    settle(released, "ended")
    one = sender(released, server.url)
    until(lambda: bool(server.runs("ended")) or one.poll() is not None, 400)
    one.send_signal(signal.SIGTERM)
    one.communicate(timeout=120)
    assert relevo("mlflow", "sync", released, url=server.url).returncode == 0
    assert len(parts(server.runs("ended"))) == 5
