"""The steps of the weekly loop: review what was scored before, and score the period that comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import batch
from relevo import digest as digests
from relevo import history as history_
from relevo import outcomes as outcomes_
from relevo import review as reviewing
from relevo import scores as scores_
from relevo.errors import DataError, LedgerError, RelevoError
from relevo.lifecycle.walk import Outcome, Walk
from relevo.package import ModelPackage
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from relevo.definition import Definition
    from relevo.listing import Listing
    from relevo.records import Snapshot
    from relevo.scores import Scores
    from relevo.workspace import Workspace

SCORE = "score"


def review_inputs(walk: Walk) -> Any:
    """What a review depends on: the outcomes, and the scores as they are now."""
    definition, lake = walk.definition, walk.workspace.lake
    scores = scores_.table_of(definition.name)
    return [
        walk.output("clean"),
        definition.outcomes.sql if definition.outcomes else None,
        repr(definition.project.population),
        definition.request.to_json(),
        lake.version(scores) if lake.exists(scores) else None,
        reviewing.VERSION,
    ]


def review(walk: Walk) -> Outcome:
    """Judge the former scores of each period whose outcomes have come."""
    definition, lake = walk.definition, walk.workspace.lake
    fresh = outcomes_.judge(definition, lake, walk.snapshots("clean"), tell=walk.tell)
    every = outcomes_.read(lake, definition.name)
    rows = sum(found["rows"] for found in every)
    return Outcome({"judged": fresh, "reviews": every}, rows_in=rows, rows_out=len(every))


def score_inputs(walk: Walk) -> Any:
    """What the scores depend on; another value when they were made before but others took their place."""
    inputs = _inputs(walk.definition, walk.workspace, walk.snapshots("clean"), _histories(walk))
    done = walk.workspace.ledger.done(walk.definition.name, SCORE, digests.of_json([SCORE, [inputs]]))
    replaced = (
        done is not None
        and not done.output["skipped"]
        and not scores_.holds(walk.workspace.lake, walk.definition.name, inputs)
    )
    return [inputs, walk.run.id] if replaced else [inputs]


def score(walk: Walk) -> Outcome:
    """Score the population with the champion in force; without one, or a row to score, say so."""
    definition, workspace = walk.definition, walk.workspace
    champion = workspace.ledger.champion(definition.name)
    if champion is None:
        walk.tell(t("There is no champion, so nothing is scored."))
        return Outcome({"skipped": True})
    clean, histories = walk.snapshots("clean"), _histories(walk)
    try:
        found = scores_.score_population(
            definition,
            workspace.lake,
            ModelPackage.load(workspace.blobs.folder(champion.digest)),
            version=champion.version,
            clean=clean,
            histories=histories,
            inputs=_inputs(definition, workspace, clean, histories),
        )
    except RelevoError as error:
        raise DataError(
            t(
                "The population was not scored: {problem} The champion {version} stays in force; correct it and"
                " type relevo run again.",
                problem=error,
                version=champion.version,
            )
        ) from error
    for line in told(found):
        walk.tell(line)
    return Outcome(
        {"skipped": False, **found.to_json()},
        rows_in=found.rows + found.refused,
        rows_out=found.rows,
        bytes_in=walk.bytes_of(*clean.values(), *histories.values()),
        bytes_out=workspace.lake.size(scores_.table_of(definition.name), found.lake_version),
    )


def _histories(walk: Walk) -> dict[str, Snapshot]:
    return walk.snapshots("history") if walk.definition.histories else {}


def _inputs(
    definition: Definition,
    workspace: Workspace,
    clean: Mapping[str, Snapshot],
    histories: Mapping[str, Snapshot],
) -> str:
    champion = workspace.ledger.champion(definition.name)
    return digests.of_json(
        [
            definition.population.sql if definition.population else None,
            definition.outcomes.sql if definition.outcomes else None,
            repr(definition.project.population),
            {name: snapshot.id for name, snapshot in clean.items()},
            {name: snapshot.id for name, snapshot in histories.items()},
            [champion.version, champion.digest] if champion else None,
            scores_.VERSION,
        ]
    )


def score_now(
    definition: Definition, workspace: Workspace, *, version: str = "", listing: Listing | None = None
) -> Scores:
    """Score the population of the newest data that a run cleaned, with the champion or another version.

    Raises ``LedgerError`` when there is no such version or no run yet, and as ``score_population`` does.
    """
    ledger, name = workspace.ledger, definition.name
    found = ledger.version(name, version) if version else ledger.champion(name)
    if found is None:
        problem = (
            t("There is no version {version}.", version=version)
            if version
            else t("Nothing was released yet.")
        )
        raise LedgerError(problem + " " + t("See `relevo versions`; `relevo run` makes one."))
    clean, histories = _newest(workspace, definition)
    return scores_.score_population(
        definition,
        workspace.lake,
        ModelPackage.load(workspace.blobs.folder(found.digest)),
        version=found.version,
        clean=clean,
        histories=histories,
        listing=listing,
    )


def bind_newest(
    connection: DuckDBPyConnection, workspace: Workspace, definition: Definition, package: ModelPackage
) -> None:
    """Make what a package looks up, as of any time, from the newest data that a run cleaned."""
    clean, histories = _newest(workspace, definition)
    for name, snapshot in clean.items():
        workspace.lake.bind(connection, snapshot.table, as_=name, version=snapshot.version)
    batch.bind_histories(connection, package, definition, workspace.lake, histories)


def _newest(workspace: Workspace, definition: Definition) -> tuple[dict[str, Snapshot], dict[str, Snapshot]]:
    """The clean tables and the histories of the newest run that has both, so that they belong together."""
    tables = {table.name for table in definition.project.tables}
    for run in workspace.ledger.runs(definition.name):
        outputs = {s.name: s.output for s in workspace.ledger.steps(run.id) if s.status != "failed"}
        walk = Walk(definition, workspace, run, outputs)
        if "clean" in outputs and tables <= set(outputs["clean"]["snapshots"]):
            if not definition.histories:
                return walk.snapshots("clean"), {}
            if "history" in outputs:
                clean, made = walk.snapshots("clean"), walk.snapshots("history")
                # A history whose query was edited since the run is none that the lake holds.
                held = {
                    history.name: made[history.name]
                    for history in definition.histories
                    if history.name in made and made[history.name].id == history_.snapshot_id(history, clean)
                }
                return clean, held
    raise LedgerError(t("No run has cleaned the tables yet. Type: relevo run"))


def told(found: Scores) -> list[str]:
    """What was scored, in lines."""
    lines = [
        t(
            "{period}: {positive:,} of {rows:,} pairs positive by {rule}, version {version}",
            period=found.period,
            positive=found.positive,
            rows=found.rows,
            rule=found.rule,
            version=found.version,
        ),
        t(
            "threshold {fixed:.4f} (fixed): {fixed_rows:,} positive, expected F1 {fixed_f1:.3f};"
            " {best:.4f} (expected F1): {best_rows:,} positive, expected F1 {best_f1:.3f}",
            fixed=found.fixed.threshold,
            fixed_rows=found.fixed.positive,
            fixed_f1=found.fixed.expected_f1,
            best=found.expected.threshold,
            best_rows=found.expected.positive,
            best_f1=found.expected.expected_f1,
        ),
    ]
    if found.refused:
        lines.append(
            t(
                "{refused:,} rows refused: {reasons}",
                refused=found.refused,
                reasons=scores_.told(found.reasons),
            )
        )
    if found.hindsight:
        lines.append(t("outcomes of {period} were known already", period=found.period))
    return lines
