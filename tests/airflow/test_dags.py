"""The exported files in Airflow's own environment: how they parse, and `dag.test()`."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import airflow, example, project, weekly

ROOT = Path(__file__).parents[2]
EXAMPLES = ("flights", "readmission", "reggaeton", "sodai")
MODULE = ROOT / "src" / "relevo" / "export" / "files" / "relevo_airflow.py"
FOREIGN = ("relevo.", "duckdb", "deltalake", "sqlglot", "lightgbm", "xgboost", "sklearn", "onnx", "optuna")


def exported(folder: Path, to: Path) -> Path:
    """Export an example as the docs show it; gives its DAG file."""
    done = project.call("export", "airflow", folder, "--to", to, "--at", f"/srv/{folder.name}")
    assert done.code == 0, done.err
    return to / f"{folder.name}.py"


def copies(to: Path) -> list[Path]:
    """The examples' definitions, without their data."""
    left = shutil.ignore_patterns(".relevo", "data", "__pycache__")
    return [Path(shutil.copytree(ROOT / "examples" / name, to / name, ignore=left)) for name in EXAMPLES]


def in_airflow(code: str, *words: str, **more: str) -> Any:
    """What a script that runs in Airflow's environment prints last, as JSON."""
    home = Path(more["AIRFLOW_HOME"])
    done = subprocess.run(
        [f"{airflow.HOME}/bin/python", "-c", code, *words],
        env=airflow.settings(home, home / "dags", **more),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_module_imports_airflow_and_the_standard_library_only() -> None:
    found = set()
    for node in ast.walk(ast.parse(MODULE.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    foreign = {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"airflow.sdk", "airflow.sdk.exceptions"}


def test_the_docs_show_the_files_as_they_are_written(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "airflow.md").read_text("utf-8")
    for folder in copies(tmp_path):
        text = exported(folder, tmp_path / "dags").read_text("utf-8")
        assert len(text.splitlines()) < 15
        assert f"```python\n{text}```" in page


PARSE = """
import json, runpy, sys, time
sys.path.insert(0, "dags")
import airflow.sdk, airflow.sdk.exceptions
airflow.sdk.DAG, airflow.sdk.Asset, airflow.sdk.MultipleCronTriggerTimetable, airflow.sdk.BaseHook, airflow.sdk.Variable
before = set(sys.modules)
found, times = {}, {}
for name in sys.argv[1:]:
    sys.modules.pop("relevo_airflow", None)
    began = time.perf_counter()
    project = runpy.run_path(f"dags/{name}.py")["project"]
    times[name] = time.perf_counter() - began
    found[name] = {dag.dag_id: sorted(dag.task_ids) for dag in project.dags.values()}
    for dag in project.dags.values():  # a callback may be run where neither project nor secrets are
        assert not any(task.on_failure_callback for task in dag.tasks)
        assert dag.get_task("end").is_teardown
new = sorted(set(sys.modules) - before)
print(json.dumps({"dags": found, "modules": sorted(sys.modules), "new": new, "times": times}))
"""


@pytest.mark.slow
@airflow.NEEDED
def test_parsing_imports_nothing_of_relevo(tmp_path: Path) -> None:
    for folder in copies(tmp_path):
        exported(folder, tmp_path / "dags")
    found = in_airflow(PARSE, *EXAMPLES, AIRFLOW_HOME=str(tmp_path))
    assert [name for name in found["modules"] if name.startswith(FOREIGN) or name == "relevo"] == []
    assert "relevo_airflow" in found["new"]
    train = ["audit", "end", "evaluate", "judge", "package", "register", "release", "train"]
    monitor = ["collect", "deliver", "end", "look", "renew"]
    assert found["dags"]["flights"] == {
        "flights_ingest": ["end", "ingest"],
        "flights_process": ["clean", "end", "examples", "history", "lookups"],
        "flights_train": train,
        "flights_monitor": monitor,
    }
    assert found["dags"]["sodai"] == {
        "sodai_ingest": ["end", "ingest"],
        "sodai_process": ["champion_stays", "clean", "end", "examples", "history", "lookups", "review"],
        "sodai_train": sorted(["champion_stays", *train]),
        "sodai_score": ["end", "score"],
        "sodai_monitor": monitor,
    }


TEST = """
import importlib, json, sys
sys.path.insert(0, "dags")
project = importlib.import_module(sys.argv[1]).project
found = []
for name, run in (word.split("=") for word in sys.argv[2:]):
    ended = project.dags[name].test(run_conf={"run": run})
    states = {ti.task_id: str(ti.state) for ti in ended.get_task_instances()}
    found.append([name, str(ended.state), states])
print(json.dumps(found))
"""


def migrate(home: Path) -> None:
    """Make the database of an Airflow."""
    subprocess.run(
        [f"{airflow.HOME}/bin/airflow", "db", "migrate"],
        env=airflow.settings(home, home / "dags"),
        capture_output=True,
        check=True,
    )


@pytest.mark.slow
@airflow.NEEDED
def test_dag_test_releases_the_examples(tmp_path: Path) -> None:
    migrate(tmp_path)
    for name in ("flights", "readmission"):
        with example.prepared(name, tmp_path) as folder:
            done = project.call("export", "airflow", folder, "--to", tmp_path / "dags")
            assert done.code == 0, done.err
            workflows = [f"{workflow}=one" for workflow in ("ingest", "process", "train")]
            found = in_airflow(TEST, name, *workflows, AIRFLOW_HOME=str(tmp_path))
        assert [state for _, state, _ in found] == ["success"] * 3
        assert {states["release"] for workflow, _, states in found if workflow == "train"} == {"success"}
        run = project.workspace(folder).ledger.run("one")
        assert (run.status, run.version) == ("released", "1.0.0")


@pytest.mark.slow
@airflow.NEEDED
def test_a_run_whose_last_candidate_goes_on_is_given_up_when_all_ended(tmp_path: Path) -> None:
    """A DAG file that names a candidate which the project has no more: the other one is trained after it failed."""
    folder = project.make(tmp_path / "flights")
    assert project.call("export", "airflow", folder, "--to", tmp_path / "dags").code == 0
    file = tmp_path / "dags" / "flights.py"
    project.edit(
        file,
        ('train("logistic", "lightgbm"', 'train("gone", "logistic"'),
        ('timezone="UTC"', 'timezone="UTC", retries=0'),
    )
    migrate(tmp_path)
    words = [f"{workflow}=one" for workflow in ("ingest", "process", "train")]
    found = in_airflow(TEST, "flights", *words, AIRFLOW_HOME=str(tmp_path))
    assert [state for _, state, _ in found] == ["success", "success", "failed"]
    ledger = project.workspace(folder).ledger
    run = ledger.run("one")
    assert (run.status, run.message) == ("failed", "Given up: train_0.")
    states = [states for _, _, states in found]
    assert (states[0]["end"], states[1]["end"], states[2]["end"]) == ("skipped", "skipped", "success")
    assert states[2]["evaluate"] == "upstream_failed"
    assert [step.status for step in ledger.steps("one") if step.name == "train:logistic"] == ["done"]


@pytest.mark.slow
@airflow.NEEDED
def test_dag_test_runs_a_population(tmp_path: Path) -> None:
    """Through a first release and its scores, and through a second run without news, which scores with what stays."""
    folder = weekly.make(tmp_path / "shop")
    done = project.call("export", "airflow", folder, "--to", tmp_path / "dags")
    assert done.code == 0, done.err
    migrate(tmp_path)
    workflows = [
        f"{name}={run}" for run in ("one", "two") for name in ("ingest", "process", "train", "score")
    ]
    workflows.remove("train=two")
    found = in_airflow(TEST, "shop", *workflows, AIRFLOW_HOME=str(tmp_path))
    assert [state for _, state, _ in found] == ["success"] * 7
    states = {f"{name}{place // 4}": states for place, (name, _, states) in enumerate(found)}
    assert (states["process0"]["examples"], states["process0"]["champion_stays"]) == ("success", "skipped")
    assert (states["train0"]["release"], states["train0"]["champion_stays"]) == ("success", "skipped")
    assert (states["process1"]["examples"], states["process1"]["champion_stays"]) == ("skipped", "success")
    ledger = project.workspace(folder).ledger
    first, second = ledger.run("one"), ledger.run("two")
    assert (first.status, first.version, second.status, second.version) == (
        "released",
        "1.0.0",
        "unchanged",
        "1.0.0",
    )
    scored = [step for run in ("one", "two") for step in ledger.steps(run) if step.name == "score"]
    assert [(step.status, step.output["version"]) for step in scored] == [
        ("done", "1.0.0"),
        ("reused", "1.0.0"),
    ]
