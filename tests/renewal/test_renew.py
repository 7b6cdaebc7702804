"""Which windows something is decided about, by what the ledger holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import digest as digests
from relevo.findings import PAGE, Finding
from relevo.ledger import Ledger
from relevo.records import Decision, Window, now
from relevo.renewal.decide import Situation, decide
from relevo.renewal.renew import undecided

if TYPE_CHECKING:
    from pathlib import Path

NONE = Finding(
    kind="volume", about="", severity=PAGE, value=0.0, expected=100.0, low=50.0, high=200.0, rows=0
)


def silent(ledger: Ledger, day: int) -> Window:
    """Look at a day in which nobody asked."""
    name = f"2026-01-{day:02}"
    return ledger.watch.add_window(
        Window(
            project="p",
            source="requests",
            unit="day",
            name=name,
            version="1.0.0",
            made_at=now(),
            began_at=f"{name}T00:00:00.000000+00:00",
            ended_at=f"{name}T23:59:59.000000+00:00",
            rows=0,
            inputs=digests.of_json([0, 0, 0]),
            figures={"rows": 0},
            findings=(NONE.to_json(),),
        )
    )


def test_each_silent_window_has_a_decision_of_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    for day in (5, 6, 7):
        window = silent(ledger, day)
        waiting = undecided(ledger, "p", "1.0.0")
        assert waiting == [window]
        made = decide(waiting, None, Situation(project="p", version="1.0.0", at=now()))
        assert ledger.watch.decide_all(made) == made
        assert undecided(ledger, "p", "1.0.0") == []


def test_a_window_that_has_a_decision_stays_decided(tmp_path: Path) -> None:
    """Whatever made its id, such as an earlier Relevo."""
    ledger = Ledger(tmp_path / "ledger.db")
    first = silent(ledger, 5)
    ledger.watch.decide(
        Decision(
            id="another",
            project="p",
            at=now(),
            cause="broken data",
            action="wait",
            text="Broken.",
            evidence={"windows": [first.number]},
            window=first.number,
            version="1.0.0",
        )
    )
    assert undecided(ledger, "p", "1.0.0") == []
    later = silent(ledger, 6)
    assert undecided(ledger, "p", "1.0.0") == [later]
