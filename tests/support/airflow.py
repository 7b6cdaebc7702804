"""A real Airflow: `airflow standalone` with LocalExecutor on a database of its own, in an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import psutil
import pytest
from sqlalchemy import create_engine, make_url, text

from relevo.ids import uuid7
from support import project
from support.provider import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOME = os.environ.get("RELEVO_TEST_AIRFLOW", "")
POSTGRES = os.environ.get("RELEVO_TEST_POSTGRES", "")
NEEDED = pytest.mark.skipif(
    not (HOME and POSTGRES),
    reason="RELEVO_TEST_AIRFLOW (what `scripts/engine-env airflow` prints) or RELEVO_TEST_POSTGRES is not set",
)
PATIENCE = 400.0


@contextmanager
def database() -> Iterator[str]:
    """A database of its own on the test's Postgres, dropped afterwards; gives SQLAlchemy's URL."""
    name = "relevo_" + uuid7().replace("-", "")
    engine = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    try:
        yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"drop database {name} with (force)"))
        engine.dispose()


def connection(url: str, password: str) -> str:
    """A Postgres URL as one of Airflow's connections; the password is not asked for on the test's server."""
    found = make_url(url)
    return f"postgres://{found.username}:{password}@{found.host}:{found.port or 5432}/{found.database}"


def settings(home: Path, dags: Path, **more: str) -> dict[str, str]:
    """The environment of Airflow's processes, without this process's own Python and settings.

    What chooses the kernels of linear algebra (OPENBLAS_…) stays: other kernels give other last digits.
    """
    foreign = ("PYTHON", "VIRTUAL_ENV", "PYTEST", "AIRFLOW", "RELEVO")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        "PATH": f"{HOME}/bin:{kept['PATH']}",  # standalone starts `airflow` by its name
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "RELEVO_EXECUTABLE": str(project.RELEVO),
        "RELEVO_LANG": "en",
        **more,
    }


@dataclass
class Server:
    """A running Airflow and what its REST API says."""

    url: str
    home: Path
    client: httpx.Client

    def get(self, path: str, **asked: Any) -> Any:
        """A document of the API."""
        answer = self.client.get(f"/api/v2/{path}", params=asked)
        answer.raise_for_status()
        return answer.json()

    def begin(self, *dags: str) -> None:
        """Let the clock begin for these DAGs, once all were read; before the server answers no task could start."""
        wanted = set(dags)

        def look() -> bool | None:
            known = {one["dag_id"] for one in self.get("dags", limit=100)["dags"]}
            return True if wanted <= known else None

        until(look, f"{sorted(wanted)} are read")
        for dag in dags:
            self.client.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()

    def trigger(self, dag: str, **conf: str) -> str:
        """Begin a DAG run; gives its id."""
        answer = self.client.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf})
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, oldest first; none before it was read."""
        answer = self.client.get(f"/api/v2/dags/{dag}/dagRuns", params={"order_by": "id"})
        found: list[dict[str, Any]] = answer.json()["dag_runs"] if answer.status_code == 200 else []
        return found

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        """The task instances of a DAG run by name, those of candidates with their number."""
        found = self.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {
            one["task_id"] + (f"[{one['map_index']}]" if one["map_index"] >= 0 else ""): one for one in found
        }

    def states(self, dag: str, run: str) -> dict[str, str]:
        """The states of the tasks of a DAG run."""
        return {name: str(one["state"]) for name, one in self.tasks(dag, run).items()}

    def log(self, dag: str, run: str, task: str, attempt: int = 1, number: int = -1) -> str:
        """What a task's log says."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        found = self.get(path, map_index=number)
        return "\n".join(
            f"{one.get('event', '')} {one.get('error_detail', '')}" if isinstance(one, dict) else str(one)
            for one in found["content"]
        )

    def ended(self, dag: str, number: int = 1) -> dict[str, Any]:
        """Wait until a DAG has this many runs, all ended; gives the last."""

        def look() -> dict[str, Any] | None:
            runs = self.runs(dag)
            over = len(runs) >= number and all(one["state"] in {"success", "failed"} for one in runs)
            return runs[-1] if over else None

        return until(look, f"{dag} has {number} runs that ended")


T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Wait for a condition; a server that answers with an error, or not at all, is asked again."""
    end, problem = time.monotonic() + patience, ""
    while time.monotonic() < end:
        try:
            if (found := look()) is not None:
                return found
        except httpx.HTTPError as error:
            problem = repr(error)
        time.sleep(0.2)
    raise AssertionError(f"not within {patience:.0f} s: {what} {problem}")


@contextmanager
def standalone(home: Path, dags: Path, **more: str) -> Iterator[Server]:
    """Run `airflow standalone` on Postgres for the block; everything that it started is ended."""
    port = free_port()
    with database() as url:
        given = settings(
            home,
            dags,
            AIRFLOW__CORE__EXECUTOR="LocalExecutor",
            AIRFLOW__CORE__PARALLELISM="4",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url.replace("+psycopg", "+psycopg2"),
            AIRFLOW__API__HOST="127.0.0.1",
            AIRFLOW__API__PORT=str(port),
            AIRFLOW__API__WORKERS="1",
            AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL="5",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="30",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="2",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC="2",
            AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.3",
            **more,
        )
        home.mkdir(parents=True)
        with (home / "standalone.log").open("w") as log:
            process = subprocess.Popen(
                [f"{HOME}/bin/airflow", "standalone"],
                env=given,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=120) as client:
                until(lambda: _token(client, process), "Airflow answers")
                yield Server(address, home, client)
        finally:
            _end(process)


def _token(client: httpx.Client, process: subprocess.Popen[bytes]) -> str | None:
    assert process.poll() is None, "airflow standalone ended"
    try:
        answer = client.get("/auth/token")
    except httpx.TransportError:
        return None
    if answer.status_code != 201:
        return None
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return "ready"


def of(session: int) -> list[psutil.Process]:
    """The processes of an Airflow's session, which outlive each other; titles are written over their variables."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    for _ in range(5):  # what is begun while the others end
        left = of(process.pid)
        for one in left:
            try:
                one.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(left, timeout=60)
    process.wait(60)
    assert of(process.pid) == []


def doing(folder: Path, step: str) -> psutil.Process | None:
    """The process of a step on a project's folder that is under way."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if str(folder) in words and "step" in words and step in words:
            return process
    return None
