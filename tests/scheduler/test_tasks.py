"""The table of commands: what a project's definition and settings lead to, and the process that tells it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from relevo import Monitor, Retrain, definition
from relevo.cli.tasks import tasks_in
from relevo.errors import ProjectError, WorkspaceError
from relevo.scheduler.plan import Plan
from relevo.scheduler.task import Appears, Cron, Every
from relevo.scheduler.tasks import tasks_of
from relevo.sources import Folder, Query
from relevo.upkeep import UpSettings, bytes_of
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.project import Project
    from relevo.scheduler.task import Task

HEAVY = {"duckdb", "deltalake", "sqlglot", "onnxruntime", "sklearn", "lightgbm", "optuna", "pandas", "numpy"}


@pytest.fixture
def project(original: Path) -> Project:
    return definition.load(original).project


def tasks(project: Project, folder: Path, *, serving: bool = True, **settings: Any) -> dict[str, Task]:
    found = tasks_of(project, folder, UpSettings(**settings), lake=folder / "lake", serving=serving)
    return {task.name: task for task in found}


def test_a_project_that_says_nothing_is_watched_and_not_renewed(project: Project, tmp_path: Path) -> None:
    found = tasks(project, tmp_path)
    assert set(found) == {"first run", "monitor", "cases", "deliver", "report"}
    assert found["monitor"].whens[:2] == (Cron("5 0 * * *"), Cron("5 0 * * 1"))
    assert found["report"].whens == (Cron("0 6 * * 1"),)
    assert found["deliver"].whens == (Every(60),)
    assert found["first run"].needs == "no champion"
    assert {name: task.command for name, task in found.items()} == {
        "first run": ("-m", "relevo", "run", str(tmp_path)),
        "monitor": ("-m", "relevo", "monitor", str(tmp_path)),
        "cases": ("-m", "relevo", "cases", str(tmp_path)),
        "deliver": ("-m", "relevo", "deliver", str(tmp_path)),
        "report": ("-m", "relevo", "report", str(tmp_path)),
    }


def test_a_schedule_is_in_the_monitors_time_zone(project: Project, tmp_path: Path) -> None:
    watched = replace(
        project,
        monitor=Monitor(windows=("hour",), timezone="America/Santiago"),
        retrain=Retrain(schedule="0 3 * * 1"),
    )
    found = tasks(watched, tmp_path)
    assert found["run"].whens == (Cron("0 3 * * 1", "America/Santiago"),)
    assert (found["run"].needs, found["run"].fine) == ("champion", (0, 3))
    assert found["monitor"].whens[0] == Cron("5 * * * *", "America/Santiago")
    assert "run" not in tasks(replace(project, retrain=Retrain()), tmp_path)


def test_what_changes_the_model_runs_one_at_a_time(project: Project, tmp_path: Path) -> None:
    found = tasks(replace(project, retrain=Retrain(schedule="0 3 * * 1")), tmp_path)
    assert {name for name, task in found.items() if task.group == "run"} == {"first run", "run", "monitor"}


def test_without_a_service_the_scheduler_collects(project: Project, tmp_path: Path) -> None:
    collect = tasks(project, tmp_path, serving=False)["collect"]
    assert (collect.whens, collect.needs) == ((Every(60),), "journal")


def test_the_scheduler_collects_where_the_service_is_told_not_to(project: Project, tmp_path: Path) -> None:
    for said, expected in (("", False), ("[serve]\ncollect = false\n", True)):
        (tmp_path / "relevo.toml").write_text(said)
        found = tasks_in(Workspace.open(tmp_path), project, serving=True)
        assert ("collect" in {task.name for task in found}) is expected


def test_files_of_all_tables_are_watched_and_labels(project: Project, tmp_path: Path) -> None:
    tables = [*project.tables]
    tables[0] = replace(tables[0], source=Folder("in [new]", "*.csv"))
    found = tasks(replace(project, tables=tables), tmp_path)
    files, labels = (when for when in found["monitor"].whens if isinstance(when, Appears))
    assert files.patterns == (f"{tmp_path}/in [new]/*.csv", f"{tmp_path}/holidays.csv")
    assert labels.patterns == (f"{tmp_path}/lake/labels/_delta_log/*.json",)
    assert labels.pause == 3600


def test_a_project_of_other_sources_is_tried_each_hour_until_it_is_released(
    project: Project, tmp_path: Path
) -> None:
    tables = [replace(table, source=Query("select 1", "sqlite://")) for table in project.tables]
    found = tasks(replace(project, tables=tables), tmp_path)
    assert found["first run"].whens[1] == Every(3600)
    assert next(when for when in found["monitor"].whens if isinstance(when, Appears)).name == "labels"


def test_settings_are_those_of_each_job(project: Project, tmp_path: Path) -> None:
    found = tasks(
        project, tmp_path, timeout="90min", tries=5, memory_limit="1.5GiB", report="", cases="5 * * * *"
    )
    assert "report" not in found
    assert found["cases"].whens == (Cron("5 * * * *"),)
    assert {(task.timeout, task.tries, task.memory_limit) for task in found.values()} == {
        (5400.0, 5, 3 * 2**29)
    }


@pytest.mark.parametrize(
    ("changes", "settings", "told"),
    [
        (
            {"retrain": Retrain(schedule="weekly")},
            {},
            r"project\.py: Retrain\.schedule: “weekly”.*0 3 \* \* 1",
        ),
        ({}, {"report": "0 25 * * *"}, r"relevo\.toml: up\.report: “0 25 \* \* \*”"),
        ({"monitor": Monitor(timezone="Santiago")}, {}, "“Santiago” is not a time zone"),
    ],
)
def test_a_time_that_is_none_is_a_mistake_in_its_place(
    project: Project, tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ProjectError, match=told):
        tasks(replace(project, **changes), tmp_path, **settings)


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2e9), ("2GiB", 2**31), ("512 mb", 512e6), ("1.5kB", 1500), ("1TB", 1e12)]
)
def test_a_size_is_read_in_powers_of_1000_or_1024(text: str, size: float) -> None:
    assert bytes_of(text) == size


def test_settings_that_cannot_be_are_told_with_their_key(tmp_path: Path) -> None:
    (tmp_path / "relevo.toml").write_text(
        "[up]\nlease = 5000\nmemory_limit = 'much'\npol = 3\ntimeout = '1 year'\n"
    )
    with pytest.raises(ProjectError) as raised:
        Workspace.open(tmp_path)
    assert {mistake.field for mistake in raised.value.mistakes} == {
        "up.lease",
        "up.memory_limit",
        "up.pol",
        "up.timeout",
    }


# The process that loads the project


@pytest.mark.slow
def test_the_plan_is_read_by_a_process_of_its_own_and_again_when_the_project_changes(released: Path) -> None:
    plan = Plan(released, serving=False)
    found = plan.read()
    assert found.project == "flights"
    assert "collect" in {task.name for task in found.tasks}
    assert not plan.changed()
    text = (released / "project.py").read_text()
    (released / "project.py").write_text(
        text.replace(
            "project = Project(",
            "from relevo import Retrain\nproject = Project(\n    retrain=Retrain(schedule='0 3 * * 1'),",
        )
    )
    assert plan.changed()
    assert "run" in {task.name for task in plan.read().tasks}
    assert not plan.changed()


def test_what_a_project_prints_is_no_part_of_the_plan(released: Path) -> None:
    with (released / "project.py").open("a") as file:
        file.write('\nprint("{}")\n')
    assert Plan(released, serving=True).read().project == "flights"


def test_a_project_with_mistakes_is_told_in_its_own_words(released: Path) -> None:
    plan = Plan(released, serving=True)
    (released / "features.sql").write_text("select nothing from request")
    with pytest.raises(WorkspaceError, match=r"features\.sql.*nothing"):
        plan.read()


def test_the_scheduler_imports_no_library_that_is_heavy(released: Path) -> None:
    """Its process is asked for its modules after it has ticked with a real plan."""
    script = """
import sys, json
from pathlib import Path
from relevo.cli import scheduler as process
from relevo.scheduler.loop import Scheduler
from relevo.scheduler.plan import Plan
from relevo.workspace import Workspace
folder = Path(sys.argv[1])
planned = Plan(folder, serving=True).read()
Scheduler(Workspace.open(folder), planned.project, "one", planned.tasks).tick()
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(released)], capture_output=True, text=True, check=True, timeout=60
    )
    assert HEAVY & set(done.stdout.split()) == set()
    assert {"sqlalchemy", "cronsim"} <= set(done.stdout.split())
