"""A project whose table comes as batches over HTTP, walked as an orchestrator would, and its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo import lifecycle
from relevo.definition import load
from relevo.errors import ProjectError
from support import project
from support import provider as providers
from support.provider import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.provider import Provider

PER_BATCH = 400


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providers.provider() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = project.make(tmp_path / "flights", rows=0)
    source = 'Batches("env:FLIGHTS_URL", per_run=2, tries=1)'
    project.edit(
        made / "project.py", ('Files("data/*.csv")', source), ("import Files", "import Batches, Files")
    )
    return made


def hand_out(provider: Provider, tmp_path: Path, batches: int) -> None:
    """Hand out made-up departures, of which the second batch and those after it lack the flight number."""
    for number in range(1, batches + 1):
        path = project.write_sample(tmp_path / f"{number}.csv", PER_BATCH, seed=number)
        lines = path.read_text(encoding="utf-8").splitlines()
        place = lines[0].split(",").index("Vlo-I")
        if number > 1:
            cells = [line.split(",") for line in lines[1:]]
            lines[1:] = [",".join([*row[:place], "", *row[place + 1 :]]) for row in cells]
        provider.hand_out(number, Reply("\n".join(lines)))


def step(folder: Path, name: str, run: str) -> str:
    return lifecycle.run_step(load(folder), project.workspace(folder), name, run).status


def test_batches_are_taken_run_by_run_and_nulls_are_shown(
    folder: Path, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_out(provider, tmp_path, 3)
    for run, taken in (("first", 2), ("second", 3)):
        monkeypatch.setenv("FLIGHTS_URL", provider.url)
        assert step(folder, "ingest", run) == "done"
        assert step(folder, "ingest", run) == "reused"
        monkeypatch.delenv("FLIGHTS_URL")  # only those who ask the service need to know it
        assert step(folder, "clean", run) == "done"
        snapshot = project.workspace(folder).ledger.newest_snapshot("raw/departures", project="flights")
        assert snapshot is not None
        assert (snapshot.rows, len(snapshot.files)) == (taken * PER_BATCH, taken)
    project.workspace(folder).remember("flights")
    shown = project.call("status", folder).out.splitlines()
    heading = shown.index("Nulls in departures that differ from batch to batch:")
    assert shown[heading + 1] == "  flight  0 % → 100 % → 100 %"
    found = project.call("status", folder, "--json").document["nulls"]["departures"]
    assert found["differing"] == {"flight": [0.0, 1.0, 1.0]}
    counted = [(piece["batch"], piece["nulls"]["flight"] / piece["rows"]) for piece in found["pieces"]]
    assert counted == [("1", 0.0), ("2", 1.0), ("3", 1.0)]


def test_a_service_that_is_away_fails_the_step_and_says_what_is_kept(
    folder: Path, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_out(provider, tmp_path, 1)
    provider.hand_out(2, Reply(status=500))
    monkeypatch.setenv("FLIGHTS_URL", provider.url)
    done = project.call("run", folder)
    assert done.code == 1
    assert "gave up after 1 tries: it answers 500" in done.err
    assert "The batches up to 1 are kept; run it again and it goes on with batch 2." in done.err
    (run,) = project.workspace(folder).ledger.runs("flights")
    assert (run.status, run.message.splitlines()[0] in done.err) == ("failed", True)
    monkeypatch.delenv("FLIGHTS_URL")
    again = project.call("run", folder)
    assert (again.code, "the environment variable FLIGHTS_URL is not set" in again.err) == (1, True)


def test_set_replaces_the_service_but_holds_no_secret(
    folder: Path, provider: Provider, tmp_path: Path
) -> None:
    hand_out(provider, tmp_path, 1)
    words = ("step", "ingest", "--run", "r1", "-p", folder, "--set")
    assert project.call(*words, f"departures={provider.url}").code == 0
    assert provider.numbers == [1, 2]
    with pytest.raises(ProjectError, match="It would be written into the ledger"):
        load(folder, sets={"departures": "http://u:p@h/{number}"})
