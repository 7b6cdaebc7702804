"""The steps of a run: their order, what each depends on, and the verbs they call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevo import clean as clean_
from relevo import digest as digests
from relevo import evaluate as evaluate_
from relevo import examples as examples_
from relevo import ingest as ingest_
from relevo import train as train_
from relevo.definition import brought
from relevo.lifecycle.judging import audit, evaluate, judge, package, register, release
from relevo.lifecycle.walk import Outcome, Walk
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.definition import Definition


@dataclass(frozen=True)
class Planned:
    """One step of a plan. ``inputs`` gives what its output depends on, or None where the step must look anew."""

    name: str
    needs: tuple[str, ...]
    perform: Callable[[Walk], Outcome]
    inputs: Callable[[Walk], Any] | None = None


def plan(definition: Definition) -> tuple[Planned, ...]:
    """List the steps in an order that keeps every step behind what it needs."""
    trains = tuple(f"train:{candidate.name}" for candidate in definition.project.candidates)
    return (
        Planned("ingest", (), ingest),
        Planned("clean", ("ingest",), clean, lambda walk: [definition_of_clean(walk), walk.output("ingest")]),
        Planned("examples", ("clean",), examples, _examples_inputs),
        *(
            Planned(name, ("examples",), _trainer(place), _train_inputs(place))
            for place, name in enumerate(trains)
        ),
        Planned("evaluate", ("examples", *trains), evaluate, _evaluate_inputs),
        Planned("package", ("evaluate",), package, lambda walk: [walk.output("evaluate")]),
        Planned("audit", ("package",), audit, lambda walk: [walk.output("package"), walk.output("evaluate")]),
        Planned("judge", ("evaluate", "package", "audit"), judge),
        Planned("register", ("package", "judge"), register),
        Planned("release", ("register", "judge"), release),
    )


def ingest(walk: Walk) -> Outcome:
    """Bring each table's source into ``raw``."""
    definition, workspace = walk.definition, walk.workspace
    found, rows, size, written = {}, 0, 0, 0
    for table in definition.project.tables:
        previous = workspace.ledger.newest_snapshot(f"raw/{table.name}", project=definition.name)
        snapshot = ingest_.ingest(
            table, definition.contracts[table.name], workspace.lake, definition.project.root, previous
        )
        workspace.ledger.save_snapshot(snapshot, project=definition.name)
        found[table.name] = snapshot.id
        rows += snapshot.rows
        written += walk.bytes_of(snapshot)
        size += ingest_.source_bytes(table, definition.project.root)
        walk.tell(
            t("{table}: {rows:,} rows, nothing new", table=table.name, rows=snapshot.rows)
            if not snapshot.changed
            else t("{table}: {rows:,} rows", table=table.name, rows=snapshot.rows)
        )
    return Outcome({"snapshots": found}, rows_in=rows, rows_out=rows, bytes_in=size, bytes_out=written)


def definition_of_clean(walk: Walk) -> Any:
    """What cleaning depends on, beside the raw rows."""
    definition = walk.definition
    return {
        table.name: [
            definition.contracts[table.name].to_json(),
            list(table.keys),
            list(table.nulls),
            list(table.unique),
            definition.where_sql.get(table.name),
            definition.project.max_quarantined,
        ]
        for table in definition.project.tables
    }


def clean(walk: Walk) -> Outcome:
    """Turn each raw table into a clean one; refused rows go to ``quarantine``."""
    definition, workspace = walk.definition, walk.workspace
    raw = walk.snapshots("ingest")
    found = {}
    rows_in = rows_out = bytes_out = 0
    for table in definition.project.tables:
        snapshot = clean_.clean(
            table,
            definition.contracts[table.name],
            workspace.lake,
            raw[table.name],
            limit=definition.project.max_quarantined,
            where_sql=definition.where_sql.get(table.name),
        )
        workspace.ledger.save_snapshot(snapshot, project=definition.name)
        found[table.name] = snapshot.id
        rows_in, rows_out = rows_in + raw[table.name].rows, rows_out + snapshot.rows
        bytes_out += walk.bytes_of(snapshot) + workspace.lake.size(f"quarantine/{table.name}")
        walk.tell(
            t(
                "{table}: {rows:,} clean, {bad:,} in quarantine",
                table=table.name,
                rows=snapshot.rows,
                bad=snapshot.quarantined,
            )
        )
    return Outcome(
        {"snapshots": found},
        rows_in=rows_in,
        rows_out=rows_out,
        bytes_in=walk.bytes_of(*raw.values()),
        bytes_out=bytes_out,
    )


