"""The looks: a job is begun for what it would do, and for nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from relevo import alerting, clock
from relevo.findings import PAGE, Finding
from relevo.scheduler.task import Every
from support.scheduling import HELLO, PROJECT, python, ran, scheduler, settle
from support.times import Clock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ESCALATION = """
[alerts.webhooks.head]
url = "https://head.example.com"
secret_file = "secret"
role = "escalation"
"""


def test_a_page_that_nobody_acknowledged_leads_to_a_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits to be sent any more, and the channel was added while the scheduler ran."""
    time = Clock(monkeypatch)
    made = scheduler(tmp_path, python(HELLO, Every(60), needs="deliveries"))
    workspace = made._workspace
    loss = Finding(kind="loss", about="f1", severity=PAGE, value=0.3, expected=0.5, low=0.2, high=0.4, rows=9)
    settings = workspace.settings.alerts
    alerting.raise_findings(workspace.ledger, PROJECT, [loss], window=0, settings=settings)

    def jobs(after: timedelta) -> int:
        time.go(minutes=after / timedelta(minutes=1))
        settle(made, clock.now())
        return len(ran(made))

    assert [jobs(timedelta(minutes=minutes)) for minutes in (0, 1, 28)] == [0, 0, 0]
    assert jobs(timedelta(minutes=3)) == 0, "there is nobody to tell"
    path = tmp_path / "relevo.toml"
    path.write_text(path.read_text() + ESCALATION)
    assert jobs(timedelta(minutes=1)) == 1
    path.write_text("no settings")
    assert jobs(timedelta(minutes=1)) == 1, "those that were read when it began"
