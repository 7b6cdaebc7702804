"""What is found out of a version before it is taken up, and what could not be found out now."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LedgerError
from relevo.records import CHALLENGER
from relevo.tracking import taking
from relevo.workspace import Workspace
from support.mlflows import another

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(released: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("RELEVO_LEDGER_TIMEOUT", "0.1")
    found = Workspace.open(released)
    yield found
    found.ledger.close()


def test_a_ledger_that_is_busy_refuses_no_challenger(released: Path, workspace: Workspace) -> None:
    version = another(released, threshold=0.9)
    with closing(sqlite3.connect(workspace.root / "ledger.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(LedgerError):
            taking.take(workspace, CHALLENGER, version, "there", 0)
    assert taking.take(workspace, CHALLENGER, version, "there", 0) is not None


def test_nor_does_one_that_is_away(released: Path, workspace: Workspace) -> None:
    version, place = another(released, threshold=0.9), workspace.root / "ledger.db"
    assert workspace.ledger.champion("flights") is not None
    away = place.rename(place.with_name("away.db"))
    with pytest.raises(LedgerError, match="is absent"):
        taking.take(workspace, CHALLENGER, version, "there", 0)
    away.rename(place)
    assert taking.take(workspace, CHALLENGER, version, "there", 0) is not None


def test_the_champion_is_no_challenger(workspace: Workspace) -> None:
    champion = workspace.ledger.champion("flights")
    with pytest.raises(taking.NotTakenError, match=r"1\.0\.0 is the champion"):
        taking.take(workspace, CHALLENGER, champion, "there", 0)
