"""The steps of a run: their order, what each depends on, and the verbs they call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from relevo import clean as clean_
from relevo import digest as digests
from relevo import evaluate as evaluate_
from relevo import examples as examples_
from relevo import history as history_
from relevo import ingest as ingest_
from relevo import leaks as leaks_
from relevo import materialise, pack, profile
from relevo import nulls as nulls_
from relevo import train as train_
from relevo.definition import brought
from relevo.lifecycle import batches, heldout, kept
from relevo.lifecycle.judging import audit, evaluate, judge, package, register, release
from relevo.lifecycle.walk import Outcome, Walk
from relevo.split import RepeatedStratifiedSplit
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from relevo.candidates import Candidate
    from relevo.definition import Definition
    from relevo.lifecycle.kept import Kept

_FIT_KEEPS = (kept.fit, kept.blob("out_of_fold"))


@dataclass(frozen=True)
class Planned:
    """One step of a plan. ``inputs`` gives what its output depends on, or None where the step must look anew.

    All of ``keeps`` must hold of an earlier output, or what it names is gone and the step is done again.
    """

    name: str
    needs: tuple[str, ...]
    perform: Callable[[Walk], Outcome]
    inputs: Callable[[Walk], Any] | None = None
    keeps: tuple[Kept, ...] = ()


def plan(definition: Definition) -> tuple[Planned, ...]:
    """List the steps in an order that keeps every step behind what it needs."""
    trains = tuple(f"train:{candidate.name}" for candidate in definition.project.candidates)
    timed: tuple[Planned, ...] = ()
    if definition.histories:
        timed = (
            Planned("history", ("clean",), history, _history_inputs, (kept.tables,)),
            Planned("lookups", ("clean", "history"), look_ups),
        )
    made = ("clean", "history") if timed else ("clean",)
    scored = definition.population is not None
    judged, released = ("evaluate", "package", "audit"), ("evaluate", "register", "judge")
    return (
        Planned("ingest", (), ingest, keeps=(kept.tables,)),
        Planned("clean", ("ingest",), clean, _clean_inputs, (kept.tables, kept.blob("nulls"))),
        *([Planned("review", ("clean",), batches.review, batches.review_inputs)] if scored else []),
        *timed,
        Planned("examples", made, examples, _examples_inputs, (kept.tables,)),
        *(
            Planned(name, ("examples",), _trainer(place), _train_inputs(place), _FIT_KEEPS)
            for place, name in enumerate(trains)
        ),
        Planned("evaluate", ("examples", *trains), evaluate, _evaluate_inputs, (kept.blob("blob"),)),
        Planned("package", ("evaluate",), package, _package_inputs, (kept.package,)),
        Planned("audit", ("package",), audit, lambda walk: [walk.output("package"), walk.output("evaluate")]),
        Planned("judge", judged, judge, _of_this_run(*judged)),
        Planned("register", ("package", "judge"), register, _of_this_run("package", "judge")),
        Planned("release", released, release, _of_this_run(*released)),
        *(
            [Planned(batches.SCORE, (*made, "release"), batches.score, batches.score_inputs)]
            if scored
            else []
        ),
    )


def ingest(walk: Walk) -> Outcome:
    """Bring what is new in each table's source into ``raw``."""
    definition, workspace = walk.definition, walk.workspace
    found, rows, written = {}, 0, 0
    sizes: list[int] = []
    for table in definition.project.tables:
        previous = workspace.ledger.newest_snapshot(f"raw/{table.name}", project=definition.name)
        snapshot = ingest_.ingest(
            table,
            definition.contracts[table.name],
            workspace.lake,
            definition.project.root,
            previous,
            tell=walk.tell,
            received=sizes.append,
        )
        workspace.ledger.save_snapshot(snapshot, project=definition.name)
        found[table.name] = snapshot.id
        rows += snapshot.rows
        written += walk.bytes_of(snapshot)
        walk.tell(
            t("{table}: {rows:,} rows, nothing new", table=table.name, rows=snapshot.rows)
            if not snapshot.changed
            else t("{table}: {rows:,} rows", table=table.name, rows=snapshot.rows)
        )
    return Outcome({"snapshots": found}, rows_in=rows, rows_out=rows, bytes_in=sum(sizes), bytes_out=written)


