"""A stamp that stayed the same says that nothing was committed; one that cannot say so is not given."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from relevo.ledger import Ledger
from support import service

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.workspace import Workspace


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    found = service.workspace(tmp_path, {}, service.SECOND)
    found.ledger.close()
    return found


def settled(made: Workspace) -> tuple[int, ...]:
    """A stamp, as if the last commit were of yesterday."""
    for path in made.root.glob("ledger.db*"):
        os.utime(path, ns=(0, time.time_ns() - 10**13))
    found = made.ledger.stamp()
    assert found is not None
    return found


def test_just_after_a_commit_there_is_none(made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relevo.ledger.database._SETTLED", 10**12)  # a slow test is still just after it
    settled(made)
    service.promote(made, "1.0.1")
    assert made.ledger.stamp() is None


def test_reading_and_closing_change_nothing(made: Workspace) -> None:
    stamp = settled(made)
    other = Ledger(made.root / "ledger.db", create=False)
    other.news("flights")
    assert made.ledger.stamp() == stamp
    other.close()
    assert made.ledger.stamp() == stamp


def test_a_commit_changes_it_also_in_the_log_alone(made: Workspace) -> None:
    stamp = settled(made)
    other = Ledger(made.root / "ledger.db", create=False)
    other.release("flights", "champion", "1.0.1", who="test", why="", act="promote")
    assert settled(made) != stamp
    other.close()
    assert settled(made) != stamp


def test_a_ledger_that_is_away_has_none(made: Workspace) -> None:
    settled(made)
    made.ledger.close()
    (made.root / "ledger.db").unlink()
    assert made.ledger.stamp() is None
