"""A bank's loans fail in 3 % of the cases, and in the end in 55 %: each week ends in just the decision it calls for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import stories
from support.stories import Story

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
PROJECT = (
    stories.PROJECT.replace('metric="roc_auc"', 'metric="brier"')
    .replace("Monitor(loss=0.03)", 'Monitor(metric="brier", loss=0.03)')
    .replace('minimum={"roc_auc": 0.55}', "margin=0.02")
)


def test_a_rate_of_positives_that_rises_is_learned_step_by_step(tmp_path: Path) -> None:
    story = Story(tmp_path / "loans")
    stories.make(story.folder, project=PROJECT, rate=0.03)
    assert story.run().status == "released"
    weeks = [
        # share that fails, what is decided, the champion afterwards
        (0.03, [], "1.0.0"),
        (0.03, [], "1.0.0"),
        (0.20, [("loss", "retrain")], "1.0.1"),
        (0.20, [], "1.0.1"),
        (0.55, [("loss", "retrain")], "1.0.2"),
        (0.55, [], "1.0.2"),
    ]
    for number, (rate, wanted, champion) in enumerate(weeks, 10):
        story.arrive(number, rate=rate)
        _, decisions, _ = story.watch()
        assert [(one.cause, one.action) for one in decisions] == wanted, number
        assert story.champion() == champion, number
    pages = [signal for signal, severity, _ in story.told()["alerts"] if severity == "page"]
    assert set(pages) == {"loss:brier"}
