"""Commands that answer or tell of a champion which looks history up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relevo.package import ModelPackage
from support import histories, project

if TYPE_CHECKING:
    from pathlib import Path

ASKED = {"customer": 100, "product": 2}


@pytest.mark.slow
def test_predict_answers_by_the_newest_history(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=2)
    package = ModelPackage.load(tmp_path / "package0")
    words = [f"{name}={value}" for name, value in ASKED.items()]
    answers = []
    for weeks in (2, 3):
        histories.refresh(made, weeks)
        package.bind(histories.newest(weeks))
        found = project.call("predict", *words, "--project", tmp_path, "--json").document["probability"]
        assert found == package.predict([package.validators.one.validate_python(ASKED)])[0].probability
        answers.append(found)
    assert answers[0] != answers[1]


def test_predict_names_the_command_when_a_history_is_not_at_hand(tmp_path: Path) -> None:
    histories.workspace(tmp_path, weeks=0)
    done = project.call("predict", "customer=100", "product=2", "--project", tmp_path)
    assert done.code != 0
    assert "The history “pairs” is not at hand. `relevo run`" in done.err


def test_status_shows_what_the_champion_looks_up(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=0)
    bare = project.call("status", tmp_path, "--json").document["histories"]
    assert bare == [{"name": "pairs"}, {"name": "buyers"}]
    assert "pairs" in project.call("status", tmp_path).out
    histories.refresh(made, 3)
    pairs = project.call("status", tmp_path, "--json").document["histories"][0]
    assert (pairs["rows"], pairs["newest_known_at"]) == (
        len(histories.newest(3)["pairs"]),
        "2024-01-15 00:00:00",
    )
    assert pairs["age_seconds"] > 0
    shown = project.call("status", tmp_path).out
    assert pairs["digest"][:12] in shown
    assert "2024-01-15" in shown
