"""What follows from windows, by its cause; the same windows lead to the same decision, whoever decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relevo.findings import NOTE, PAGE, WARN, Finding
from relevo.monitoring import Retrain
from relevo.records import Window
from relevo.renewal.decide import Situation, decide

NOW = "2026-03-20T12:00:00.000000+00:00"
LOSS = Finding(kind="loss", about="f1", severity=PAGE, value=0.3, expected=0.5, low=0.2, high=0.35, rows=900)
NULLS = Finding(kind="nulls", about="payer", severity=WARN, value=0.9, expected=0.1, rows=900)
MOVED = Finding(kind="drift", about="region", severity=NOTE, value=0.2, rows=900)


def window(number: int, *findings: Finding, source: str = "arrivals", pieces: tuple[str, ...] = ()) -> Window:
    began = datetime(2026, 3, number, tzinfo=UTC)
    return Window(
        project="loans",
        source=source,
        unit="day",
        name=f"2026-03-{number:02}",
        began_at=began.isoformat(),
        ended_at=(began + timedelta(days=1)).isoformat(),
        version="1.0.0",
        rows=900,
        inputs=f"i{number}{source}",
        figures={"pieces": list(pieces), "names": {piece: f"{piece}.csv" for piece in pieces}},
        findings=tuple(one.to_json() for one in findings),
        made_at=NOW,
        number=number,
    )


def situation(**more: Any) -> Situation:
    given: dict[str, Any] = {"project": "loans", "version": "1.0.0", "at": NOW, **more}
    return Situation(**given)


def told(windows: list[Window], retrain: Retrain | None = None, **more: Any) -> list[tuple[str, str]]:
    found = decide(windows, retrain if retrain is not None else Retrain(), situation(**more))
    return [(one.cause, one.action) for one in found]


def test_nothing_found_decides_nothing() -> None:
    assert told([window(1), window(2)]) == []


def test_each_cause_has_its_action() -> None:
    assert told([window(1, LOSS)]) == [("loss", "retrain")]
    assert told([window(1, MOVED)]) == [("drift", "note")]
    assert told([window(1, NULLS)]) == [("broken data", "wait")]
    assert told([window(1, NULLS, pieces=("a",))]) == [("broken data", "quarantine")]
    estimated = Finding(kind="estimated loss", about="f1", severity=PAGE)
    assert told([window(1, estimated)]) == [("loss", "wait")]
    assert told([window(1, Finding(kind="labels", about="", severity=PAGE), source="labels")]) == [
        ("no labels", "wait")
    ]


def test_an_unusual_number_of_rows_is_laid_to_no_piece() -> None:
    few = Finding(kind="volume", about="", severity=WARN, value=20.0, low=150.0, high=600.0, rows=20)
    assert told([window(1, few, pieces=("a",))]) == [("broken data", "wait")]
    assert told([window(1, few, NULLS, pieces=("a",))]) == [("broken data", "quarantine")]


def test_an_unusual_number_of_rows_explains_no_loss() -> None:
    many = Finding(kind="volume", about="", severity=WARN, value=900.0, low=150.0, high=600.0, rows=900)
    assert told([window(1, many, LOSS)]) == [("broken data", "wait"), ("loss", "retrain")]
    assert told([window(1, many, NULLS, LOSS)]) == [("broken data", "wait")]


def test_what_broken_data_explains_leads_to_no_run() -> None:
    """In the window itself, in one that has rows of the broken piece, and in one whose piece was withheld before."""
    broken = window(1, NULLS, source="files", pieces=("a",))
    assert told([window(1, NULLS, LOSS)]) == [("broken data", "wait")]
    assert told([broken, window(2, LOSS, MOVED, pieces=("a", "b"))]) == [
        ("broken data", "quarantine"),
        ("explained", "note"),
    ]
    assert told([window(2, LOSS, pieces=("a",))], withheld={"a": None}) == [("explained", "note")]
    assert told([broken, window(2, LOSS, pieces=("b",))]) == [
        ("broken data", "quarantine"),
        ("loss", "retrain"),
    ]


def test_only_the_piece_that_is_broken_is_withheld() -> None:
    windows = [window(1, NULLS, source="files", pieces=("a",)), window(2, NULLS, pieces=("a", "b"))]
    (found,) = decide(windows, Retrain(), situation())
    assert found.evidence["pieces"] == {"a": "a.csv"}


def test_what_a_person_gave_back_is_not_broken() -> None:
    assert told([window(1, NULLS, pieces=("a",))], given_back=frozenset({"a"})) == [("explained", "note")]
    assert told([window(1, NULLS, pieces=("a", "b"))], given_back=frozenset({"a"})) == [
        ("broken data", "wait")
    ]


def test_critical_cases_and_a_service_that_is_away_are_for_a_person() -> None:
    wrong = Finding(kind="cases", about="night", severity=PAGE)
    away = Finding(kind="failures", about="service", severity=PAGE)
    assert told([window(1, wrong, source="cases")]) == [("loss", "wait")]
    assert told([window(1, away, source="cases")]) == [("explained", "note")]


def test_whatever_was_found_is_done_with() -> None:
    """Each window with a finding stands in some decision's evidence; a calm one in none."""
    windows = [
        window(1, NULLS, source="files", pieces=("a",)),
        window(2, LOSS, MOVED, pieces=("a", "b")),
        window(3, MOVED),
        window(4),
        window(5, Finding(kind="failures", about="service", severity=PAGE), source="cases"),
    ]
    found = decide(windows, Retrain(), situation())
    assert {number for one in found for number in one.evidence["windows"]} == {1, 2, 3, 5}


