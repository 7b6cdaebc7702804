"""A real Airflow runs two examples from their exported files, and survives what is done to it.

One test, since one server serves all of it.
"""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relevo.ledger import Ledger
from relevo.records import Decision, now
from relevo.renewal.decide import RETRAIN
from support import airflow, example, project

if TYPE_CHECKING:
    from pathlib import Path

    from support.airflow import Server

ROWS = 3000
PASSWORD = "s3cret-of-the-ledger"  # noqa: S105 - made up; the server asks for none
GATE = 'Gate(minimum={"roc_auc": 0.5}, beats_baselines=False)'
QUICK = {
    "flights": (
        ("candidates=[logistic(), lightgbm(), xgboost()]", "candidates=[logistic(), lightgbm()]"),
        ("Tuning(trials=12)", "Tuning(trials=1)"),
        ('Gate(minimum={"roc_auc": 0.6})', GATE),
        ('cases="cases.csv",\n', ""),
    ),
    "readmission": (
        ("Tuning(trials=4)", "Tuning(trials=1)"),
        ("logistic(),\n", ""),
        ('Gate(minimum={"roc_auc": 0.6}, margin=0.01)', GATE),
        ('cases="cases.csv",\n', ""),
    ),
}
MONITOR = 'project.monitor(schedule=["5 0 * * *", "5 0 * * 1"])\n'


def quick(name: str, folder: Path) -> Path:
    """A copy of an example, made quick."""
    shutil.copytree(
        example.EXAMPLES / name, folder, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__")
    )
    project.edit(folder / "project.py", *QUICK[name])
    return folder


def export(folder: Path, dags: Path, *, name: str = "", monitor: str = "", **changes: Any) -> None:
    """Export a project, and tell its DAG file what a person would: where secrets are, to try again at once."""
    if name:
        project.edit(folder / "project.py", ('name="flights"', f'name="{name}"'))
    done = project.call("export", "airflow", folder, "--to", dags, "--json")
    assert done.code == 0, done.err
    more = {"connections": {"RELEVO_LEDGER": "relevo_ledger"}, "retry_seconds": 1, **changes}
    told = ", ".join(f"{key}={value!r}" for key, value in more.items())
    path = dags / f"{name or folder.name}.py"
    project.edit(path, ('timezone="UTC"', f'timezone="UTC", {told}'), (MONITOR, monitor))


def story(ledger: Ledger, name: str) -> dict[str, Any]:
    """What a project's first release came to: its model, its figures, and what the ledger tells of it."""
    (version,) = ledger.versions(name)
    ledger.verify(name)
    run = ledger.run(version.run)
    trials = [(one.candidate, one.number, one.score) for one in ledger.trials(run.id)]
    return {
        "model": (version.version, version.digest, version.status, version.algorithm),
        "metrics": version.metrics,
        "verdict": version.verdict,
        "steps": sorted((step.name, step.status) for step in ledger.steps(run.id)),
        "trials": sorted(trials, key=str),
        "releases": [
            (one.version, one.act, one.alias, one.who == f"run {run.id}") for one in ledger.releases(name)
        ],
        "run": (run.status, run.version, run.message),
    }


def a_decision(name: str) -> Decision:
    """To retrain."""
    return Decision(
        id="d1",
        project=name,
        at=now(),
        cause="loss",
        action=RETRAIN,
        text="It got worse.",
        evidence={},
        version="1.0.0",
    )


def kill(folder: Path, step: str, above: int) -> None:
    """`kill -9` of so many processes above a step's, while it is done; the step's process must die with them.

    The first above it is the Airflow task, the second the executor's worker that supervises that.
    """

    def look() -> tuple[psutil.Process, list[psutil.Process]] | None:
        child = airflow.doing(folder, step)
        try:
            found = [] if child is None else child.parents()[:above]
        except psutil.NoSuchProcess:
            return None
        return (child, found) if child is not None and len(found) == above else None

    child, found = airflow.until(look, f"{step} is under way")
    for process in reversed(found):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    child.wait(60)


