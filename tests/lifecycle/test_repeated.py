"""Runs whose rows are all judged out of fold, and what may judge a champion."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import (
    Costs,
    Gate,
    RepeatedStratifiedSplit,
    StratifiedSplit,
    Target,
    Tuning,
    examples,
    lifecycle,
    lightgbm,
    logistic,
    run,
)
from relevo.lifecycle.heldout import HeldOut, held_out
from relevo.lifecycle.walk import Walk
from relevo.workspace import Workspace
from support import bare

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.records import Run
    from relevo.split import Split

SPLIT = RepeatedStratifiedSplit(folds=3, repeats=2)


def write(path: Path, rows: int = 240, *, seed: int = 0, copies: int = 20) -> Path:
    """Songs of two features that tell a fifth of them fairly well apart; some stand in the file twice."""
    draw = random.Random(seed)
    lines = ["number,kind,tempo,loudness,colour"]
    songs = []
    for number in range(rows):
        kind = "yes" if number % 5 == 0 else "no"
        tempo = draw.gauss(95 if kind == "yes" else 120, 15)
        songs.append(f"{kind},{tempo:.3f},{draw.gauss(-8, 3):.3f},{draw.choice('abc')}")
    songs += songs[-copies:] if copies else []
    lines += [f"{seed * 100_000 + number},{song}" for number, song in enumerate(songs)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def songs(folder: Path, source: Path, split: Split = SPLIT, **choices: Any) -> Definition:
    wanted: dict[str, Any] = {
        "candidates": [
            logistic("plain", C=1.0, class_weight=1.0),
            logistic("flat", C=0.0001, class_weight=0.0),
        ],
        "tuning": Tuning(trials=1),
        "metric": "pr_auc",
        "gate": Gate(margin=0.2),
        **choices,
    }
    return bare.definition(
        folder,
        source,
        split,
        asked={"tempo": (float, ...), "loudness": (float, ...), "colour": (str, ...)},
        known={"number": (int, ...), "kind": (str, ...)},
        target=Target("kind = 'yes'"),
        **wanted,
    )


def record(workspace: Workspace, ended: Run, step: str = "evaluate") -> Any:
    output = next(s.output for s in workspace.ledger.steps(ended.id) if s.name == step)
    return json.loads(workspace.blobs.get(output["blob"])) if step == "evaluate" else output


def reasons(workspace: Workspace, ended: Run) -> dict[str, Any]:
    return {r["check"]: r for r in record(workspace, ended, "judge")["verdict"]["reasons"]}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path)


def test_every_row_is_judged_and_the_model_is_made_of_all(tmp_path: Path, workspace: Workspace) -> None:
    """The whole lifecycle without a test part, the packed answers proven on the rows there are."""
    ended = run(songs(tmp_path, write(tmp_path / "songs.csv")), workspace)
    assert ended.status == "released", ended.message
    found = record(workspace, ended)
    evaluation = found["evaluation"]
    assert (evaluation["rows"], evaluation["positives"], evaluation["repeats"]) == (260, 52, 2)
    assert found["data"]["rows"] == found["data"]["held_out_rows"] == 260
    assert sum(evaluation["confusion"].values()) == 520
    assert evaluation["spread"]["pr_auc"]["folds"] > 0
    assert all(baseline["repeats"] == 2 for baseline in found["baselines"].values())
    assert (
        evaluation["metrics"]["pr_auc"]["value"]
        > found["baselines"]["tree"]["metrics"]["pr_auc"]["value"] - 0.1
    )
    assert np.shape(found["answers"]["probability"]) == (2, 260)
    assert record(workspace, ended, "audit")["proven"]
    assert "There is no champion yet" in reasons(workspace, ended)["champion"]["text"]


def test_out_of_fold_answers_depend_on_no_outcome_of_their_fold(tmp_path: Path) -> None:
    """Turning the outcomes of one fold round changes the answers of other folds only, its own least of all."""
    from relevo.sql import Column
    from relevo.train import TrainingSet, out_of_fold

    draw = np.random.default_rng(0)
    folds = np.stack([draw.permutation(180) % 3])
    target = draw.random(180) < 0.3
    column = (Column("city", "text"), Column("x", "double"))
    columns = {"city": [f"c{n}" for n in draw.integers(0, 9, 180)], "x": draw.normal(size=180) + target}
    turned = np.where(folds[0] == 1, ~target, target)
    both = [
        out_of_fold(
            lightgbm(n_estimators=20),
            Tuning(trials=2),
            "f1",
            TrainingSet(column, columns, outcome, folds[0]),
            folds,
        )
        for outcome in (target, turned)
    ]
    own = folds[0] == 1
    assert (both[0].probability[0, own] == both[1].probability[0, own]).all()
    assert both[0].threshold[0, 1] == both[1].threshold[0, 1]
    assert both[0].penalised[0, 1] == both[1].penalised[0, 1]
    assert (both[0].probability[0, ~own] != both[1].probability[0, ~own]).any()


@pytest.mark.slow
def test_the_number_of_processors_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from relevo.train import algorithms

    answers = []
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        folder.mkdir()
        monkeypatch.setattr(algorithms, "workers", lambda rows, count=workers: count + 0 * rows)
        workspace = Workspace.open(folder)
        ended = run(songs(folder, write(folder / "songs.csv", 150)), workspace)
        answers.append(record(workspace, ended)["answers"])
    assert answers[0] == answers[1]


def test_the_best_of_the_other_folds_answers(tmp_path: Path, workspace: Workspace) -> None:
    """In each fold the candidate with the better penalised score on the others gives the answers."""
    definition = songs(tmp_path, write(tmp_path / "songs.csv"))
    ended = run(definition, workspace)
    walk = Walk(definition, workspace, ended, {s.name: s.output for s in workspace.ledger.steps(ended.id)})
    held = held_out(walk)
    each = {
        c.name: walk.blob(walk.output(f"train:{c.name}")["out_of_fold"])
        for c in definition.project.candidates
    }
    for repeat in range(2):
        for fold in range(3):
            winner = max(each.values(), key=lambda one: one["penalised"][repeat][fold])
            rows = np.flatnonzero(held.fold[repeat] == fold)
            assert held.probability[repeat, rows].tolist() == [winner["probability"][repeat][r] for r in rows]
            assert set(held.threshold[repeat, rows]) == {winner["threshold"][repeat][fold]}


def test_costs_decide_out_of_fold_as_they_do_in_the_package(tmp_path: Path, workspace: Workspace) -> None:
    """The threshold that was best for F1 in some folds has no part in it, nor in the reference."""
    costs = Costs(false_positive=1, false_negative=19)
    definition = songs(
        tmp_path, write(tmp_path / "songs.csv"), decision=costs, gate=Gate(beats_baselines=False)
    )
    ended = run(definition, workspace)
    assert ended.status == "released", ended.message
    found = record(workspace, ended)
    assert np.unique(found["answers"]["threshold"]).tolist() == [costs.threshold]
    yes = int((np.array(found["answers"]["probability"]) >= costs.threshold).sum())
    assert found["evaluation"]["confusion"]["tp"] + found["evaluation"]["confusion"]["fp"] == yes
    reference = lifecycle.reference(definition, workspace)
    assert (reference.decision == (reference.probability >= costs.threshold)).all()


def test_copies_stand_on_one_side(tmp_path: Path, workspace: Workspace) -> None:
    definition = songs(tmp_path, write(tmp_path / "songs.csv", copies=60))
    ended = run(definition, workspace)
    walk = Walk(definition, workspace, ended, {s.name: s.output for s in workspace.ledger.steps(ended.id)})
    asked = examples.digests_of(workspace.lake, walk.examples, "_asked", part="train")
    held: HeldOut = held_out(walk)
    assert len(asked) - len(set(asked)) == 60
    for name in set(asked):
        rows = [place for place, other in enumerate(asked) if other == name]
        assert all(len(set(fold[rows])) == 1 for fold in held.fold)
        assert all(len(set(p[rows])) == 1 for p in held.probability)


@pytest.mark.slow
def test_champion_and_challenger_meet_where_both_answered_out_of_fold(
    tmp_path: Path, workspace: Workspace
) -> None:
    """New rows, which the champion has not answered out of fold, have no part in it."""
    source = write(tmp_path / "songs.csv")
    assert run(songs(tmp_path, source), workspace).status == "released"
    more = write(tmp_path / "more.csv", 60, seed=1, copies=0).read_text(encoding="utf-8").splitlines()[1:]
    source.write_text("\n".join([source.read_text(encoding="utf-8"), *more]), encoding="utf-8")
    ended = run(songs(tmp_path, source), workspace)
    champion = record(workspace, ended)["champion"]
    assert champion["version"] == "1.0.0"
    assert champion["rows"] == 260
    assert record(workspace, ended)["evaluation"]["rows"] == 320
    assert "On the same rows" in reasons(workspace, ended)["champion"]["text"]


def test_a_champion_is_not_judged_by_what_it_learned_from(tmp_path: Path, workspace: Workspace) -> None:
    """The champion learned from all rows: a test part of some of them cannot be put to it."""
    source = write(tmp_path / "songs.csv")
    first = run(songs(tmp_path, source, StratifiedSplit(test=0.3)), workspace)
    assert first.status == "released", first.message
    other = songs(tmp_path, source, StratifiedSplit(test=0.3, seed=5))
    ended = run(other, workspace)
    champion = record(workspace, ended)["champion"]
    # Of the new test part only what was in the champion's own test part, about 0.3 of 0.3, is left: too little.
    assert "only" in champion["incomparable"]
    said = reasons(workspace, ended)["champion"]
    assert "cannot be asked about these rows" in said["text"]
    assert said["passed"]


def test_a_champion_judged_out_of_fold_meets_a_test_part(tmp_path: Path, workspace: Workspace) -> None:
    """It learned from every row of the test part, but has answered them out of fold."""
    source = write(tmp_path / "songs.csv")
    assert run(songs(tmp_path, source), workspace).status == "released"
    ended = run(songs(tmp_path, source, StratifiedSplit(test=0.3)), workspace)
    champion = record(workspace, ended)["champion"]
    assert champion["rows"] == record(workspace, ended)["evaluation"]["rows"]


@pytest.mark.slow
def test_rows_that_cannot_be_recognised_are_not_compared(tmp_path: Path, workspace: Workspace) -> None:
    """Another contract gives every row another digest; without a time nothing says which are new."""
    source = write(tmp_path / "songs.csv")
    first = songs(tmp_path, source)
    assert run(first, workspace).status == "released"
    fewer = bare.definition(
        tmp_path,
        source,
        SPLIT,
        asked={"tempo": (float, ...), "loudness": (float, ...)},
        known={"kind": (str, ...)},
        target=Target("kind = 'yes'"),
        **{name: getattr(first.project, name) for name in ("candidates", "tuning", "metric", "gate")},
    )
    ended = run(fewer, workspace)
    assert "only 0 of the 260" in record(workspace, ended)["champion"]["incomparable"]


def test_too_few_rows_are_refused_by_the_gate(tmp_path: Path, workspace: Workspace) -> None:
    definition = songs(tmp_path, write(tmp_path / "songs.csv"), gate=Gate(minimum_positives=60))
    ended = run(definition, workspace)
    assert ended.status == "refused"
    assert not reasons(workspace, ended)["rows"]["passed"]
