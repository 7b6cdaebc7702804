"""Held-out rows and their answers: what judges a run's best candidate, and what its champion says of the same rows.

Nothing here is answered by a model that has learned from it. Where a test part was set aside, the package
answers it. Where the split is repeated cross-validation, each row is answered out of fold, by what the same
procedure made of the other folds: tuned, chosen between the candidates, and calibrated without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import batch, parts, validation
from relevo import evaluate as evaluate_
from relevo import examples as examples_
from relevo import pack as pack_
from relevo.decisions import fixed_threshold
from relevo.encoding import encode_columns
from relevo.errors import PackageError, RequestError
from relevo.lifecycle import kept as kept_
from relevo.lifecycle.walk import answers
from relevo.package import ModelPackage
from relevo.package.values import to_json
from relevo.split import RepeatedStratifiedSplit, judging_part
from relevo.sql import quote
from relevo.texts import t
from relevo.train import OutOfFold
from relevo.train.data import taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from relevo.lifecycle.walk import Walk
    from relevo.records import Snapshot

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """n rows, answered R times: ``probability``, ``threshold`` and ``fold``, by which model, are (R, n).

    ``content`` are the rows' digests. A test part is answered once, by one model.
    """

    rows: examples_.Examples
    content: list[str]
    probability: Floats
    threshold: Floats
    fold: Numbers


def held_out(walk: Walk) -> HeldOut:
    """The rows that judge this run's best candidate, with its answers."""
    split = walk.definition.project.split
    part = judging_part(split)
    rows = walk.part(part)
    content = examples_.digests_of(walk.workspace.lake, walk.examples, "_content", part=part)
    if isinstance(split, RepeatedStratifiedSplit):
        folds = draws(walk, rows)
        return HeldOut(rows, content, *_chosen(walk, folds), folds)
    draft = _draft(walk)
    found = (
        draft.score_matrix(encode_columns(draft.manifest.encoders, rows.columns))
        if draft.histories
        else answers(draft, walk.requests(part))
    )
    probability = found[None, :]
    threshold = np.full(probability.shape, draft.threshold)
    return HeldOut(rows, content, probability, threshold, np.zeros(probability.shape, np.int64))


def draws(walk: Walk, rows: examples_.Examples) -> Numbers:
    """The fold of each row in each repeat, (R, n)."""
    split = walk.definition.project.split
    assert isinstance(split, RepeatedStratifiedSplit)
    asked = examples_.digests_of(walk.workspace.lake, walk.examples, "_asked", part=judging_part(split))
    return parts.drawn(split, rows.target, asked)


def lessons(walk: Walk, held: HeldOut) -> list[evaluate_.Lesson]:
    """What baselines learn from and are asked about: the same parts as the models."""
    if not isinstance(walk.definition.project.split, RepeatedStratifiedSplit):
        train = walk.training_set(walk.part("train"))
        return [evaluate_.Lesson(train, held.rows.columns, np.arange(len(held.rows.target)))]
    whole = walk.training_set(held.rows)
    found = []
    for repeat, folds in enumerate(held.fold):
        for number in np.unique(folds):
            others, own = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
            columns = {feature.name: taken(whole.columns[feature.name], own) for feature in whole.features}
            found.append(evaluate_.Lesson(whole.take(others, folds[others]), columns, own, repeat))
    return found


def _chosen(walk: Walk, folds: Numbers) -> tuple[Floats, Floats]:
    """In each fold, the answers of the candidate that was best on the others; the first listed wins a tie.

    They are decided as the package will: by what costs imply, or by the winner's own threshold.
    """
    names = [candidate.name for candidate in walk.definition.project.candidates]
    every = [OutOfFold.from_json(walk.blob(walk.output(f"train:{name}")["out_of_fold"])) for name in names]
    best = np.argmax([one.penalised for one in every], axis=0)
    repeat = np.arange(len(folds))[:, None]
    winner = best[repeat, folds]
    probability = np.stack([one.probability for one in every])
    best_cut = np.stack([one.threshold for one in every])[winner, repeat, folds]
    threshold = np.broadcast_to(fixed_threshold(walk.definition.project.decision, best_cut), folds.shape)
    return probability[winner, repeat, np.arange(folds.shape[1])], threshold


def _draft(walk: Walk) -> ModelPackage:
    with walk.workspace.scratch() as folder:
        pack_.pack(walk.definition, walk.workspace.lake, walk.tables, walk.best, folder, data={}, metrics={})
        return ModelPackage.load(folder)


def kept(walk: Walk, held: HeldOut) -> dict[str, Any]:
    """What a later comparison needs: out-of-fold answers by the rows' digests. A test part can be asked again."""
    found: dict[str, Any] = {"columns": _columns(walk)}
    if isinstance(walk.definition.project.split, RepeatedStratifiedSplit):
        found["answers"] = {
            "content": held.content,
            "probability": held.probability.tolist(),
            "threshold": held.threshold.tolist(),
        }
    return found


