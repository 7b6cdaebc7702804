"""For Airflow: a DAG file of a few lines for the project, and beside it the small module that they call.

The module's own source is ``files/relevo_airflow.py``: it runs in Airflow's environment and imports nothing of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from relevo.errors import Mistake, ProjectError
from relevo.lifecycle import plan
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.definition import Definition

MODULE = "relevo_airflow.py"
_TRIES, _TIMEOUT = 3, timedelta(hours=6)  # what the module does when it is told nothing


@dataclass(frozen=True, kw_only=True)
class Times:
    """When the clock begins a run and a look (cron expressions in ``timezone``), and what a step may take."""

    run: tuple[str, ...] = ()
    monitor: tuple[str, ...] = ()
    timezone: str = "UTC"
    tries: int = _TRIES
    timeout: timedelta = _TIMEOUT


def files(definition: Definition, *, folder: str, times: Times) -> dict[str, str]:
    """The texts of the files by their name; ``folder`` is where Airflow's workers find the project.

    Raises ``ProjectError`` when the project has the module's name.
    """
    name = f"{definition.name}.py"
    if name == MODULE:
        problem = t("the module that the DAG file imports has this name.")
        raise ProjectError(
            [Mistake("project.py", "Project.name", problem, t("Give the project another name."))]
        )
    module = (resources("relevo.export") / "files" / MODULE).read_text("utf-8")
    return {name: dag_file(definition, folder=folder, times=times), MODULE: module}


def dag_file(definition: Definition, *, folder: str, times: Times) -> str:
    """The DAG file's text: one line for each workflow."""
    names = [step.name for step in plan(definition)]
    process = names[1 : names.index("examples") + 1]
    candidates = [name.partition(":")[2] for name in names if name.startswith("train:")]
    shared: dict[str, object] = {"folder": folder, "timezone": times.timezone}
    if times.tries != _TRIES:
        shared["retries"] = times.tries - 1
    if times.timeout != _TIMEOUT:
        shared["timeout_hours"] = round(times.timeout / timedelta(hours=1), 3)
    about = t(
        "The DAGs of {project}, by `relevo export airflow`: times, pools and limits are yours to change.",
        project=definition.name,
    )
    lines = [
        f'"""{about}"""',
        "",
        "from relevo_airflow import Project",
        "",
        f"project = Project({_text(definition.name)}, {_named(shared)})",
        f"project.ingest(schedule={_times(times.run or ('@once',))})",
        f"project.process({', '.join(map(_text, process))})",
        f'project.train({", ".join(map(_text, candidates))}, pool="default_pool")',
        *(["project.score()"] if names[-1] == "score" else []),
        f"project.monitor(schedule={_times(times.monitor)})",
    ]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _named(values: dict[str, object]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in values.items())


def _times(crons: tuple[str, ...]) -> str:
    """One cron expression as a text, several as a list."""
    return _text(crons[0]) if len(crons) == 1 else _text(list(crons)) if crons else "None"
