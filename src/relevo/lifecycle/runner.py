"""Runs a plan: one process walks it whole, or an orchestrator asks for one step at a time.

A step's output is recorded last, so it can be killed and run again; a step whose inputs were done
before, in this run or an earlier one, is not done again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relevo import __version__, resources
from relevo import digest as digests
from relevo.errors import LedgerError, RelevoError
from relevo.ids import uuid7
from relevo.lifecycle.batches import SCORE
from relevo.lifecycle.steps import inputs_digest, plan
from relevo.lifecycle.walk import Walk
from relevo.records import Run, Step, now
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.definition import Definition
    from relevo.ledger import Ledger
    from relevo.lifecycle.steps import Planned
    from relevo.workspace import Workspace

ENDED = ("released", "refused")
UNCHANGED_AFTER = "examples"
"""The step after which a run knows whether anything is new."""


@dataclass(frozen=True)
class Event:
    """What a listener is told. ``state``: ``started``, ``said``, ``done``, ``reused`` or ``failed``."""

    step: str
    state: str
    text: str = ""
    place: int = 0
    total: int = 0
    record: Step | None = None


def _silent(event: Event) -> None:
    """Tell nobody."""


def run(
    definition: Definition,
    workspace: Workspace,
    *,
    sets: Mapping[str, str] | None = None,
    listen: Callable[[Event], None] = _silent,
) -> Run:
    """Walk the whole plan in this process and return the run as it ended.

    Raises ``WorkspaceError`` when another run is under way; a step's own error ends the run as failed.
    """
    with workspace.lock():
        workspace.remember(definition.name)
        ledger = workspace.ledger
        _bury(ledger, definition.name)
        walk = Walk(definition, workspace, _start(definition, ledger, uuid7(), "process", sets or {}))
        try:
            return _walk(walk, listen)
        except BaseException as error:
            message = str(error) if isinstance(error, RelevoError) else f"{type(error).__name__}: {error}"
            _finish_failed(ledger, walk.run.id, message)
            raise


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
        _perform(walk, planned, listen, place, len(steps))
        if planned.name == UNCHANGED_AFTER:
            before = _same_before(walk)
            if before is not None:
                _rescore(walk, steps[-1], before, listen, len(steps))
                return _unchanged(walk, before)
    return ledger.finish_run(walk.run.id, **_ending(walk))


def _rescore(walk: Walk, last: Planned, before: Run, listen: Callable[[Event], None], total: int) -> None:
    """Score with another champion, if one was named by hand since; with the same there is nothing to do."""
    if last.name == SCORE:
        walk.outputs |= {
            s.name: s.output for s in walk.workspace.ledger.steps(before.id) if s.name == "release"
        }
        _perform(walk, last, listen, total, total)


def _unchanged(walk: Walk, before: Run) -> Run:
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


def _ending(walk: Walk) -> dict[str, str]:
    """How a run that did all its steps ended, by what ``judge``, ``register`` and ``release`` said."""
    version = str(walk.output("register")["version"])
    if walk.output("release")["released"]:
        status, text = "released", t("Version {version} is now champion.", version=version)
    elif walk.output("judge")["verdict"]["accepted"]:
        status, text = "released", t("Version {version} was champion already.", version=version)
    else:
        status, text = "refused", t("Version {version} was refused; nothing changes.", version=version)
    return {"status": status, "message": text, "version": version}


def run_step(
    definition: Definition,
    workspace: Workspace,
    name: str,
    run_id: str,
    *,
    sets: Mapping[str, str] | None = None,
    listen: Callable[[Event], None] = _silent,
) -> Step:
    """Do one step of a run driven from outside; the run begins with its first step.

    Raises ``LedgerError`` when a step that it needs was not done, or the project changed meanwhile.
    """
    workspace.remember(definition.name)
    ledger = workspace.ledger
    steps = plan(definition)
    planned = next((step for step in steps if step.name == name), None)
    if planned is None:
        names = ", ".join(step.name for step in steps)
        raise LedgerError(t("There is no step “{name}”. The steps are: {names}.", name=name, names=names))
    walk = Walk(definition, workspace, _resume(definition, ledger, run_id, sets or {}))
    walk.outputs = {step.name: step.output for step in ledger.steps(run_id) if step.status != "failed"}
    place = steps.index(planned) + 1
    record = _perform(walk, planned, listen, place, len(steps))
    if planned is steps[-1]:
        ledger.finish_run(run_id, **_ending(walk))
    return record


def sets_of(workspace: Workspace, run_id: str) -> Mapping[str, str]:
    """The tables that a run reads from elsewhere, as it was told when it began; none when there is no such run."""
    found = workspace.ledger.find_run(run_id)
    return found.plan["sets"] if found else {}


def subject(definition: Definition) -> str:
    """Digest of the definition and the software: two runs that share it differ by their data only."""
    return digests.of_json([definition.digest, __version__])


def _start(definition: Definition, ledger: Ledger, run_id: str, driver: str, sets: Mapping[str, str]) -> Run:
    steps = [{"name": step.name, "needs": list(step.needs)} for step in plan(definition)]
    record = Run(
        id=run_id,
        project=definition.name,
        status="running",
        started_at=now(),
        plan={"steps": steps, "definition": subject(definition), "driver": driver, "sets": dict(sets)},
    )
    ledger.start_run(record)
    return record


def _resume(definition: Definition, ledger: Ledger, run_id: str, sets: Mapping[str, str]) -> Run:
    found = ledger.find_run(run_id)
    if found is None:
        return _start(definition, ledger, run_id, "steps", sets)
    if found.plan["definition"] != subject(definition):
        raise LedgerError(t("The project changed since run {run} began. Begin a new run.", run=run_id))
    return found


def _bury(ledger: Ledger, project: str) -> None:
    """End the records of runs whose process is gone; the lock says that none is alive."""
    for old in ledger.runs(project, limit=50):
        if old.status == "running" and old.plan.get("driver") == "process":
            ledger.finish_run(old.id, status="failed", message=t("Its process ended before the run did."))


def _same_before(walk: Walk) -> Run | None:
    ledger = walk.workspace.ledger
    for old in ledger.runs(walk.definition.name, limit=50):
        if old.status in ENDED and old.id != walk.run.id:
            same = old.plan["definition"] == walk.run.plan["definition"]
            output = next((s.output for s in ledger.steps(old.id) if s.name == UNCHANGED_AFTER), None)
            return old if same and output == walk.output(UNCHANGED_AFTER) else None
    return None


def _perform(walk: Walk, planned: Planned, listen: Callable[[Event], None], place: int, total: int) -> Step:
    ledger, project = walk.workspace.ledger, walk.definition.name
    for need in planned.needs:
        walk.output(need)
    inputs = inputs_digest(planned, walk)
    step = Step(run=walk.run.id, name=planned.name, inputs=inputs, status="done", output={}, started_at=now())
    done = ledger.done(project, planned.name, inputs)
    if done is not None:
        step = replace(step, status="reused", output=done.output)
        ledger.save_step(step)
        walk.outputs[planned.name] = done.output
        listen(Event(planned.name, "reused", "", place, total, step))
        return step
    listen(Event(planned.name, "started", "", place, total))
    walk.tell = lambda text: listen(Event(planned.name, "said", text, place, total))
    with resources.measure() as cost:
        try:
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