@pytest.mark.slow
@airflow.NEEDED
def test_airflow_runs_the_exported_files(tmp_path: Path, subtests: pytest.Subtests) -> None:
    with ExitStack() as stack:
        dags, ledger, server = begun(tmp_path, stack)
        examples = [
            f"{name}_{workflow}" for name in QUICK for workflow in ("monitor", "train", "process", "ingest")
        ]
        faulty = [f"{name}_ingest" for name in ("absent", "homeless", "mistaken", "slow")]
        server.begin(*examples, *faulty, "spoiled_process", "spoiled_ingest")
        with ThreadPoolExecutor() as pool:  # at once: neither step waits for the other
            task = pool.submit(kill, tmp_path / "flights", "clean", 1)
            worker = pool.submit(kill, tmp_path / "readmission", "train:lightgbm", 2)
            task.result()
            worker.result()
        for check in (
            a_task_that_a_person_fails_ends_its_step,
            faults_are_told,
            a_run_that_is_given_up_is_failed,
            examples_are_released,
            killed_tasks_were_tried_again,
            it_is_what_a_whole_run_makes,
            ids_alone_pass_and_logs_have_figures,
            two_runs_without_news_end,
            the_monitor_looks_and_acts,
        ):
            with subtests.test(check.__name__):
                check(server, ledger, tmp_path)
    with subtests.test("no secret is written"):
        for path in [*dags.rglob("*"), *(tmp_path / "airflow").rglob("*")]:
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def begun(tmp_path: Path, stack: ExitStack) -> tuple[Path, Ledger, Server]:
    """Export everything, begin whole runs to compare with, and start Airflow, which begins at once."""
    dags, encounters = tmp_path / "dags", tmp_path / "encounters.csv"
    flights = quick("flights", tmp_path / "flights")
    example.module("flights", "sample").write(flights / "data" / "departures.csv", ROWS, 0)
    readmission = quick("readmission", tmp_path / "readmission")
    example.module("readmission", "sample").write(encounters, ROWS)
    url = stack.enter_context(example.module("readmission", "provider").provided(encounters, rows=1500))
    project.edit(readmission / "project.py", ("http://127.0.0.1:8100/batches/{number}", url))
    export(flights, dags, monitor="project.monitor(schedule=None)\n")
    export(readmission, dags, monitor="project.monitor(schedule=None)\n")
    export(project.make(tmp_path / "absent", 10), dags, name="absent", relevo="/nowhere/relevo")
    export(project.make(tmp_path / "homeless", 10), dags, name="homeless", retries=1)
    shutil.rmtree(tmp_path / "homeless")
    export(project.make(tmp_path / "mistaken", 10), dags, name="mistaken")
    project.edit(tmp_path / "mistaken" / "project.py", ('metric="f1"', 'metric="f0"'))
    slow = project.make(tmp_path / "slow", 10)
    export(slow, dags, name="slow", retries=0)
    with (slow / "project.py").open("a") as file:
        file.write("\n__import__('time').sleep(600)\n")
    spoiled = project.make(tmp_path / "spoiled", 0)
    (spoiled / "data").mkdir()
    (spoiled / "data" / "departures.csv").write_text(
        "Fecha-I,Vlo-I,Des-I,Emp-I,TIPOVUELO,Fecha-O\n" + "never,1,SCFA,SKU,N,never\n" * 100
    )
    export(spoiled, dags, name="spoiled", retries=1)
    for name in ("embedded", "on_postgres"):
        shutil.copytree(flights, tmp_path / name, ignore=shutil.ignore_patterns(".relevo"))
    place = stack.enter_context(airflow.database())
    given = {"AIRFLOW_CONN_RELEVO_LEDGER": airflow.connection(place, PASSWORD)}
    server = stack.enter_context(airflow.standalone(tmp_path / "airflow", dags, **given))
    ledger = Ledger(place)
    stack.callback(ledger.close)
    return dags, ledger, server