def _clean_inputs(walk: Walk) -> Any:
    return [definition_of_clean(walk), walk.output("ingest")]


def definition_of_clean(walk: Walk) -> Any:
    """What cleaning depends on, beside the raw rows."""
    definition = walk.definition
    return {
        table.name: [
            definition.contracts[table.name].to_json(),
            list(table.row_key),
            list(table.nulls),
            list(table.unique),
            definition.where_sql.get(table.name),
            definition.project.max_quarantined,
        ]
        for table in definition.project.tables
    }


def clean(walk: Walk) -> Outcome:
    """Turn each raw table into a clean one; refused rows go to ``quarantine``, nulls are counted by piece."""
    definition, workspace = walk.definition, walk.workspace
    raw = walk.snapshots("ingest")
    found, nulls = {}, {}
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
        counted = nulls_.count(table, definition.contracts[table.name], workspace.lake, raw[table.name])
        nulls[table.name] = [asdict(piece) for piece in counted]
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
        {"snapshots": found, "nulls": walk.keep(nulls)},
        rows_in=rows_in,
        rows_out=rows_out,
        bytes_in=walk.bytes_of(*raw.values()),
        bytes_out=bytes_out,
    )


def _history_inputs(walk: Walk) -> Any:
    shapes = [history.shape for history in walk.definition.histories]
    return [walk.output("clean"), shapes, _stamps(walk), history_.VERSION, leaks_.VERSION]


def _stamps(walk: Walk) -> Any:
    """When each table's rows happened and were known: leaks are looked for by it."""
    return [[table.name, table.event_time, table.known_at] for table in walk.definition.project.tables]


def history(walk: Walk) -> Outcome:
    """Compute what was known when, and prove that no row of it holds what was known later."""
    tables = walk.snapshots("clean")
    made = history_.make(walk.definition, walk.workspace.lake, tables)
    proof = leaks_.prove(
        walk.definition, walk.workspace.lake, tables, leaks_.of_histories(walk.definition, made)
    )
    for name, snapshot in made.items():
        walk.workspace.ledger.save_snapshot(snapshot, project=walk.definition.name)
        walk.tell(t("{name}: {rows:,} rows", name=name, rows=snapshot.rows))
    _tell_proof(walk, proof)
    rows = sum(snapshot.rows for snapshot in made.values())
    return Outcome(
        {
            "snapshots": {name: snapshot.id for name, snapshot in made.items()},
            "proof": {"cuts": list(proof.cuts), "rows": proof.rows},
        },
        rows_in=sum(snapshot.rows for snapshot in tables.values()),
        rows_out=rows,
        bytes_in=walk.bytes_of(*tables.values()),
        bytes_out=walk.bytes_of(*made.values()),
    )


def look_ups(walk: Walk) -> Outcome:
    """Bring the keyed files up to date: the newest row of each key, for whoever answers one by one."""
    made = materialise.materialise_all(
        walk.workspace,
        walk.definition.name,
        pack.histories(walk.definition),
        walk.snapshots("history"),
        walk.snapshots("clean"),
        report=walk.tell,
    )
    for one in made:
        walk.tell(
            t("{name}: {rows:,} keys, known until {newest}", name=one.name, rows=one.rows, newest=one.newest)
        )
    return Outcome(
        {"files": [[one.name, one.sha256] for one in made]},
        rows_in=sum(snapshot.rows for snapshot in walk.snapshots("history").values()),
        rows_out=sum(one.rows for one in made),
        bytes_out=sum(one.bytes for one in made),
    )


