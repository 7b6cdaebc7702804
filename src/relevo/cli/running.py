"""``run`` and ``check``."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from relevo import lifecycle
from relevo.cli import mirror
from relevo.cli.output import REFUSED, document, say
from relevo.cli.progress import listener
from relevo.definition import Definition, load, origins
from relevo.errors import Mistake, ProjectError
from relevo.texts import t
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Run


def sets_of(pairs: list[str]) -> dict[str, str]:
    """Read TABLE=PATH pairs; raises ``ProjectError`` with all that are none."""
    wrong = [pair for pair in pairs if not all(pair.partition("="))]
    if wrong:
        remedy = t("Write --set departures=path.csv.")
        raise ProjectError([Mistake("--set", pair, t("it is not TABLE=PATH."), remedy) for pair in wrong])
    named = (pair.split("=", 1) for pair in pairs)
    return {table: origins.given(place) for table, place in named}


def _budget(definition: Definition, trials: int | None, seconds: float | None) -> Definition:
    tuning = definition.project.tuning
    if trials is not None:
        tuning = replace(tuning, trials=trials)
    if seconds is not None:
        tuning = replace(tuning, seconds=seconds)
    return replace(definition, project=replace(definition.project, tuning=tuning))


def run(project: Path, pairs: list[str], trials: int | None, seconds: float | None, *, json: bool) -> None:
    """Run the lifecycle; exit code 3 when the gate refused the candidate."""
    sets = sets_of(pairs)
    definition = _budget(load(project, sets=sets), trials, seconds)
    workspace = Workspace.open(project)
    try:
        with listener(quiet=json) as listen:
            ended = lifecycle.run(definition, workspace, sets=sets, listen=listen)
    finally:
        mirror.leave(project)
    if json:
        document(_report(workspace, ended))
    else:
        _tell(workspace, ended)
        if hint := mirror.hint():
            say(hint)
    if ended.status == "refused":
        sys.exit(REFUSED)


def _report(workspace: Workspace, ended: Run) -> dict[str, object]:
    steps = [asdict(step) for step in workspace.ledger.steps(ended.id)]
    version = workspace.ledger.version(ended.project, ended.version) if ended.version else None
    return {**asdict(ended), "steps": steps, "model": asdict(version) if version else None}


def _tell(workspace: Workspace, ended: Run) -> None:
    version = workspace.ledger.version(ended.project, ended.version)
    if version is not None and ended.status == "refused":
        for reason in version.verdict.reasons:
            if not reason.passed:
                say(f"  ✗ {reason.text}")
    say(ended.message)


def check(project: Path, *, json: bool) -> None:
    """Load the project; the error lists every mistake."""
    definition = load(project)
    features = [f"{column.name} {column.type}" for column in definition.plan.features]
    if json:
        steps = [{"name": step.name, "needs": step.needs} for step in lifecycle.plan(definition)]
        cases = len(definition.cases)
        document({"project": definition.name, "features": features, "cases": cases, "steps": steps})
        return
    say(
        t(
            "{project}: no mistakes; {count} features: {features}",
            project=definition.name,
            count=len(features),
            features=", ".join(features),
        )
    )