def _examples_inputs(walk: Walk) -> Any:
    definition = walk.definition
    return [
        walk.output("clean"),
        definition.request.to_json(),
        definition.plan.sql,
        definition.target_sql,
        repr(definition.project.split),
        definition.project.examples.event_time,
        examples_.VERSION,
    ]


def examples(walk: Walk) -> Outcome:
    """Compute outcome, part, fold and features of every labelled row."""
    snapshots = walk.snapshots("clean")
    snapshot = examples_.make(walk.definition, walk.workspace.lake, snapshots)
    walk.workspace.ledger.save_snapshot(snapshot, project=walk.definition.name)
    rows = snapshots[walk.definition.project.examples.name].rows
    features = len(walk.definition.plan.features)
    walk.tell(t("{rows:,} rows with {features} features", rows=snapshot.rows, features=features))
    return Outcome(
        {"snapshot": snapshot.id},
        rows_in=rows,
        rows_out=snapshot.rows,
        bytes_in=walk.bytes_of(*snapshots.values()),
        bytes_out=walk.bytes_of(snapshot),
    )


def _train_inputs(place: int) -> Callable[[Walk], Any]:
    def inputs(walk: Walk) -> Any:
        project = walk.definition.project
        candidate = project.candidates[place]
        settings = sorted((name, repr(value)) for name, value in candidate.settings.items())
        return [
            walk.output("examples"),
            [candidate.name, candidate.algorithm, settings],
            [*brought.told(candidate, project.root), brought.versions(candidate)],
            repr(project.tuning),
            project.metric,
            train_.VERSION,
        ]

    return inputs


def _trainer(place: int) -> Callable[[Walk], Outcome]:
    def perform(walk: Walk) -> Outcome:
        return _train(walk, place)

    return perform


def _train(walk: Walk, place: int) -> Outcome:
    project = walk.definition.project
    part = walk.part("train")
    data = walk.training_set(part)
    total = project.tuning.trials

    def progress(trial: Any) -> None:
        shown = "-" if trial.score is None else f"{trial.score:.4f}"
        walk.tell(
            t(
                "trial {number} of {total}: {metric} {score}",
                number=trial.number + 1,
                total=total,
                metric=project.metric,
                score=shown,
            )
        )

    fit = train_.train(
        project.candidates[place],
        project.tuning,
        project.metric,
        data,
        root=project.root,
        progress=progress,
        run=walk.run.id,
    )
    walk.workspace.ledger.save_trials(list(fit.trials))
    for blob in fit.blobs.values():
        walk.workspace.blobs.put(blob)
    output = {
        "fit": fit.to_json(),
        "score": fit.score,
        "training_score": fit.training_score,
        "gap": fit.gap,
        "penalised": fit.penalised,
    }
    return Outcome(
        output,
        rows_in=len(part.target),
        rows_out=len(part.target),
        bytes_in=walk.bytes_of(walk.examples),
        bytes_out=sum(map(len, fit.blobs.values())),
    )


def _champion_digest(walk: Walk) -> str:
    found = walk.workspace.ledger.champion(walk.definition.name)
    return found.digest if found else ""


def _evaluate_inputs(walk: Walk) -> Any:
    fits = [walk.output(f"train:{c.name}") for c in walk.definition.project.candidates]
    labels = [walk.definition.project.target.positive, walk.definition.project.target.negative]
    return [walk.output("examples"), fits, labels, _champion_digest(walk), evaluate_.VERSION]


def inputs_digest(step: Planned, walk: Walk) -> str:
    """Digest of what a step's output depends on; of its run where it must look anew."""
    if step.inputs is None:
        return digests.of_json(["always", walk.run.id, step.name])
    return digests.of_json([step.name, step.inputs(walk)])
