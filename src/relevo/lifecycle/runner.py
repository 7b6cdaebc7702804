"""Runs a plan: one process walks it whole. ``stepping`` does one step at a time, for an orchestrator.

A step's output is recorded last, so it can be killed and run again; a step whose inputs were done
before, in this run or an earlier one, is not done again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relevo import __version__, interrupts, resources, withheld
from relevo import digest as digests
from relevo import examples as examples_
from relevo.errors import RelevoError
from relevo.ids import uuid7
from relevo.lifecycle.batches import SCORE
from relevo.lifecycle.kept import tables
from relevo.lifecycle.steps import inputs_digest, plan
from relevo.lifecycle.walk import Walk
from relevo.records import Run, Step, now
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.definition import Definition
    from relevo.ledger import Ledger
    from relevo.lifecycle.steps import Planned
    from relevo.records import ModelVersion
    from relevo.workspace import Workspace

ENDED = ("released", "refused")
UNCHANGED_AFTER = "examples"
"""The step after which a run knows whether anything is new."""
_LOOKED_BACK = 50  # runs that ended


@dataclass(frozen=True)
class Event:
    """What a listener is told. ``state``: ``started``, ``said``, ``done``, ``reused`` or ``failed``."""

    step: str
    state: str
    text: str = ""
    place: int = 0
    total: int = 0
    record: Step | None = None


def silent(event: Event) -> None:
    """Tell nobody."""


def run(
    definition: Definition,
    workspace: Workspace,
    *,
    sets: Mapping[str, str] | None = None,
    window: str = "",
    because: str = "",
    listen: Callable[[Event], None] = silent,
) -> Run:
    """Walk the whole plan in this process and return the run as it ended.

    With a ``window`` (``180d``) only rows of that time before the newest are learned from and judged by. ``because``
    is the id of the decision that it follows from. Raises ``WorkspaceError`` when another run is under way; a step's
    own error ends the run as failed.
    """
    with workspace.lock():
        workspace.remember(definition.name)
        ledger = workspace.ledger
        _bury(ledger, definition.name)
        plan = {"sets": dict(sets or {}), "window": window, "because": because}
        walk = Walk(definition, workspace, start(definition, ledger, uuid7(), "process", plan))
        try:
            return _walk(walk, listen)
        except BaseException as error:
            message = str(error) if isinstance(error, RelevoError) else f"{type(error).__name__}: {error}"
            _finish_failed(ledger, walk.run.id, message)
            raise


def refresh(
    definition: Definition,
    workspace: Workspace,
    *,
    sets: Mapping[str, str] | None = None,
    listen: Callable[[Event], None] = silent,
) -> Walk:
    """Bring in what is new and compute the examples, as a run does, and nothing after that; gives what was done.

    The run is recorded as ``watched``; a run that follows on the same data does not do these steps again. Raises
    ``WorkspaceError`` when another run is under way; a step's own error ends the run as failed.
    """
    with workspace.lock():
        workspace.remember(definition.name)
        ledger = workspace.ledger
        _bury(ledger, definition.name)
        walk = Walk(
            definition,
            workspace,
            start(definition, ledger, uuid7(), "process", {"sets": dict(sets or {}), "without": []}),
        )
        steps = plan(definition)
        names = [step.name for step in steps]
        wanted = steps[: names.index(UNCHANGED_AFTER) + 1]
        try:
            for place, planned in enumerate(wanted, 1):
                perform(walk, planned, listen, place, len(wanted))
        except BaseException as error:
            message = str(error) if isinstance(error, RelevoError) else f"{type(error).__name__}: {error}"
            _finish_failed(ledger, walk.run.id, message)
            raise
        ledger.finish_run(walk.run.id, status="watched", message=t("Looked for what is new."))
        return walk


def _finish_failed(ledger: Ledger, run_id: str, message: str) -> None:
    try:
        ledger.finish_run(run_id, status="failed", message=message[:2000])
    except (
        RelevoError
    ) as error:  # a full disk ends the run and its record alike; the first error is the one to tell
        error.add_note(message)


def _walk(walk: Walk, listen: Callable[[Event], None]) -> Run:
    ledger = walk.workspace.ledger
    steps = plan(walk.definition)
    for place, planned in enumerate(steps, 1):
        perform(walk, planned, listen, place, len(steps))
        if planned.name == UNCHANGED_AFTER:
            before = same_before(walk)
            if before is not None:
                _rescore(walk, steps[-1], before, listen, len(steps))
                return unchanged(walk, before)
    return ledger.finish_run(walk.run.id, **ending(walk.outputs))


def _rescore(walk: Walk, last: Planned, before: Run, listen: Callable[[Event], None], total: int) -> None:
    """Score with another champion, if one was named by hand since; with the same there is nothing to do."""
    if last.name == SCORE:
        walk.outputs |= {
            s.name: s.output for s in walk.workspace.ledger.steps(before.id) if s.name == "release"
        }
        perform(walk, last, listen, total, total)


def unchanged(walk: Walk, before: Run) -> Run:
    """End a run that brought nothing new since ``before``."""
    text = (
        t("Nothing is new since run {run} released {version}.", run=before.id, version=before.version)
        if before.status == "released"
        else t(
            "Nothing is new since run {run}, in which the gate refused {version}.",
            run=before.id,
            version=before.version,
        )
    )
    return walk.workspace.ledger.finish_run(
        walk.run.id, status="unchanged", message=text, version=before.version
    )


def ending(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """How a run that did all its steps ended, by what ``judge``, ``register`` and ``release`` said."""
    version = str(outputs["register"]["version"])
    if outputs["release"]["released"]:
        status, text = "released", t("Version {version} is now champion.", version=version)
    elif outputs["judge"]["verdict"]["accepted"]:
        status, text = "released", t("Version {version} was champion already.", version=version)
    else:
        status, text = "refused", t("Version {version} was refused; nothing changes.", version=version)
    return {"status": status, "message": text, "version": version}


def subject(definition: Definition) -> str:
    """Digest of the definition and the software: two runs that share it differ by their data only."""
    return digests.of_json([definition.digest, __version__])


def start(definition: Definition, ledger: Ledger, run_id: str, driver: str, more: Mapping[str, Any]) -> Run:
    """Enter a new run in the ledger; ``driver`` says who walks it, ``process`` or ``steps``."""
    steps = [{"name": step.name, "needs": list(step.needs)} for step in plan(definition)]
    without = sorted(withheld.withheld(ledger, definition.name)) if "without" not in more else more["without"]
    record = Run(
        id=run_id,
        project=definition.name,
        status="running",
        started_at=now(),
        plan={
            "steps": steps,
            "definition": subject(definition),
            "driver": driver,
            **more,
            **({"without": without} if without else {}),
        },
    )
    ledger.start_run(record)
    return record


def _bury(ledger: Ledger, project: str) -> None:
    """End the records of runs whose process is gone; the lock says that none is alive."""
    for old in ledger.runs(project, limit=50):
        if old.status == "running" and old.plan.get("driver") == "process":
            ledger.finish_run(old.id, status="failed", message=t("Its process ended before the run did."))


def same_before(walk: Walk) -> Run | None:
    """The last run that ended, when it had the same definition, software and data; None when not.

    A run with a window is told by the same window only. One without is told by a run with a window too, if that
    released its version, or it would undo what a renewal did; one that was refused, without a window, it looks past.
    None also when the champion's package is damaged or the lake has lost its examples: then it is made anew.
    """
    ledger = walk.workspace.ledger
    champion = ledger.champion(walk.definition.name)
    if champion is not None and (walk.workspace.blobs.defect(champion.digest) or _lost(walk, champion)):
        return None
    last = ledger.runs(walk.definition.name, limit=_LOOKED_BACK, ended=ENDED)
    old = next((run for run in last if run.id != walk.run.id and (walk.window or not _in_vain(run))), None)
    if old is None or old.plan.get("definition") != walk.run.plan.get("definition"):
        return None
    window = walk.window or old.plan.get("window", "")
    examples = examples_.snapshot_id(walk.definition, walk.tables, window=window, without=walk.without)
    steps = [one for one in ledger.steps(old.id) if one.name == UNCHANGED_AFTER and one.status != "failed"]
    return old if steps and steps[-1].output["snapshot"] == examples else None


def _lost(walk: Walk, champion: ModelVersion) -> bool:
    """Whether the lake has no longer the examples that a version was made of."""
    made = [one for one in walk.workspace.ledger.steps(champion.run) if one.name == UNCHANGED_AFTER]
    return any(one.status != "failed" and not tables(walk, one.output) for one in made[-1:])


def _in_vain(run: Run) -> bool:
    """Whether a run learned from a window and was refused: nobody has learned from all of its rows yet."""
    return run.status == "refused" and bool(run.plan.get("window"))


def perform(walk: Walk, planned: Planned, listen: Callable[[Event], None], place: int, total: int) -> Step:
    """Do one step, or find that it was done; it is recorded last."""
    ledger, project = walk.workspace.ledger, walk.definition.name
    for need in planned.needs:
        walk.output(need)
    inputs = inputs_digest(planned, walk)
    step = Step(run=walk.run.id, name=planned.name, inputs=inputs, status="done", output={}, started_at=now())
    done = ledger.done(project, planned.name, inputs)
    if done is not None and all(holds(walk, done.output) for holds in planned.keeps):
        step = replace(step, status="reused", output=done.output)
        ledger.save_step(step)
        walk.outputs[planned.name] = done.output
        listen(Event(planned.name, "reused", "", place, total, step))
        return step
    listen(Event(planned.name, "started", "", place, total))
    walk.tell = lambda text: listen(Event(planned.name, "said", text, place, total))
    with resources.measure() as cost:
        try:
            with interrupts.heard():
                outcome = planned.perform(walk)
        except Exception as error:
            failed = replace(step, status="failed", error=str(error)[:2000])
            listen(Event(planned.name, "failed", str(error), place, total, failed))
            _save_failed(ledger, failed)
            raise
    step = replace(
        step,
        output=outcome.output,
        wall_seconds=cost.wall_seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_rss_bytes=cost.peak_rss_bytes,
        rows_in=outcome.rows_in,
        rows_out=outcome.rows_out,
        bytes_in=outcome.bytes_in,
        bytes_out=outcome.bytes_out,
    )
    ledger.save_step(step)
    walk.outputs[planned.name] = step.output
    listen(Event(planned.name, "done", "", place, total, step))
    return step


def _save_failed(ledger: Ledger, step: Step) -> None:
    try:
        ledger.save_step(step)
    except RelevoError as error:  # the step's own error is the one to tell
        error.add_note(step.error)