def _tell_proof(walk: Walk, proof: leaks_.Proof) -> None:
    text = t(
        "unchanged by what was known later, at {cuts} moments ({rows:,} rows compared)",
        cuts=len(proof.cuts),
        rows=proof.rows,
    )
    walk.tell(text)


def _examples_inputs(walk: Walk) -> Any:
    definition = walk.definition
    return [
        {table: snapshot.id for table, snapshot in walk.tables.items()},
        definition.request.to_json(),
        definition.plan.sql,
        definition.target_sql,
        repr(definition.project.split),
        definition.examples.sql,
        definition.examples.event_time,
        definition.project.target.known_at,
        _stamps(walk),
        examples_.VERSION,
        *([walk.window] if walk.window else []),
        *([list(walk.without)] if walk.without else []),
    ]


def examples(walk: Walk) -> Outcome:
    """Compute outcome, part, fold and features of every labelled row."""
    snapshots = walk.tables
    queries = leaks_.of_examples(walk.definition)
    if queries:
        _tell_proof(
            walk, leaks_.prove(walk.definition, walk.workspace.lake, walk.snapshots("clean"), queries)
        )
    snapshot = examples_.make(
        walk.definition, walk.workspace.lake, snapshots, window=walk.window, without=walk.without
    )
    walk.workspace.ledger.save_snapshot(snapshot, project=walk.definition.name)
    rows = snapshots[walk.definition.project.main_table.name].rows
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

    candidate = project.candidates[place]
    fit = train_.train(
        candidate,
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
    if isinstance(project.split, RepeatedStratifiedSplit):
        output["out_of_fold"] = _out_of_fold(walk, candidate, data, heldout.draws(walk, part))
    return Outcome(
        output,
        rows_in=len(part.target),
        rows_out=len(part.target),
        bytes_in=walk.bytes_of(walk.examples),
        bytes_out=sum(map(len, fit.blobs.values())),
    )


def _out_of_fold(walk: Walk, candidate: Candidate, data: train_.TrainingSet, folds: NDArray[np.int64]) -> str:
    """Make the candidate anew without each fold; gives the digest of its answers."""
    project = walk.definition.project

    def progress(done: int, total: int) -> None:
        walk.tell(t("out of fold: {done} of {total}", done=done, total=total))

    found = train_.out_of_fold(
        candidate, project.tuning, project.metric, data, folds, root=project.root, progress=progress
    )
    return walk.keep(found.to_json())


def _evaluate_inputs(walk: Walk) -> Any:
    fits = [walk.output(f"train:{c.name}") for c in walk.definition.project.candidates]
    labels = [walk.definition.project.target.positive, walk.definition.project.target.negative]
    gate = walk.definition.project.gate
    least = [gate.minimum_rows, gate.minimum_positives]
    pairs = [list(pair) for pair in walk.definition.project.monitor.pairs]
    beside = [least, pairs, profile.VERSION, evaluate_.VERSION]
    rule = repr(walk.definition.project.decision)
    met = [walk.standing.version, walk.standing.digest] if walk.standing else ""
    return [walk.output("examples"), fits, labels, rule, met, *beside]


def _package_inputs(walk: Walk) -> Any:
    """What a package holds beside what was evaluated."""
    definition = walk.definition
    rules = [repr(definition.project.decision), repr(definition.project.recommend), definition.naive_sql]
    return [walk.output("evaluate"), rules]


def _of_this_run(*names: str) -> Callable[[Walk], Any]:
    """What steps of the run wrote, and the run: another one does it anew, and so does this one when they changed."""
    return lambda walk: [walk.run.id, *(walk.output(name) for name in names)]


def inputs_digest(step: Planned, walk: Walk) -> str:
    """Digest of what a step's output depends on; of its run where it must look anew."""
    if step.inputs is None:
        return digests.of_json(["always", walk.run.id, step.name])
    return digests.of_json([step.name, step.inputs(walk)])
