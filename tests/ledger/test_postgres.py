"""Runs when RELEVO_TEST_POSTGRES holds the URL of a database in which schemas may be made."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from relevo.errors import LedgerError
from relevo.ledger import Ledger
from relevo.ledger.database import Database
from support import postgres
from support.agendas import AgendaConformance
from support.alarms import AlarmsConformance, WatchConformance
from support.ledgers import LedgerConformance, a_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.records import Release

SERVER = os.environ.get("RELEVO_TEST_POSTGRES", "")
pytestmark = pytest.mark.skipif(not SERVER, reason="RELEVO_TEST_POSTGRES is not set to a Postgres URL")


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.schema(SERVER) as found:
        yield found


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url, timeout=60)
    yield ledger
    ledger.close()


def test_a_host_that_vanished_is_noticed_in_about_the_timeout(url: str) -> None:
    """As the kernel was told, for a connection that is open: taking a host away would need rights that tests lack."""
    given = f"{url}&keepalives_idle=99"
    assert sys.platform == "linux" or pytest.skip("only Linux says what it was told")
    with closing(Database(given, timeout=7, create=True)) as database, database.reading() as connection:
        held = connection.connection.driver_connection
        assert held is not None
        with socket.socket(fileno=os.dup(held.pgconn.socket)) as found:
            told = [
                found.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPCNT)
            ]
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert told == [7000, 99, 3]  # what the URL says is its own


def test_a_lock_that_somebody_keeps_is_an_error_in_time(ledger: Ledger, url: str) -> None:
    """Without its own limit the statement would end for another reason, which the URL gives it."""
    ledger.add_version(a_version("flights", "1.0.0"))
    ledger.release("flights", "challenger", "1.0.0", who="ana", why="", act="challenge")
    holder = create_engine(url)
    limited = f"{url}%20-cstatement_timeout%3D20s&connect_timeout=60"
    with closing(Ledger(limited, timeout=0.2)) as waiting:
        standing = _standing(waiting)  # it is connected before the lock is taken
        with holder.begin() as connection:
            connection.execute(text("select * from relevo_heads for update"))
            with pytest.raises(
                LedgerError, match=r"lock timeout[^.]*relevo_heads.*find it in pg_stat_activity"
            ):
                waiting.end(standing, who="ana", why="worse")
        waiting.end(standing, who="ana", why="worse")
    holder.dispose()
    assert ledger.standing("flights", "challenger") is None


def _standing(ledger: Ledger) -> Release:
    found = ledger.standing("flights", "challenger")
    assert found is not None
    return found


@pytest.mark.parametrize(("given", "found"), [("", "3s"), ("%20-clock_timeout%3D7s", "7s")])
def test_locks_are_waited_for_as_long_as_the_url_says_or_the_timeout(
    url: str, given: str, found: str
) -> None:
    with closing(Database(url + given, timeout=3, create=True)) as database:
        for opened in (database.reading, database.writing):
            with opened() as connection:
                assert connection.execute(text("show lock_timeout")).scalar() == found
                assert connection.execute(text("select current_schema()")).scalar() != "public"


class TestPostgres(LedgerConformance):
    """Postgres obeys the laws of the ledger."""


class TestPostgresWatch(WatchConformance):
    """The same of windows and decisions."""


class TestPostgresAlarms(AlarmsConformance):
    """The same of alerts and messages."""


class TestPostgresAgenda(AgendaConformance):
    """Postgres obeys the laws of the agenda."""