def against_champion(walk: Walk, held: HeldOut) -> dict[str, Any] | None:
    """Compare with the champion on the held-out rows that it has not learned from either."""
    if walk.standing is None:
        return None
    version = walk.standing.version
    try:
        assert walk.champion is not None
        known, probability, threshold = _champions(walk, walk.champion, held)
    except (RequestError, PackageError) as error:  # another contract, or a package that is damaged or too old
        return {"version": version, "incomparable": str(error)[:500]}
    target, gate = held.rows.target[known], walk.definition.project.gate
    rarer = int(min(target.sum(), (~target).sum()))
    if len(target) < gate.minimum_rows or rarer < gate.minimum_positives:
        problem = t(
            "only {rows} of the {all} held-out rows are rows that it has not learned from, {rarer} of them of the"
            " rarer class.",
            rows=len(target),
            all=len(known),
            rarer=rarer,
        )
        return {"version": version, "incomparable": problem}
    paired = evaluate_.paired(
        probability[:, known],
        threshold[:, known],
        held.probability[:, known],
        held.threshold[:, known],
        target,
        walk.definition.project.metric,
        group=None if held.rows.group is None else held.rows.group[known],
    )
    return {"version": version, "paired": paired.to_json(), "rows": len(target)}


def _champions(walk: Walk, champion: ModelPackage, held: HeldOut) -> tuple[Flags, Floats, Floats]:
    """Which held-out rows the champion answers without having learned from them, and its (R, n) answers.

    It answers out of fold what it was itself judged by out of fold; a test part's rows that it has never seen
    are put to it as they would be in production.
    """
    record, examples = _records(walk)
    alike = record.get("columns") == _columns(walk)
    none: dict[str, Any] = {"content": [], "probability": [[]], "threshold": [[]]}
    answered = (record.get("answers") if alike else None) or none
    place = {content: number for number, content in enumerate(answered["content"])}
    at = np.array([place.get(content, -1) for content in held.content])
    again = at >= 0
    shape = (len(answered["probability"]), len(at))
    probability, threshold = np.full(shape, np.nan), np.full(shape, champion.threshold)
    probability[:, again] = np.array(answered["probability"])[:, at[again]]
    if champion.manifest.decision["rule"] != "costs":  # which decide alike whatever a release before kept
        threshold[:, again] = np.array(answered["threshold"])[:, at[again]]
    fresh = ~again & _unseen(walk, champion, held, examples if alike else None)
    if place and isinstance(walk.definition.project.split, RepeatedStratifiedSplit):
        fresh[:] = False  # both have answered out of fold: like is compared with like
    if fresh.any():
        probability[:, fresh] = _asked_now(walk, champion, held, fresh)
    return again | fresh, probability, threshold


def _unseen(walk: Walk, champion: ModelPackage, held: HeldOut, examples: Snapshot | None) -> Flags:
    """Rows that were not in the champion's training part; where rows cannot be recognised, those after it."""
    if examples is not None:
        learned = set(examples_.digests_of(walk.workspace.lake, examples, "_content", part="train"))
        return np.array([content not in learned for content in held.content])
    last = champion.manifest.data.get("to")
    if last is None or walk.definition.examples.event_time is None:
        return np.zeros(len(held.content), bool)
    later: Flags = held.rows.time > np.datetime64(last)
    return later


def _records(walk: Walk) -> tuple[dict[str, Any], Snapshot | None]:
    """The champion's evaluation and examples, as far as its run left them and they are still there."""
    ledger, version = walk.workspace.ledger, walk.standing
    outputs = {step.name: step.output for step in ledger.steps(version.run)} if version else {}
    if "blob" not in outputs.get("evaluate", {}) or "snapshot" not in outputs.get("examples", {}):
        return {}, None
    examples = walk.snapshot(outputs["examples"]["snapshot"])
    there = kept_.holds(walk.workspace.lake, examples)
    return walk.blob(outputs["evaluate"]["blob"]), examples if there else None


def _columns(walk: Walk) -> list[str]:
    """What a row's digest is made of."""
    return list(walk.definition.examples.contract.names)


def _asked_now(walk: Walk, champion: ModelPackage, held: HeldOut, wanted: Flags) -> Floats:
    """The champion's probabilities of some held-out rows, each asked at its time, with its own histories."""
    requests = _asked(walk, champion, wanted)
    if not champion.histories:
        return answers(champion, requests)
    for _ in requests:
        pass  # raises when its contract refuses a row
    definition, lake, held_at = walk.definition, walk.workspace.lake, walk.examples
    fields = ", ".join(f"request.{quote(name)}" for name in definition.request.names)
    part = judging_part(definition.project.split)
    with examples_.bound(definition, lake, walk.tables) as connection:
        lake.bind(connection, held_at.table, as_="examples", version=held_at.version)
        connection.execute(
            f"create temp table request as select _id, _time, {fields} from examples where _part = '{part}'"
        )
        made = walk.snapshots("history") if definition.histories else {}
        batch.bind_histories(connection, champion, definition, lake, made)
        found: dict[str, float] = {}
        for rows in batch.scored(connection, champion, carry=("_id",)):
            found.update(zip(map(str, rows.carried["_id"]), rows.probability.tolist(), strict=True))
    return np.array([found[held.rows.ids[place]] for place in np.flatnonzero(wanted).tolist()])


def _asked(walk: Walk, champion: ModelPackage, wanted: Flags) -> Iterator[list[dict[str, Any]]]:
    """Some held-out requests as another package reads them: by alias, through its own validator."""
    aliases = {field.name: field.alias for field in walk.definition.request.fields}
    start = 0
    for part in walk.requests(judging_part(walk.definition.project.split)):
        rows = [row for row, want in zip(part, wanted[start : start + len(part)], strict=True) if want]
        start += len(part)
        yield [
            validation.validate(champion.validators, {aliases[n]: to_json(v) for n, v in row.items()})
            for row in rows
        ]
