"""Relevo's workflows as Airflow's DAGs. `relevo export airflow` writes this file; it needs Airflow 3 and nothing else.

Each task is one `relevo` command in Relevo's own environment, never in Airflow's. Between tasks and DAGs goes the run's
id alone. A step that was done is not done again, so a task may be killed, retried and cleared at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

from airflow.sdk import (
    DAG,
    Asset,
    BaseHook,
    BaseOperator,
    MultipleCronTriggerTimetable,
    TriggerRule,
    Variable,
    chain,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

FINE = (0, 3)
"""Exit codes that are results: 3 says that the gate refused the model, and the champion stays."""
LONGEST = 64  # characters of a run's id
FOREIGN = ("AIRFLOW", "_AIRFLOW", "__AIRFLOW", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
TRAINED = ("evaluate", "package", "audit", "judge", "register", "release")
AWAY = (
    "There is no “{found}” on this worker. Install Relevo in an environment of its own (python -m venv /opt/relevo; "
    '/opt/relevo/bin/pip install "relevo[all]") and name it: Project(…, relevo="/opt/relevo/bin/relevo"), the variable '
    "RELEVO_EXECUTABLE of the worker, or Airflow's Variable relevo_executable."
)
HOMELESS = (
    "There is no folder {folder} on this worker. Mount the project there, or write its place in the DAG file: "
    "Project(…, folder=…)."
)


class Project:
    """A Relevo project: where it is, and what the tasks of all its workflows share.

    ``connections`` gives environment variables the secrets of Airflow's Connections when a task runs:
    ``{"RELEVO_LEDGER": "relevo_ledger"}``. A task is tried ``retries`` times more, after ``retry_seconds``,
    then twice as long each time, and may take ``timeout_hours``. ``relevo`` is the path of Relevo's command.
    """

    def __init__(
        self,
        name,
        folder,
        *,
        timezone="UTC",
        relevo="",
        connections=None,
        retries=2,
        retry_seconds=30,
        timeout_hours=6,
    ):
        self.name, self.timezone, self.dags = name, timezone, {}
        self.raw, self.examples = Asset(f"{name}_raw"), Asset(f"{name}_examples")
        self.champion, self.stays = Asset(f"{name}_champion"), Asset(f"{name}_champion_stays")
        self.settings = {"name": name, "folder": folder, "relevo": relevo, "connections": connections or {}}
        self.limits = {
            "retries": retries,
            "retry_delay": timedelta(seconds=retry_seconds),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=30),
            "execution_timeout": timedelta(hours=timeout_hours),
        }

    def ingest(self, schedule="@once"):
        """Bring in what is new, at the times of one cron expression or of several; None leaves it to people."""
        with self._dag("ingest", self._times(schedule), "Brings in what is new and begins a run"):
            self._ended(self._step("ingest", outlets=[self.raw]))

    def process(self, *steps):
        """Go from raw rows to examples; when they are those of the run before, the run ends here."""
        with self._dag("process", [self.raw], "Goes from raw rows to examples"):
            first, *others = steps
            last = {steps[-1]: {"outlets": [self.examples]}}
            tasks = [
                self._step(first, ends=True),
                *(self._step(name, **last.get(name, {})) for name in others),
            ]
            chain(*tasks)
            self._ended(*tasks)

    def train(self, *candidates, pool="default_pool"):
        """Train each candidate in a task of its own, judge the best, and release it if the gate accepts it."""
        with self._dag("train", [self.examples], "Trains, judges and releases"):
            trained = Step.partial(
                task_id="train",
                settings=self.settings,
                pool=pool,
                map_index_template="{{ task.step }}",
            ).expand(step=[f"train:{candidate}" for candidate in candidates])
            more = {"evaluate": {"ends": True}, "release": {"outlets": [self.champion]}}
            tasks = [trained, *(self._step(name, **more.get(name, {})) for name in TRAINED)]
            chain(*tasks)
            self._ended(*tasks)

    def score(self):
        """Score the population after each run: with a new champion, or with the one that stays on new data."""
        for workflow, task in (("process", "examples"), ("train", "release")):
            with self.dags[workflow] as dag:
                stays = Stays(
                    task_id="champion_stays",
                    after=task,
                    settings=self.settings,
                    outlets=[self.stays],
                    trigger_rule=TriggerRule.NONE_FAILED,
                )
                dag.get_task(task) >> stays >> dag.get_task("end")
        with self._dag("score", self.champion | self.stays, "Scores the population"):
            self._ended(self._step("score", ends=True))

    def monitor(self, schedule):
        """Look at what is new, alert, decide; begin the run that was decided on, and send the messages that wait."""
        with self._dag("monitor", self._times(schedule), "Looks, alerts, decides and acts"):
            look = Look(task_id="look", settings=self.settings)
            Command(task_id="collect", words=["collect"], settings=self.settings) >> look
            renew = self._step("ingest", task_id="renew", outlets=[self.raw])
            look >> renew
            self._ended(renew)
            look >> Command(task_id="deliver", words=["deliver"], settings=self.settings)

    def _step(self, name, **more):
        return Step(step=name, settings=self.settings, **{"task_id": name, **more})

    def _ended(self, *tasks):
        """End the run when one of these is given up. A teardown waits for all, and is cleared with any of them."""
        end = End(task_id="end", settings=self.settings).as_teardown()
        for task in tasks:
            task >> end

    def _times(self, schedule):
        if schedule is None or (isinstance(schedule, str) and schedule.startswith("@")):
            return schedule
        crons = [schedule] if isinstance(schedule, str) else schedule
        return MultipleCronTriggerTimetable(*crons, timezone=self.timezone) if crons else None

    def _dag(self, workflow, schedule, description):
        self.dags[workflow] = DAG(
            f"{self.name}_{workflow}",
            schedule=schedule,
            description=f"{description}: {self.name}",
            start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
            catchup=False,
            max_active_runs=1,
            default_args=self.limits,
            tags=["relevo", self.name],
        )
        return self.dags[workflow]


class UnknownRun(AirflowException):
    """The ledger has no such run: it never began."""


class Command(BaseOperator):
    """One command of Relevo: what it says goes to the task's log, the JSON document that it prints is given back."""

    def __init__(self, *, settings, words=(), **more):
        super().__init__(**more)
        self.settings, self.words = settings, list(words)
        self.child = None

    def execute(self, context):  # noqa: ARG002
        """Run it on the project's folder."""
        self.relevo(*self.words, self.settings["folder"])

    def relevo(self, *words):
        """Run `relevo` and give its document; raises when it fails, at once when trying again would change nothing."""
        found, folder = _executable(self.settings["relevo"]), self.settings["folder"]
        if not Path(folder).is_dir():  # a volume may come back
            raise AirflowException(HOMELESS.format(folder=folder))
        with tempfile.TemporaryFile() as out:
            self.child = subprocess.Popen(
                [found, *words, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=_environment(self.settings["connections"]),
                start_new_session=True,
            )
            try:
                for line in self.child.stderr:
                    self.log.info("%s", line.rstrip())
                code = self.child.wait()
            finally:
                self.on_kill()
                self.child.stderr.close()
            out.seek(0)
            said = out.read().decode(errors="replace")
        return self._document(f"relevo {' '.join(words[:2])}", code, said)

    def end(self, run, *words):
        """End a run; that there is none stops nobody."""
        try:
            done = self.relevo("end", run, *self.of(), *words)
        except UnknownRun as error:
            self.log.warning("%s", error)
        else:
            self.log.info("The run %s ended as %s: %s", run, done["status"], done["message"])

    def of(self):
        """The option that says which project."""
        return "--project", self.settings["folder"]

    def on_kill(self):
        """End the command with the task. It may be killed at any point, so it is not asked first."""
        if self.child is not None and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)

    def _document(self, command, code, said):
        try:
            document = json.loads(said)
        except ValueError:
            document = {}
        if code in FINE:
            return document
        if code < 0:
            raise AirflowException(
                f"{command}: was killed by {signal.Signals(-code).name}; it can be run again."
            )
        message = document.get("message") or said.strip() or f"it ended with exit code {code}; see above."
        if document.get("error") == "ProjectError":  # until somebody mends the project it fails again
            raise AirflowFailException(f"{command}: {message}")
        raise (UnknownRun if document.get("error") == "UnknownRunError" else AirflowException)(
            f"{command}: {message}"
        )


