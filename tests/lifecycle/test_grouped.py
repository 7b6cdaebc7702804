"""Runs whose rows are parted by groups: intervals and the comparison with the champion draw whole groups."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import Gate, GroupSplit, Target, Tuning, evaluate, logistic, run
from relevo.lifecycle.heldout import held_out
from relevo.lifecycle.walk import Walk
from relevo.workspace import Workspace
from support import bare

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition

GROUPS, SIZE = 60, 12


def visits(folder: Path, strength: float) -> Definition:
    """Patients who come a dozen times, each time with nearly the same measure and mostly the same outcome."""
    draw = random.Random(0)
    lines = ["patient,ill,measure"]
    for patient in range(GROUPS):
        health = draw.gauss(0, 1)
        for _ in range(SIZE):
            ill = "yes" if health + draw.gauss(0, 0.5) > 0.4 else "no"
            lines.append(f"{patient},{ill},{health + draw.gauss(0, 0.01):.5f}")
    source = folder / "visits.csv"
    source.write_text("\n".join(lines), encoding="utf-8")
    wanted: dict[str, Any] = {
        "candidates": [logistic("plain", C=strength, class_weight=0.0)],
        "tuning": Tuning(trials=1),
        "metric": "roc_auc",
        "gate": Gate(margin=0.2, beats_baselines=False),
    }
    return bare.definition(
        folder,
        source,
        GroupSplit(by="patient", test=0.4, folds=3),
        asked={"measure": (float, ...)},
        known={"patient": (int, ...), "ill": (str, ...)},
        target=Target("ill = 'yes'"),
        **wanted,
    )


def test_groups_are_drawn_whole(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    assert run(visits(tmp_path, 1.0), workspace).status == "released"
    definition = visits(tmp_path, 0.5)
    ended = run(definition, workspace)
    outputs = {step.name: step.output for step in workspace.ledger.steps(ended.id)}
    walk = Walk(definition, workspace, ended, outputs)
    held, record = held_out(walk), walk.blob(outputs["evaluate"]["blob"])
    group = held.rows.group
    assert group is not None
    groups = len(np.unique(group))
    assert groups == len(held.rows.target) / SIZE
    by_groups, by_rows = (
        evaluate.evaluate(held.probability, held.rows.target, held.threshold, group=which)
        for which in (group, None)
    )
    assert record["evaluation"]["metrics"] == by_groups.to_json()["metrics"]
    assert record["evaluation"]["metrics"] != by_rows.to_json()["metrics"]
    paired = record["champion"]["paired"]
    assert paired["groups"] == groups
    assert paired["rarer"] <= groups
    reasons = {one["check"]: one for one in outputs["judge"]["verdict"]["reasons"]}
    assert "groups with rows of the rarer class are compared" in reasons["champion"]["text"]
    prior = np.full(len(group), walk.part("train").target.mean())
    yes = evaluate.evaluate(prior, held.rows.target, 0.0, group=group)
    assert record["baselines"]["always-yes"]["metrics"] == yes.to_json()["metrics"]
