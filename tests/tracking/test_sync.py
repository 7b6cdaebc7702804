"""Who may tell MLflow, and when: no server is needed to see it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LedgerError, WorkspaceError
from relevo.tracking import sync
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RELEVO_LEDGER_TIMEOUT", "0.1")
    return Workspace.open(tmp_path)


def test_a_ledger_that_refuses_the_lease_does_not_keep_the_next_one_out(workspace: Workspace) -> None:
    assert workspace.ledger.projects() == []  # it is there
    with closing(sqlite3.connect(workspace.root / "ledger.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(LedgerError), sync.alone(workspace, "flights", 0):
            pass
        other.execute("rollback")
    with sync.alone(workspace, "flights", 0) as beat:
        beat()


def test_one_at_a_time(workspace: Workspace) -> None:
    with (
        sync.alone(workspace, "flights", 0),
        pytest.raises(WorkspaceError, match="Another process is telling MLflow about flights"),
        sync.alone(workspace, "flights", 0.2),
    ):
        pass