class Step(Command):
    """One step of a run. ``ends``: when several runs came to one DAG run, one goes on, and the others are ended."""

    def __init__(self, *, step, ends=False, **more):
        super().__init__(**more)
        self.step, self.ends = step, ends

    def execute(self, context):
        """Do the step, hand the run's id on, and give it; skipped when there is nothing to hand on."""
        *others, run = _runs(context, self.settings["name"])
        for other in others if self.ends else ():
            if other["run"] != run["run"]:
                self.end(other["run"], "--why", f"Run {run['run']} goes on in its place.")
        done = self.relevo("step", self.step, "--run", run["run"], *self.of(), *_told(run))
        self.log.info("%s", _figures(done))
        ended = done.get("ended") or {}
        if ended:
            self.log.info("The run %s ended as %s: %s", run["run"], ended["status"], ended["message"])
        if self.outlets:
            if done.get("output", {}).get("released") is False or ended.get("status") == "unchanged":
                raise AirflowSkipException(ended.get("message") or "The champion stays.")
            _hand_on(self, context, run)
        return run["run"]


class End(Command):
    """Ends the run as failed when a task before it was given up. One that is cleared then goes on with the run."""

    def execute(self, context):
        """Look how the tasks ended; skipped when all went well."""
        ti = context["ti"]
        states = ti.get_task_states(
            dag_id=ti.dag_id, run_ids=[ti.run_id], task_ids=sorted(self.upstream_task_ids)
        )
        failed = sorted(name for name, state in states.get(ti.run_id, {}).items() if state == "failed")
        if not failed:
            raise AirflowSkipException("No task was given up.")
        *_, run = _runs(context, self.settings["name"])
        self.end(run["run"], "--failed", "--why", f"Given up: {', '.join(failed)}.")


