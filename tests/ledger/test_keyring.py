from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from relevo import keys
from relevo.errors import LedgerError
from relevo.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def test_keys_are_kept_as_they_were_made(ledger: Ledger) -> None:
    made = [
        keys.create(
            "flights", name, ["predict", "label"], who="ana", expires=lasting, rate=rate, concurrency=4
        )[0]
        for name, lasting, rate in (("a", None, 12.5), ("b", timedelta(days=1), None))
    ]
    for key in made:
        ledger.keys.add(key)
    assert ledger.keys.all("flights") == made
    assert ledger.keys.all("sodai") == []


def test_a_key_is_revoked_once_and_for_good(ledger: Ledger) -> None:
    key, _ = keys.create("flights", "", ["read"], who="ana", expires=None)
    ledger.keys.add(key)
    assert ledger.keys.state("flights") == (1, 0)
    first = ledger.keys.revoke("flights", key.id)
    assert first == replace(key, revoked_at=first.revoked_at)
    assert first.revoked_at > key.created_at
    assert ledger.keys.revoke("flights", key.id) == first
    assert ledger.keys.state("flights") == (1, 1)


def test_another_projects_key_is_not_at_hand(ledger: Ledger) -> None:
    key, _ = keys.create("flights", "", ["read"], who="ana", expires=None)
    ledger.keys.add(key)
    with pytest.raises(LedgerError, match="relevo keys list"):
        ledger.keys.revoke("sodai", key.id)
    assert ledger.keys.state("flights") == (1, 0)
