"""What the ledger records is shown under /metrics: once, by one process, whatever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo.errors import LedgerError
from relevo.serving import recorded
from relevo.serving.recorded import Recorded
from support import alarms, service, watched
from support.service import until

if TYPE_CHECKING:
    from pathlib import Path


def test_the_newest_of_each_is_found(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    watched.happened(made.ledger)
    seen = Recorded(made.ledger, "flights")
    seen.look()
    assert seen.found is not None
    assert {step["step"] for step in seen.found["steps"]} == set(watched.STEPS)
    assert {step["peak_rss_bytes"] for step in seen.found["steps"]} == {200 << 20}
    assert set(seen.found["runs"]) == {"released", "watched", "failed"}
    assert seen.found["alerts"] == [["warn", "open", 1]]
    assert seen.found["messages"] == {"mail": 1}
    (window,) = seen.found["windows"]
    assert (window["rows"], window["psi"], dict(window["findings"])) == (10, {"hour": 0.2}, {"note": 1})


def test_the_ledger_is_asked_now_and_then_and_only_when_something_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = service.workspace(tmp_path)
    seen = Recorded(made.ledger, "flights")
    seen.look()
    before = seen.found
    watched.happened(made.ledger)
    seen.look()
    assert seen.found is before  # too soon
    monkeypatch.setattr(recorded, "PAUSE", 0.0)
    seen._next = 0.0
    seen.look()
    assert seen.found != before
    until(lambda: made.ledger.stamp() is not None)
    seen.look()
    kept = seen.found
    seen.look()
    assert seen.found is kept  # nothing was written


def test_without_runs_there_is_nothing_to_show(tmp_path: Path) -> None:
    seen = Recorded(service.workspace(tmp_path).ledger, "flights")
    seen.look()
    lines: list[str] = []
    recorded.expose(lambda *given: lines.extend(map(str, given[3])), seen.found or {})
    assert lines == []


def test_a_ledger_that_is_away_is_an_error_of_its_own(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    made.ledger.close()
    (tmp_path / ".relevo" / "ledger.db").unlink()
    (tmp_path / ".relevo" / "ledger.db").mkdir()
    with pytest.raises(LedgerError):
        Recorded(made.ledger, "flights").look()


@pytest.mark.slow
def test_of_several_workers_one_shows_it_and_each_tells_it(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    watched.happened(made.ledger)
    running = service.start(tmp_path, workers=2)
    try:
        until(lambda: running.metric("relevo_alerts") == 1)
        assert running.metric("relevo_step_peak_memory_bytes") == len(watched.STEPS) * (200 << 20)
        assert running.metric("relevo_children_peak_memory_bytes") >= 0
    finally:
        assert running.stop() == 0


def test_no_sources_window_hides_anothers(tmp_path: Path) -> None:
    """Of each source and unit the latest window, and of that the last look."""
    made = service.workspace(tmp_path)
    book = made.ledger.watch
    for day in range(1, 9):
        ends = f"2026-03-{day + 1:02}T00:00:00+00:00"
        book.add_window(
            alarms.a_window("flights", source="requests", name=f"day {day}", ended_at=ends, rows=day)
        )
    earlier = {"ended_at": "2026-02-02T00:00:00+00:00", "name": "earlier"}
    book.add_window(alarms.a_window("flights", source="arrivals", rows=50, **earlier))
    book.add_window(alarms.a_window("flights", source="arrivals", rows=60, inputs="again", **earlier))
    book.add_window(
        alarms.a_window("flights", source="requests", name="day 3", inputs="again",
                        ended_at="2026-03-04T00:00:00+00:00", rows=33)
    )  # fmt: skip
    book.add_window(alarms.a_window("another", source="scores"))
    found = {(one.source, one.unit): one.rows for one in book.newest("flights")}
    assert found == {("arrivals", "day"): 60, ("requests", "day"): 8}
