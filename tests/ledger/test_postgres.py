"""Runs when RELEVO_TEST_POSTGRES holds the URL of a database in which schemas may be made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from relevo.ids import uuid7
from relevo.ledger import Ledger
from support.ledgers import LedgerConformance

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = os.environ.get("RELEVO_TEST_POSTGRES", "")
pytestmark = pytest.mark.skipif(not SERVER, reason="RELEVO_TEST_POSTGRES is not set to a Postgres URL")


@pytest.fixture
def url() -> Iterator[str]:
    name = "relevo_" + uuid7().replace("-", "")
    engine = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create schema {name}"))
    yield f"{SERVER}{'&' if '?' in SERVER else '?'}options=-csearch_path%3D{name}"
    with engine.connect() as connection:
        connection.execute(text(f"drop schema {name} cascade"))
    engine.dispose()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url)
    yield ledger
    ledger.close()


class TestPostgres(LedgerConformance):
    """Postgres obeys the laws of the ledger."""
