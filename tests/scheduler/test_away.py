"""The ledger is away for a while: nothing stops, nothing is begun twice, and what was done is known."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from relevo.errors import LedgerError
from relevo.ledger.agenda import Begun
from relevo.scheduler.task import Appears, Cron
from support.scheduling import (
    HELLO,
    MONDAY,
    PATIENCE,
    PROJECT,
    dues,
    look,
    python,
    ran,
    scheduler,
    settle,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

HOURLY = Cron("0 * * * *")
HOUR = timedelta(hours=1)


def test_a_ledger_that_is_away_for_a_moment_stops_nothing(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY))
    settle(made, MONDAY)
    made._renew_at = 0.0
    ledger, away = tmp_path / ".relevo" / "ledger.db", tmp_path / "away.db"
    ledger.rename(away)
    with pytest.raises(LedgerError, match="absent"):
        made.tick(MONDAY + HOUR)
    assert made.leads
    away.rename(ledger)
    settle(made, MONDAY + HOUR)
    assert dues(made) == ["2031-05-05T13:00"]


@pytest.mark.parametrize("longer_than_the_lease", [False, True])
def test_what_ends_while_the_ledger_is_away_was_done_once(
    tmp_path: Path, longer_than_the_lease: bool
) -> None:
    counted, go = tmp_path / "counted", tmp_path / "go"
    code = (
        f"import os, time\nopen({str(counted)!r}, 'a').write('x')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    )
    made = scheduler(tmp_path, python(code, HOURLY, group="run"))
    settle(made, MONDAY)
    made.tick(MONDAY + HOUR)
    [child] = [one.child for one in made._running.values()]
    ledger, away = tmp_path / ".relevo" / "ledger.db", tmp_path / "away.db"
    ledger.rename(away)
    go.touch()
    assert child.wait(PATIENCE) is not None
    made._lost_at = 0.0 if longer_than_the_lease else made._lost_at
    readable, writable = os.pipe()
    for _ in range(3):
        with pytest.raises(LedgerError, match="absent"):
            made.tick(MONDAY + HOUR)
        made._rest(readable)
    away.rename(ledger)
    for place in (readable, writable):
        os.close(place)
    made._patience = 0.0  # the clock jumped, after which nothing is taken over for a while
    made._before = None
    settle(made, MONDAY + HOUR)
    settle(made, MONDAY + HOUR + timedelta(minutes=1))
    assert made.leads
    [job] = ran(made)
    assert (job.status, job.attempt, counted.read_text()) == ("done", 1, "x")
    assert made._agenda.lease(PROJECT, "run") is None, "given back"


def test_what_was_noted_without_an_answer_is_not_begun_again(tmp_path: Path) -> None:
    (tmp_path / "data.csv").touch()
    made = scheduler(tmp_path, python(HELLO, Appears((str(tmp_path / "*.csv"),))))
    until(made, MONDAY, lambda: bool(made.running))
    [one] = made._running.values()
    assert one.child.wait(PATIENCE) is not None
    made._agenda.finish(one.job, "done", at=MONDAY)  # the connection broke before the answer came
    look(made, MONDAY + HOUR)
    assert dues(made) == ["2031-05-05T12:00"]


def test_what_was_begun_without_an_answer_is_begun_again(tmp_path: Path) -> None:
    """No process was started, since the connection broke before the answer came."""
    made = scheduler(tmp_path, python(HELLO, HOURLY))
    settle(made, MONDAY)
    assert made._lease is not None
    due = Begun("task", "2031-05-05T13:00:00.000000+00:00", 3)
    assert made._agenda.begin(made._lease, due, at=MONDAY + HOUR) is not None
    for minutes in (0, 2):
        settle(made, MONDAY + HOUR + timedelta(minutes=minutes))
    [job] = ran(made)
    assert (job.status, job.attempt, job.facts["tail"]) == ("done", 2, "hello\n")


def test_everything_ends_in_order_while_the_ledger_is_away(tmp_path: Path) -> None:
    made = scheduler(tmp_path, python(HELLO, HOURLY))
    settle(made, MONDAY)
    (tmp_path / ".relevo" / "ledger.db").rename(tmp_path / "away.db")
    made.stop()
    assert not made.leads
