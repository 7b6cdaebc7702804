"""A version's held-out rows with its answers, as windows are estimated by."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from relevo import Gate, RepeatedStratifiedSplit, Target, lifecycle, logistic, run
from relevo.errors import LedgerError
from relevo.performance import Answered
from relevo.recalibration import recalibrate
from relevo.workspace import Workspace
from support import bare, project

if TYPE_CHECKING:
    from pathlib import Path


def songs(path: Path) -> Path:
    """Two features tell a fifth of 240 songs fairly well apart; twenty stand in the file twice."""
    draw = random.Random(0)
    rows = []
    for number in range(240):
        kind = "yes" if number % 5 == 0 else "no"
        rows.append(f"{kind},{draw.gauss(95 if kind == 'yes' else 120, 15):.3f},{draw.gauss(-8, 3):.3f}")
    lines = [f"{number},{row}" for number, row in enumerate([*rows, *rows[-20:]])]
    path.write_text("\n".join(["number,kind,tempo,loudness", *lines]), encoding="utf-8")
    return path


def test_a_test_part_is_answered_as_it_was_judged(original: Path) -> None:
    """The figures of the champion's evaluation come out again, to the last row."""
    workspace = project.workspace(original)
    found = lifecycle.reference(project.definition(original), workspace)
    champion = workspace.ledger.champion("flights")
    assert champion is not None
    measured = Answered.of(found.probability, found.decision, found.outcome).measured()
    assert len(found.outcome) == champion.metrics["rows"]
    for name in ("f1", "roc_auc", "brier", "log_loss"):
        assert measured[name].value == pytest.approx(champion.metrics["metrics"][name]["value"], abs=1e-9)
    assert found.time is not None
    assert (np.diff(found.time.astype(np.int64)) >= 0).all()


def test_blocks_are_the_weeks_that_begin_on_monday(original: Path) -> None:
    found = lifecycle.reference(project.definition(original), project.workspace(original))
    assert found.time is not None
    monday = np.datetime64("2017-05-01T00:00:00", "us")
    times = monday + np.array([0, 6, 7, 20]).astype("timedelta64[D]")
    rows = np.repeat(np.arange(4), 40)
    part = replace(
        found,
        probability=np.full(160, 0.3) + rows / 10,
        decision=rows > 1,
        outcome=np.arange(160) % 2 == 0,
        time=times[rows],
    )
    assert [len(p) for p, _ in part.blocks("week")] == [80, 40, 40]
    assert [len(p) for p, _ in part.blocks("day")] == [40] * 4
    assert [len(p) for p, _ in replace(part, time=None).blocks("day")] == [160]
    assert recalibrate(part.blocks("hour")).blocks == 4


@pytest.mark.slow
def test_out_of_fold_answers_are_those_that_were_kept(tmp_path: Path) -> None:
    definition = bare.definition(
        tmp_path,
        songs(tmp_path / "songs.csv"),
        RepeatedStratifiedSplit(folds=3, repeats=2),
        asked={"tempo": (float, ...), "loudness": (float, ...)},
        known={"number": (int, ...), "kind": (str, ...)},
        target=Target("kind = 'yes'"),
        candidates=[logistic(C=1.0, class_weight=0.0)],
        gate=Gate(beats_baselines=False),
    )
    workspace = Workspace.open(tmp_path)
    ended = run(definition, workspace)
    found = lifecycle.reference(definition, workspace, ended.version)
    assert found.time is None
    assert len(found.outcome) == 260
    version = workspace.ledger.version(definition.name, ended.version)
    assert version is not None
    kept = version.metrics["metrics"]["roc_auc"]
    measured = Answered.of(found.probability, found.decision, found.outcome).measured()["roc_auc"]
    assert measured.value == pytest.approx(kept["value"], abs=0.05)  # of one repeat, where that is of two
    assert [len(p) for p, _ in found.blocks("week")] == [260]


def test_without_a_version_there_is_no_reference(tmp_path: Path, original: Path) -> None:
    definition = project.definition(original)
    with pytest.raises(LedgerError, match="Nothing was released yet"):
        lifecycle.reference(definition, Workspace.open(tmp_path))
    with pytest.raises(LedgerError, match=r"no version 9\.9\.9"):
        lifecycle.reference(definition, project.workspace(original), "9.9.9")