class Look(Command):
    """What `relevo monitor` sees, decides and does; gives the ids of the first run that was decided on."""

    def execute(self, context):  # noqa: ARG002
        """Look."""
        done = self.relevo("monitor", self.settings["folder"], "--no-runs")
        for window in done["windows"]:
            findings = len(window["findings"])
            self.log.info(
                "%s %s: %s rows, %s findings", window["unit"], window["name"], window["rows"], findings
            )
        for decision in done["decisions"]:
            self.log.info("%s: %s", decision["action"], decision["text"])
        return next(iter(done["waiting"]), None)


class Stays(Command):
    """Says that the champion stays, where the task ``after`` was skipped: the population is then scored by it."""

    def __init__(self, *, after, **more):
        super().__init__(**more)
        self.after = after

    def execute(self, context):
        """Hand the run on."""
        if context["ti"].xcom_pull(task_ids=self.after):
            raise AirflowSkipException("The run goes on.")
        *_, run = _runs(context, self.settings["name"])
        _hand_on(self, context, run)


def _hand_on(task, context, run):
    for asset in task.outlets:
        context["outlet_events"][asset].extra = dict(run)


def _told(run):
    """What a run that was decided on is told when it begins."""
    if not run.get("decision"):
        return []
    return ["--because", run["decision"], *(["--window", run["window"]] if run.get("window") else [])]


def _runs(context, name):
    """What came to this DAG run, the run to go on with last: one that was decided on goes before others."""
    dag_run = context["dag_run"]
    if dag_run.dag_id == f"{name}_monitor":
        if found := context["ti"].xcom_pull(task_ids="look"):
            return [found]
        raise AirflowSkipException("No run was decided on.")
    if given := (dag_run.conf or {}).get("run"):
        return [{"run": given}]
    if dag_run.dag_id == f"{name}_ingest":
        return [{"run": _id_of(name, dag_run.run_id)}]
    came = [event for events in context["triggering_asset_events"].values() for event in events]
    came.sort(key=lambda event: (bool(event.extra.get("decision")), event.timestamp))
    if runs := [dict(event.extra) for event in came if event.extra.get("run")]:
        return runs
    raise AirflowFailException(
        f"This workflow goes on with a run that {name}_ingest begins: trigger {name}_ingest, or this one with the "
        'configuration {"run": "ID"} to go on with a run that there is.'
    )


def _figures(done):
    if done["status"] == "reused":
        return f"{done['name']}: as before"
    return (
        f"{done['name']}: {done['wall_seconds']:.1f} s, {done['cpu_seconds']:.1f} s CPU, "
        f"{done['peak_rss_bytes'] / 2**20:,.0f} MiB, {done['rows_in']:,} → {done['rows_out']:,} rows, "
        f"{done['bytes_in']:,} → {done['bytes_out']:,} bytes"
    )


def _id_of(name, run_id):
    """The DAG run's id as the ledger can hold it."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", f"{name}-{run_id}")
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 13]}-{hashlib.sha256(plain.encode()).hexdigest()[:12]}"


def _executable(given):
    wanted = (
        given or os.environ.get("RELEVO_EXECUTABLE") or Variable.get("relevo_executable", default="relevo")
    )
    found = shutil.which(wanted)
    if found is None:
        raise AirflowFailException(AWAY.format(found=wanted))
    return found


def _environment(connections):
    """The worker's variables without Airflow's own, and the secrets; the command ends when this process does."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    found |= {variable: _secret(BaseHook.get_connection(id_)) for variable, id_ in connections.items()}
    return {"RELEVO_WAIT": "1h", **found, "RELEVO_LEASH": f"{os.getpid()} {int(signal.SIGKILL)}"}


def _secret(connection):
    """A Postgres connection as SQLAlchemy's URL, another with a host as Airflow's URI, else the password alone."""
    if not connection.conn_type.startswith("postgres"):
        return connection.get_uri() if connection.host else connection.password
    who = quote(connection.login or "", safe="")
    if connection.password:
        who += f":{quote(connection.password, safe='')}"
    port = f":{connection.port}" if connection.port else ""
    place = f"{who}@{connection.host or 'localhost'}{port}/{connection.schema or ''}"
    options = "&".join(f"{name}={quote(str(value))}" for name, value in connection.extra_dejson.items())
    return f"postgresql+psycopg://{place}{'?' + options if options else ''}"
