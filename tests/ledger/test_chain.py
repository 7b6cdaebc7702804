from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from relevo import digest
from relevo.errors import LedgerError
from relevo.ledger import Ledger, chain
from support.ledgers import a_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{file}")
    for number in range(3):
        ledger.add_version(a_version("flights", f"1.0.{number}"))
        ledger.release("flights", "champion", f"1.0.{number}", who="ana", why="better", act="promote")
    return ledger


@pytest.mark.parametrize(
    ("tampering", "place"),
    [
        ("update relevo_releases set who = 'eva' where number = 2", "number 2: the row was altered"),
        ("update relevo_releases set why = 'better ' where number = 1", "number 1: the row was altered"),
        ("update relevo_releases set released_at = '2020' where number = 3", "number 3: the row was altered"),
        ("update relevo_releases set hash = previous_hash where number = 2", "number 2: the row was altered"),
        ("delete from relevo_releases where number = 1", "number 1: the row was removed"),
        ("delete from relevo_releases where number = 2", "number 2: the row was removed"),
        ("delete from relevo_releases where number = 3", "number 3: the row was removed"),
        ("delete from relevo_releases", "number 1: the row was removed"),
        ("delete from relevo_heads", "number 3: the chain's head does not know"),
        ("update relevo_heads set number = 2", "number 3: the chain's head does not know"),
        ("update relevo_heads set hash = 'x'", "number 3: its hash is not the one"),
        (
            "update relevo_versions set digest = 'x' where version = '1.0.1'",
            r"number 2: version 1\.0\.1 is no longer",
        ),
        (
            """update relevo_releases set number = 9 where number = 1;
            update relevo_releases set number = 1 where number = 2;
            update relevo_releases set number = 2 where number = 9""",
            "number 1: it does not follow",
        ),
        (
            """insert into relevo_releases select project, 4, alias, version, digest, previous, who, why, act,
            released_at, previous_hash, hash, facts from relevo_releases where number = 3""",
            "number 4: it does not follow",
        ),
    ],
)
def test_tampering_is_found_and_placed(ledger: Ledger, file: Path, tampering: str, place: str) -> None:
    ledger.verify("flights")
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(tampering)
    with pytest.raises(LedgerError, match=place):
        ledger.verify("flights")


def test_a_project_without_releases_verifies(ledger: Ledger) -> None:
    ledger.verify("another")
    ledger.add_version(a_version("another", "1.0.0"))
    ledger.verify("another")


def test_the_hash_is_the_digest_of_the_rows_canonical_json() -> None:
    """Anyone can compute it: this is the format, and it may not change."""
    row = dict.fromkeys(chain.FIELDS, "x") | {"number": 1, "hash": "not part of it", "facts": ""}
    text = (
        '{"act":"x","alias":"x","digest":"x","number":1,"previous":"x","previous_hash":"x","project":"x",'
        '"released_at":"x","version":"x","who":"x","why":"x"}'
    )
    assert chain.hash_of(row) == digest.of_bytes(text.encode())
    with_facts = text.replace('"number"', '"facts":"{}","number"')
    assert chain.hash_of(row | {"facts": "{}"}) == digest.of_bytes(with_facts.encode())


@pytest.mark.parametrize("tampered", ["", '{"cpu":0.2,"mode":"shadow"}'])
def test_the_facts_of_a_release_are_chained(ledger: Ledger, file: Path, tampered: str) -> None:
    facts = {"mode": "canary", "share": 0.1}
    ledger.release("flights", "challenger", "1.0.0", who="ana", why="", act="challenge", facts=facts)
    ledger.verify("flights")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("update relevo_releases set facts = ? where number = 4", [tampered])
        connection.commit()
    with pytest.raises(LedgerError, match="number 4: the row was altered"):
        ledger.verify("flights")


def test_a_clock_set_back_does_not_make_the_past_ambiguous(ledger: Ledger, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("update relevo_releases set released_at = '2999-01-01' where number = 3")
        connection.commit()
    made = ledger.release("flights", "champion", "1.0.0", who="", why="", act="rollback")
    assert made.released_at == "2999-01-01"
    assert ledger.at("flights", "champion", "2999-01-01") == made
