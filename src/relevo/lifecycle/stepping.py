"""A run driven from outside: an orchestrator asks for one step at a time, each in a process of its own.

It begins with its first step, and ends with its last, or as ``unchanged`` with the examples. What cannot be seen from
here, that nobody goes on with it, ``end_run`` is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.errors import LedgerError
from relevo.lifecycle.runner import (
    UNCHANGED_AFTER,
    ending,
    perform,
    same_before,
    silent,
    start,
    subject,
    unchanged,
)
from relevo.lifecycle.steps import plan
from relevo.lifecycle.walk import Walk
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.definition import Definition
    from relevo.lifecycle.runner import Event
    from relevo.lifecycle.steps import Planned
    from relevo.records import Run, Step
    from relevo.workspace import Workspace

DRIVER = "steps"
_RELEASE = "release"
_LONGEST = 2000  # characters of a run's message


def run_step(
    definition: Definition,
    workspace: Workspace,
    name: str,
    run_id: str,
    *,
    sets: Mapping[str, str] | None = None,
    window: str = "",
    because: str = "",
    listen: Callable[[Event], None] = silent,
) -> Step:
    """Do one step of a run; the run begins with its first, to which ``sets``, ``window`` and ``because`` are told.

    A run that was given up goes on. Raises ``LedgerError`` when a step that it needs was not done, or the project
    changed meanwhile; ``WorkspaceError`` when a whole run, or the same step of any run, is under way.
    """
    planned, place, total = _find(definition, name)
    with workspace.lock_step(name):
        workspace.remember(definition.name)
        more = {"sets": dict(sets or {}), "window": window, "because": because}
        run = _resume(definition, workspace, run_id, more)
        walk = Walk(definition, workspace, run, _done(workspace, run))
        if run.status == "unchanged" and _RELEASE not in walk.outputs:  # it may still be scored
            walk.outputs[_RELEASE] = {"released": False, "version": run.version}
        record = perform(walk, planned, listen, place, total)
        if place == total:
            _close(walk)
        elif name == UNCHANGED_AFTER and run.status == "running":
            before = same_before(walk)
            if before is not None:
                unchanged(walk, before)
    return record


def end_run(workspace: Workspace, run_id: str, *, failed: bool = False, why: str = "") -> Run:
    """End a run that nobody goes on with: as failed, or as what it came to; one that has ended stays as it is.

    Raises ``LedgerError`` when there is no such run, or a process walks it.
    """
    ledger = workspace.ledger
    run = ledger.run(run_id)
    if run.status != "running":
        return run
    if run.plan.get("driver") != DRIVER:
        raise LedgerError(
            t(
                "Run {run} is walked by one process, which ends it. Stop that process; the next run tells its end.",
                run=run_id,
            )
        )
    if failed:
        message = " ".join([why or t("It was given up."), *_faults(workspace, run_id)])
        return ledger.finish_run(run_id, status="failed", message=message[:_LONGEST])
    outputs = _done(workspace, run)
    if _RELEASE in outputs:
        return ledger.finish_run(run_id, **ending(outputs))
    return ledger.finish_run(run_id, status="watched", message=why or t("Looked for what is new."))


def sets_of(workspace: Workspace, run_id: str) -> Mapping[str, str]:
    """The tables that a run reads from elsewhere, as it was told when it began; none when there is no such run."""
    found = workspace.ledger.find_run(run_id)
    return found.plan["sets"] if found else {}


def _find(definition: Definition, name: str) -> tuple[Planned, int, int]:
    steps = plan(definition)
    for place, planned in enumerate(steps, 1):
        if planned.name == name:
            return planned, place, len(steps)
    names = ", ".join(step.name for step in steps)
    raise LedgerError(t("There is no step “{name}”. The steps are: {names}.", name=name, names=names))


def _resume(definition: Definition, workspace: Workspace, run_id: str, more: Mapping[str, object]) -> Run:
    ledger = workspace.ledger
    found = ledger.find_run(run_id)
    if found is None:
        return start(definition, ledger, run_id, DRIVER, more)
    if found.project != definition.name:
        raise LedgerError(
            t(
                "Run {run} is of the project {project}. Give each run an id of its own.",
                run=run_id,
                project=found.project,
            )
        )
    if found.plan["definition"] != subject(definition):
        raise LedgerError(t("The project changed since run {run} began. Begin a new run.", run=run_id))
    return ledger.reopen_run(run_id) if found.status == "failed" else found


def _done(workspace: Workspace, run: Run) -> dict[str, Mapping[str, object]]:
    """What the run's steps wrote, but for those that rest on a step that has written something else since."""
    found: dict[str, Mapping[str, object]] = {}
    for step in workspace.ledger.steps(run.id):
        if step.status == "failed":
            continue
        if found.get(step.name, step.output) != step.output:
            for name in _behind(run, step.name):
                found.pop(name, None)
        found[step.name] = step.output
    return found


def _behind(run: Run, name: str) -> set[str]:
    """The steps of the run's plan that need a step, directly or not."""
    found = {name}
    for step in run.plan["steps"]:
        if found & set(step["needs"]):
            found.add(step["name"])
    return found - {name}


def _faults(workspace: Workspace, run_id: str) -> list[str]:
    """What the steps said that failed when they were tried last."""
    last = {step.name: step for step in workspace.ledger.steps(run_id)}
    return [f"{step.name}: {step.error}" for step in last.values() if step.status == "failed"]


def _close(walk: Walk) -> None:
    """End the run with its last step; one that was unchanged and is only scored has ended before."""
    if "register" in walk.outputs:
        walk.workspace.ledger.finish_run(walk.run.id, **ending(walk.outputs))
