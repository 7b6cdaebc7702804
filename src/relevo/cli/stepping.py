"""``step`` and ``end``: a run that an orchestrator drives."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from relevo import lifecycle
from relevo.cli import mirror
from relevo.cli.output import REFUSED, document, say
from relevo.cli.progress import listener
from relevo.cli.running import sets_of
from relevo.definition import load
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Begun:
    """What a run is told when it begins."""

    sets: list[str]
    window: str
    because: str


def step(name: str, run_id: str, project: Path, begun: Begun, *, json: bool) -> None:
    """Do one step of a run; the steps after the first know the run's ``--set`` from the ledger.

    With ``json`` what the step says goes to standard error. Exit code 3 when the run ended with it because the gate
    refused the candidate.
    """
    sets = sets_of(begun.sets)
    definition = load(project, sets=sets)
    workspace = Workspace.open(project)
    began_with = lifecycle.sets_of(workspace, run_id)
    if began_with and not sets:
        sets = dict(began_with)
        definition = load(project, sets=sets)
    more = {"window": begun.window, "because": begun.because}
    with listener(to=sys.stderr if json else None) as listen:
        record = lifecycle.run_step(definition, workspace, name, run_id, sets=sets, listen=listen, **more)
    run = workspace.ledger.run(run_id)
    if run.status != "running":  # one sender for a run, not one for each step
        mirror.leave(project)
    ended = {"status": run.status, "version": run.version, "message": run.message}
    if json:
        document({**asdict(record), "ended": ended if run.status != "running" else None})
    elif run.message:
        say(run.message)
    if run.status == "refused":
        sys.exit(REFUSED)


def end(run_id: str, project: Path, why: str, *, failed: bool, json: bool) -> None:
    """End a run that nobody goes on with."""
    workspace = Workspace.open(project, create=False)
    run = lifecycle.end_run(workspace, run_id, failed=failed, why=why)
    mirror.leave(project)
    if json:
        document(asdict(run))
    else:
        say(f"{run.status}: {run.message}")
