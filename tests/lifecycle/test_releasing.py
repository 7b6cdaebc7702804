"""Going back and forth between versions."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LedgerError
from relevo.ledger import Ledger
from relevo.lifecycle import rollback
from relevo.records import ModelVersion, Verdict, now
from support import project

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = "1.0.0", "1.1.0", "2.0.0"
NAME = "flights"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Three versions; A, B and C were promoted in this order. 1.0.1 was refused."""
    ledger = Ledger(tmp_path / "ledger.db")
    for version in (A, "1.0.1", B, C):
        verdict = Verdict(accepted=version != "1.0.1", reasons=())
        ledger.add_version(
            ModelVersion(
                project=NAME,
                version=version,
                digest=version[::2] * 20,
                run="r",
                status="accepted" if verdict.accepted else "refused",
                algorithm="logistic",
                metrics={},
                verdict=verdict,
                change="",
                created_at=now(),
            )
        )
    for version in (A, B, C):
        ledger.release(NAME, "champion", version, who="ana", why="", act="promote")
    return ledger


def back(ledger: Ledger, to: str = "") -> str:
    return rollback(ledger, NAME, to=to, who="ana", why="worse").version


def test_each_rollback_goes_one_version_further_back(ledger: Ledger) -> None:
    assert [back(ledger), back(ledger)] == [B, A]
    with pytest.raises(LedgerError, match="There is no earlier version to go back to"):
        back(ledger)
    assert [(row.act, row.previous, row.version) for row in ledger.releases(NAME)[3:]] == [
        ("rollback", C, B),
        ("rollback", B, A),
    ]
    ledger.verify(NAME)


def test_after_a_rollback_a_promotion_counts_from_there(ledger: Ledger) -> None:
    assert back(ledger) == B
    ledger.release(NAME, "champion", C, who="ana", why="", act="promote")
    assert [back(ledger), back(ledger)] == [B, A]


def test_back_to_a_version(ledger: Ledger) -> None:
    assert back(ledger, A) == A
    with pytest.raises(LedgerError, match="There is no earlier version"):
        back(ledger)


def test_back_to_a_time(ledger: Ledger) -> None:
    times = [row.released_at for row in ledger.releases(NAME)]
    assert back(ledger, times[1]) == B
    assert back(ledger, times[0]) == A
    assert back(ledger, times[2].replace("+00:00", "Z")) == C


def test_a_time_before_the_first_release(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="Nothing was released yet at 2001-01-01"):
        back(ledger, "2001-01-01")


def test_neither_version_nor_time_is_told_the_versions(ledger: Ledger) -> None:
    with pytest.raises(
        LedgerError, match=r"“9\.9\.9” is neither .* The versions are: 2\.0\.0, 1\.1\.0, 1\.0\.1"
    ):
        back(ledger, "9.9.9")


def test_a_refused_version_stays_away(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"1\.0\.1 was refused and cannot be released"):
        back(ledger, "1.0.1")


def test_nothing_released_means_nothing_to_go_back_to(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no earlier version"):
        back(Ledger(tmp_path / "empty.db"))


def test_history_verifies_until_a_row_is_tampered_with(released: Path) -> None:
    done = project.call("history", released, "--json")
    assert done.document["verified"]
    assert [row["version"] for row in done.document["releases"]] == ["1.0.0"]
    connection = sqlite3.connect(released / ".relevo" / "ledger.db")
    with connection:
        connection.execute("update relevo_releases set who = 'mallory'")
    connection.close()
    done = project.call("history", released)
    assert done.code == 1
    assert "breaks at number 1: the row was altered" in done.err