def a_task_that_a_person_fails_ends_its_step(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    child = airflow.until(lambda: airflow.doing(tmp_path / "slow", "ingest"), "slow is under way")
    (run,) = server.runs("slow_ingest")
    path = f"/api/v2/dags/slow_ingest/dagRuns/{run['dag_run_id']}/taskInstances/ingest"
    server.client.patch(path, json={"new_state": "failed"}).raise_for_status()
    child.wait(60)
    assert server.ended("slow_ingest")["state"] == "failed"


def faults_are_told(server: Server, ledger: Ledger, _: Path) -> None:
    """What trying again would not mend fails before its three tries; one may have been lost on a busy machine."""
    wanted = {
        "absent": "There is no “/nowhere/relevo” on this worker. Install Relevo in an environment of its own",
        "homeless": "homeless on this worker. Mount the project there, or write its place",
        "mistaken": "the metric “f0” is unknown",
    }
    for name, said in wanted.items():
        run = server.ended(f"{name}_ingest")
        task = server.tasks(f"{name}_ingest", run["dag_run_id"])["ingest"]
        assert (run["state"], task["state"]) == ("failed", "failed")
        assert task["try_number"] < 3
        assert said in server.log(f"{name}_ingest", run["dag_run_id"], "ingest", task["try_number"])
        assert ledger.runs(name) == []


def a_run_that_is_given_up_is_failed(server: Server, ledger: Ledger, _: Path) -> None:
    assert server.ended("spoiled_process")["state"] == "failed"

    def failed() -> Any:
        (run,) = ledger.runs("spoiled")
        return run if run.status == "failed" else None

    run = airflow.until(failed, "the run is told that it failed")
    assert run.message.startswith("Given up: clean. clean: departures: 100 of 100 rows")
    assert "quarantine" in run.message


def examples_are_released(server: Server, ledger: Ledger, _: Path) -> None:
    for name in ("flights", "readmission"):
        for workflow in ("train", "process", "ingest"):
            assert server.ended(f"{name}_{workflow}")["state"] == "success"
        champion = ledger.champion(name)
        assert champion is not None
        assert champion.version == "1.0.0"
        assert ledger.run(champion.run).status == "released"


def killed_tasks_were_tried_again(server: Server, ledger: Ledger, _: Path) -> None:
    for dag, task in (("flights_process", "clean"), ("readmission_train", "train[0]")):
        found = server.tasks(dag, server.ended(dag)["dag_run_id"])
        assert found[task]["try_number"] > 1
    assert {status for _, status in story(ledger, "readmission")["steps"]} == {"done"}


def it_is_what_a_whole_run_makes(server: Server, ledger: Ledger, tmp_path: Path) -> None:
    found = story(ledger, "flights")
    assert found["run"] == ("released", "1.0.0", "Version 1.0.0 is now champion.")
    done = project.relevo("run", tmp_path / "embedded")
    assert done.returncode == 0, done.stderr
    embedded = project.workspace(tmp_path / "embedded").ledger
    assert story(embedded, "flights") == found
    embedded.close()
    with airflow.database() as place:
        done = project.relevo("run", tmp_path / "on_postgres", env={"RELEVO_LEDGER": place})
        assert done.returncode == 0, done.stderr
        ledger = Ledger(place)
        assert story(ledger, "flights") == found
        ledger.close()


def ids_alone_pass_and_logs_have_figures(server: Server, ledger: Ledger, _: Path) -> None:
    (run,) = [one.id for one in ledger.runs("flights") if one.status == "released"]
    assert run.startswith("flights-scheduled-2024-01-01")
    dag_run = server.ended("flights_train")["dag_run_id"]
    passed = server.get(f"dags/flights_train/dagRuns/{dag_run}/taskInstances/~/xcomEntries")["xcom_entries"]
    for entry in passed:
        path = f"taskInstances/{entry['task_id']}/xcomEntries/{entry['key']}"
        found = server.get(f"dags/flights_train/dagRuns/{dag_run}/{path}", map_index=entry["map_index"])
        assert found["value"] == run
    assert len(passed) == 8
    log = server.log("flights_train", dag_run, "evaluate")
    assert "evaluate: " in log
    for figure in (" s CPU, ", " MiB, ", " rows, ", " bytes"):
        assert figure in log
    labels = {one["rendered_map_index"] for one in server.tasks("flights_train", dag_run).values()}
    assert {"train:logistic", "train:lightgbm"} <= labels
    assert "trial 1 of 1" in server.log("flights_train", dag_run, "train", number=0)


def two_runs_without_news_end(server: Server, ledger: Ledger, _: Path) -> None:
    for _number in range(2):
        server.trigger("flights_ingest")
    server.ended("flights_ingest", 3)

    def over() -> Any:
        runs = [run for run in ledger.runs("flights") if "manual" in run.id]
        return runs if len(runs) == 2 and not any(run.status == "running" for run in runs) else None

    runs = airflow.until(over, "both runs ended")
    assert {run.status for run in runs} <= {"unchanged", "watched"}  # two events may have come to one DAG run
    newest = next(run for run in runs if run.status == "unchanged")
    assert newest.message.startswith("Nothing is new since run flights-scheduled-2024-01-01")
    last = server.ended("flights_process", 2)
    assert (last["state"], server.states("flights_process", last["dag_run_id"])["examples"]) == (
        "success",
        "skipped",
    )
    assert len(server.runs("flights_train")) == 1


def the_monitor_looks_and_acts(server: Server, ledger: Ledger, _: Path) -> None:
    """A run that was decided on, as if by an earlier look, is begun with its reason and goes the way of any other."""
    ledger.watch.decide(a_decision("flights"))
    server.trigger("flights_monitor")
    last = server.ended("flights_monitor")
    assert server.states("flights_monitor", last["dag_run_id"]) == dict.fromkeys(
        ("collect", "look", "renew", "deliver"), "success"
    ) | {"end": "skipped"}

    def over() -> Any:
        run = ledger.find_run("d1-1")
        return run if run is not None and run.status != "running" else None

    run = airflow.until(over, "the run that was decided on ended")
    assert (run.status, run.plan["because"], run.plan["window"]) == ("unchanged", "d1", "")
    assert {one.status for one in ledger.runs("flights")} == {"released", "unchanged", "watched"}
