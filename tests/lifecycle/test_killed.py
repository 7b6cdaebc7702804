"""``kill -9`` anywhere, and two runs at once."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from relevo import lifecycle
from support import processes, project

if TYPE_CHECKING:
    from pathlib import Path

NAME = "flights"
TWICE = ("ingest", "clean")
"""These say something for each of the two tables; it is the last that matters."""


def assert_whole(folder: Path, original: Path) -> None:
    """One version, one release, no row twice, and the package of a run that nobody disturbed."""
    workspace = project.workspace(folder)
    ledger, lake = workspace.ledger, workspace.lake
    (version,), (undisturbed,) = ledger.versions(NAME), project.workspace(original).ledger.versions(NAME)
    assert (version.version, version.digest) == ("1.0.0", undisturbed.digest)
    assert [(release.version, release.act) for release in ledger.releases(NAME)] == [("1.0.0", "promote")]
    ledger.verify(NAME)
    assert {name: lake.version(name) for name in lake.names()} == dict.fromkeys(lake.names(), 0)
    connection = lake.connect()
    try:
        lake.bind_all(connection)
        query = (
            "select (select count(*) from raw.departures), (select count(distinct _row) from raw.departures)"
        )
        assert connection.execute(query).fetchall() == [(project.ROWS, project.ROWS)]
        query = """select count(*), count(distinct _id) from
                   (select _id from clean.departures union all select _id from quarantine.departures)"""
        assert connection.execute(query).fetchall() == [(project.ROWS, project.ROWS)]
    finally:
        connection.close()


@pytest.mark.slow
def test_killed_as_each_step_begins_and_before_it_is_recorded(tmp_path: Path, original: Path) -> None:
    """Each run gets one step further than the one before; the last one ends as if nothing had happened."""
    folder = project.make(tmp_path / "flights")
    deaths = 0
    for step in lifecycle.plan(project.definition(folder)):
        assert processes.killed_at(folder, step.name, "started")
        assert processes.killed_at(folder, step.name, "said", 2 if step.name in TWICE else 1)
        deaths += 2
    assert project.run(folder).status == "released"
    assert_whole(folder, original)
    runs = project.workspace(folder).ledger.runs(NAME)
    assert [run.status for run in runs] == ["released", *["failed"] * deaths]
    assert {run.message for run in runs[1:]} == {"Its process ended before the run did."}
    assert project.run(folder).status == "unchanged"


@pytest.mark.slow
def test_a_killed_command_goes_on_when_typed_again(tmp_path: Path, original: Path) -> None:
    for number in range(5):  # the run may be over before the signal comes
        folder = project.make(tmp_path / str(number) / "flights")
        with subprocess.Popen([project.RELEVO, "run", folder], stdout=subprocess.PIPE, text=True) as command:
            assert command.stdout is not None
            for line in command.stdout:
                if "examples: " in line:
                    command.send_signal(signal.SIGKILL)
                    break
        if command.returncode:
            break
    assert command.returncode == -signal.SIGKILL
    done = project.call("run", folder)
    assert (done.code, done.err) == (0, "")
    assert "clean: as before" in done.out
    assert done.out.endswith("Version 1.0.0 is now champion.\n")
    assert_whole(folder, original)


@pytest.mark.slow
def test_a_second_run_is_told_of_the_first_which_ends_well(tmp_path: Path, original: Path) -> None:
    folder = project.make(tmp_path / "flights")
    with processes.held_at(folder, "examples") as first:
        second = project.call("run", folder)
        assert (second.code, second.out) == (1, "")
        assert second.err.startswith("Error: Another run is working in ")
        assert f"process {first.pid}, since 20" in second.err
        assert [run.status for run in project.workspace(folder).ledger.runs(NAME)] == ["running"]
    assert first.exitcode == 0
    assert_whole(folder, original)