@pytest.mark.parametrize(
    ("retrain", "more", "why"),
    [
        (Retrain(on_loss=False), {}, "not renewed by itself"),
        (Retrain(cooldown="1d"), {"runs": ["2026-03-20T01:00:00+00:00"]}, "less than 1d ago"),
        (Retrain(), {"pending": True}, "has still to end"),
        (Retrain(most=1), {"runs": ["2026-03-01T01:00:00+00:00"]}, "are the most"),
        (Retrain(most_hours=1), {"hours": 1.5}, "are used up"),
        (
            Retrain(),
            {"newest": datetime(2026, 3, 3, tzinfo=UTC), "judging": timedelta(days=5)},
            "it waits for more",
        ),
    ],
)
def test_a_run_waits_and_says_why(retrain: Retrain, more: dict[str, Any], why: str) -> None:
    (found,) = decide([window(1, LOSS)], retrain, situation(**more))
    assert (found.cause, found.action) == ("loss", "wait")
    assert why in found.text


def test_without_leave_a_person_decides() -> None:
    (found,) = decide([window(1, LOSS)], None, situation())
    assert (found.action, "relevo run" in found.text) == ("wait", True)


def test_a_run_learns_from_what_came_since_the_change() -> None:
    newest = datetime(2026, 3, 12, 12, tzinfo=UTC)
    more = {"newest": newest, "judging": timedelta(days=5)}
    (found,) = decide([window(5, LOSS)], Retrain(window="change"), situation(**more))
    assert (found.action, found.evidence["window"]) == ("retrain", "8d")
    lost = [window(2, LOSS, pieces=("a",)), window(3, LOSS, pieces=("b",))]
    (found,) = decide([window(5, LOSS)], Retrain(window="change"), situation(**more, lost=lost))
    assert found.evidence["window"] == "11d"
    (found,) = decide([window(5, LOSS)], Retrain(window="90d"), situation(**more))
    assert found.evidence["window"] == "90d"


def test_what_was_lost_in_broken_data_is_not_when_the_change_began() -> None:
    """A piece that was withheld before, or is now, as it came."""
    lost = [window(2, LOSS, pieces=("a",)), window(3, LOSS, pieces=("b",))]
    more = {"newest": datetime(2026, 3, 12, 12, tzinfo=UTC), "judging": timedelta(days=8), "lost": lost}
    (found,) = decide([window(5, LOSS)], Retrain(window="change"), situation(**more, withheld={"a": None}))
    assert (found.action, found.evidence["window"]) == ("retrain", "10d")
    (found,) = decide([window(5, LOSS)], Retrain(), situation(**more, withheld={"a": None, "b": None}))
    assert (found.action, "it waits for more" in found.text) == ("wait", True)
    windows = [window(4, NULLS, source="files", pieces=("a",)), window(5, LOSS)]
    _, found = decide(windows, Retrain(window="change"), situation(**more))
    assert found.evidence["window"] == "10d"


def test_windows_in_which_nothing_came_are_decided_about_one_by_one() -> None:
    """They are made of the same: nothing."""
    none = Finding(kind="volume", about="", severity=PAGE, value=0.0, low=50.0, rows=0)
    silent = [replace(window(number, none), rows=0, inputs="nothing") for number in (1, 2)]
    silent += [replace(silent[0], source="requests"), replace(silent[0], unit="week")]
    assert len({decide([one], Retrain(), situation())[0].id for one in silent}) == 4


def test_the_same_windows_have_the_same_decision() -> None:
    windows = [window(1, LOSS), window(2, LOSS)]
    (one,) = decide(windows, Retrain(), situation())
    (other,) = decide(windows[::-1], Retrain(), situation(at="2026-04-01T00:00:00+00:00"))
    assert one.id == other.id
    assert decide([window(3, LOSS)], Retrain(), situation())[0].id != one.id
