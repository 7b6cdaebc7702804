"""``relevo export``: what is written, what is said of each file, and whose edits are kept."""

from __future__ import annotations

import compileall
from typing import TYPE_CHECKING

from support import project, weekly

if TYPE_CHECKING:
    from pathlib import Path


def test_a_dag_file_and_its_module_are_written(tmp_path: Path, original: Path) -> None:
    done = project.call("export", "airflow", original, "--to", tmp_path / "dags", "--at", "/srv/flights")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1:] == ["flights.py         new", "relevo_airflow.py  new"]
    text = (tmp_path / "dags" / "flights.py").read_text("utf-8")
    assert 'Project("flights", folder="/srv/flights", timezone="UTC")\n' in text
    assert 'project.ingest(schedule="@once")\n' in text
    assert 'project.train("logistic", "lightgbm", pool="default_pool")\n' in text
    assert "score" not in text
    assert compileall.compile_dir(tmp_path / "dags", quiet=1)


def test_times_and_limits_are_those_of_the_project(tmp_path: Path) -> None:
    folder = weekly.make(tmp_path / "shop")
    project.edit(
        folder / "project.py",
        ("    tuning=", ('    retrain=Retrain(schedule="0 3 * * 1"),\n    monitor=Monitor(windows=["hour"], '
         'timezone="America/Santiago"),\n    tuning=')),
        (" Examples,", " Examples, Monitor, Retrain,"),
    )  # fmt: skip
    (folder / "relevo.toml").write_text('[up]\ntries = 5\ntimeout = "90min"\n', encoding="utf-8")
    done = project.call("export", "airflow", folder, "--to", tmp_path / "dags", "--json")
    assert done.code == 0, done.out
    lines = (tmp_path / "dags" / "shop.py").read_text("utf-8").splitlines()
    assert lines[4].endswith(', timezone="America/Santiago", retries=4, timeout_hours=1.5)')
    assert lines[5:] == [
        'project.ingest(schedule="0 3 * * 1")',
        'project.process("clean", "review", "examples")',
        'project.train("lightgbm", pool="default_pool")',
        "project.score()",
        'project.monitor(schedule="5 * * * *")',
    ]


def test_an_edited_file_is_shown_and_left(tmp_path: Path, original: Path) -> None:
    words = ("export", "airflow", original, "--to", tmp_path)
    project.call(*words)
    path = tmp_path / "flights.py"
    project.edit(path, ('"@once"', '"0 3 * * *"'))
    mine = path.read_text("utf-8")
    again = project.call(*words)
    assert again.code == 3
    assert '-project.ingest(schedule="0 3 * * *")\n+project.ingest(schedule="@once")\n' in again.out
    assert "Nothing was written, for a file was edited by hand." in again.out
    assert path.read_text("utf-8") == mine
    as_json = project.call(*words, "--json")
    assert (as_json.code, as_json.document["written"]) == (3, False)
    forced = project.call(*words, "--force", "--json")
    assert (forced.code, forced.document["files"][0]["state"]) == (0, "replaced")
    assert (tmp_path / "flights.py.orig").read_text("utf-8") == mine


def test_projects_share_a_folder_and_the_module(tmp_path: Path, original: Path) -> None:
    shop = weekly.make(tmp_path / "shop")
    for folder in (original, shop):
        assert project.call("export", "airflow", folder, "--to", tmp_path / "dags").code == 0
    names = {"flights.py", "shop.py", "relevo_airflow.py", ".relevo-export.json"}
    assert {path.name for path in (tmp_path / "dags").iterdir()} == names


def test_a_project_that_cannot_be_loaded_writes_nothing(tmp_path: Path) -> None:
    done = project.call("export", "airflow", tmp_path / "absent", "--to", tmp_path / "dags")
    assert done.code == 1
    assert "absent" in done.err
    assert not (tmp_path / "dags").exists()


def test_a_project_may_not_have_the_modules_name(tmp_path: Path) -> None:
    folder = project.make(tmp_path / "p", 0)
    project.edit(folder / "project.py", ('name="flights"', 'name="relevo_airflow"'))
    done = project.call("export", "airflow", folder, "--to", tmp_path / "dags")
    assert (done.code, "Give the project another name." in done.err) == (1, True)
