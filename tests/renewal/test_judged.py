"""What a window can say of alerts: that those are over which it looked for, and of the others nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import clock
from relevo.findings import PAGE, WARN, Finding
from relevo.renewal.judged import judged
from support.alarms import a_window
from support.stories import Story, base, week

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["base"]  # a fixture
AUC = {"roc_auc": {"value": 0.7, "low": 0.6, "high": 0.8}}
UNKNOWN = {"roc_auc": {"value": None, "low": None, "high": None}}
LOSS = Finding(kind="loss", about="roc_auc", severity=PAGE)
NULLS = Finding(kind="nulls", about="age", severity=WARN)
OF_AGE = {"nulls:age", "unseen:age", "range:age", "drift:age"}
LOSSES = {"loss:roc_auc", "estimated loss:roc_auc"}
EVERY = {
    *OF_AGE,
    *LOSSES,
    "drift:region",
    "score",
    "multivariate",
    "volume",
    "skew",
    "refusals",
    "failures",
    "labels",
    "cases:night",
    "channel:email.oncall",
}


def realised(*, complete: bool, metrics: dict[str, Any] = AUC) -> dict[str, Any]:
    return {"realised": {"complete": complete, "metrics": metrics}}


def estimated(*, holds: bool, metrics: dict[str, Any] = AUC) -> dict[str, Any]:
    return {"estimated": {"holds": holds, "metrics": metrics}}


@pytest.mark.parametrize(
    ("figures", "findings", "looked_for"),
    [
        ({}, [], set()),
        (realised(complete=True), [], LOSSES),
        (realised(complete=True), [LOSS], {"loss:roc_auc"}),
        (realised(complete=False), [], set()),
        (realised(complete=True, metrics=UNKNOWN), [], set()),
        (realised(complete=False) | estimated(holds=True), [], {"estimated loss:roc_auc"}),
        (estimated(holds=False), [], set()),
        (estimated(holds=True, metrics=UNKNOWN), [], set()),
        ({"signals": {}}, [], {*OF_AGE, "drift:region", "score"}),
        ({"signals": {}}, [NULLS], {"drift:region", "score"}),
        ({"volume": {"rows": 9.0}, "skew": {"share": 0.0}}, [], {"volume", "skew"}),
        ({"volume": None, "skew": None, "multivariate": None, "refusals": None}, [], set()),
        ({"multivariate": {"p": 0.5}, "refusals": 0, "failures": 0}, [], {"multivariate", "refusals", "failures"}),
        ({"nulls": {"age": 0.1}, "refused": 0}, [], {"nulls:age", "refusals"}),
    ],
)  # fmt: skip
def test_a_window_looked_for_what_its_figures_say(
    figures: dict[str, Any], findings: list[Finding], looked_for: set[str]
) -> None:
    window = a_window("p", rows=99, figures=figures, findings=tuple(one.to_json() for one in findings))
    assert judged(window, EVERY, minimum_rows=100) == looked_for


def test_nothing_is_said_of_labels_that_few_should_have_nor_of_cases_that_others_ask() -> None:
    labels = [a_window("p", source="labels", rows=rows, figures={"rows": rows}) for rows in (99, 100)]
    assert [judged(one, EVERY, minimum_rows=100) for one in labels] == [set(), {"labels"}]
    cases = a_window("p", source="cases", figures={"signals": {}})
    assert judged(cases, EVERY, minimum_rows=100) == set()


def test_without_rows_nothing_was_refused_or_missing() -> None:
    figures = {"refusals": 0, "failures": 3, "nulls": {"age": 0.0}, "refused": 0}
    assert judged(a_window("p", rows=0, figures=figures), EVERY, minimum_rows=100) == {"failures"}


@pytest.mark.slow
def test_a_loss_is_over_when_labels_say_so(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The days after it, whose labels have not come yet, say nothing of it."""
    story = Story.begun(base, tmp_path / "loans")
    release = datetime.fromisoformat(story.workspace.ledger.releases("loans")[0].released_at)
    first = (release + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)

    def ask(day: int, labelled: float, kind: str = "") -> None:
        story.ask(first + timedelta(days=day), week(20 + day, rows=300, kind=kind), labelled=labelled)

    def loss(day: int) -> list[str]:
        moment = first + timedelta(days=day, hours=1)
        assert moment.tzinfo is UTC
        monkeypatch.setattr(clock, "pace", clock.Pace(moment.timestamp(), 1.0, time.time()))
        story.watch()
        return [state for signal, _, state in story.told()["alerts"] if signal == "loss:roc_auc"]

    ask(0, 1.0, "turned")
    for day in (1, 2):
        ask(day, 0.5)
    assert loss(3) == ["open"]
    ask(3, 0.0)
    assert loss(4) == ["open"]
    for day in (1, 2):
        ask(day, 1.0)
    assert loss(5) == ["resolved"]
