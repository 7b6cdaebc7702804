"""The ledger on a Postgres that dies in the middle of a run: the run resumes, and ends the same."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from relevo.ledger import Ledger
from support import postgres, processes, project

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import ModelVersion

BINS = postgres.programs()
pytestmark = pytest.mark.skipif(BINS is None, reason="there are no programs of a Postgres server to start")


def told(version: ModelVersion) -> tuple[object, ...]:
    """What must not hang on the database: the package, its figures, and what the gate said."""
    return version.version, version.digest, version.metrics, version.verdict, version.change


@pytest.mark.slow
def test_killed_in_mid_run_it_resumes_and_ends_the_same(tmp_path: Path, original: Path) -> None:
    """The same digest, figures and steps as the run on SQLite; what was done before the kill is not done again."""
    assert BINS is not None
    with closing(project.workspace(original).ledger) as ledger:
        whole = ledger.champion("flights")
        names = [step.name for step in ledger.steps(ledger.runs("flights")[0].id)]
    assert whole is not None
    folder = project.make(tmp_path / "flights")
    with postgres.server(BINS) as server:
        # in the file, since the process that is forked does not have our variables
        (folder / "relevo.toml").write_text(f'ledger = "{server.url}"\nledger_timeout = 15\n')
        with processes.held_at(folder, "evaluate") as run:
            server.kill()
        assert processes.ended(run) != 0
        away = project.relevo("run", folder, env={"RELEVO_LEDGER_TIMEOUT": "1"})
        assert away.returncode == 1
        assert "The ledger postgresql+psycopg://" in away.stderr
        assert "Check that the database is there and answers" in away.stderr
        server.start()
        done = project.relevo("run", folder, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["status"] == "released"
        with closing(Ledger(server.url)) as ledger:
            champion = ledger.champion("flights")
            assert champion is not None
            assert told(champion) == told(whole)
            ledger.verify("flights")
            newest, cut = ledger.runs("flights")
            assert (newest.status, cut.status) == ("released", "failed")
            steps = {step.name: step.status for step in ledger.steps(newest.id)}
        assert list(steps) == names
        assert [name for name, status in steps.items() if status == "reused"] == [
            name for name in names[: names.index("evaluate")] if name != "ingest"
        ]


@pytest.mark.slow
def test_one_that_is_started_again_is_waited_for(tmp_path: Path) -> None:
    """A command that asks while the server restarts gets its answer, within ``timeout``."""
    assert BINS is not None
    with postgres.server(BINS) as server, closing(Ledger(server.url, timeout=30)) as ledger:
        assert ledger.runs("flights") == []
        server.kill()
        restarting = processes.start(ask, server.url)
        server.start()
        assert processes.ended(restarting) == 0
        assert ledger.runs("flights") == []


def ask(url: str) -> None:
    """Ask in a process of its own."""
    with closing(Ledger(url, timeout=30)) as ledger:
        assert ledger.runs("flights") == []
