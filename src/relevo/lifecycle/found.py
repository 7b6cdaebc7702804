"""What a run found, for scripts and reports: its verdict and every model's figures beside each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.records import Run
    from relevo.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Results:
    """``models`` has, by name, each metric's ``value``, ``low`` and ``high`` (95 %): the candidate and the baselines.

    ``chosen`` is the candidate's name among them, ``rows`` how many rows judged, ``failed`` what the gate
    did not let pass, ``seconds`` the sum over the run's own steps. Over ``repeats`` of cross-validation,
    ``spread`` has each metric's ``fold_mean`` and the deviations ``folds`` and ``repeats``.
    """

    status: str
    version: str
    chosen: str
    rows: int
    positives: int
    models: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    failed: tuple[str, ...]
    seconds: float
    repeats: int
    spread: Mapping[str, Mapping[str, float | None]]

    def value(self, metric: str, model: str = "") -> float:
        """One figure of a model, the chosen one by default; NaN where it is undefined."""
        found = self.models[model or self.chosen][metric]["value"]
        return float("nan") if found is None else found


def results(workspace: Workspace, run: Run) -> Results:
    """Read what a run that reached its verdict found; an unchanged run answers for the one before.

    Raises ``KeyError`` when the run stopped before it was judged.
    """
    ledger = workspace.ledger
    steps = {step.name: step for step in ledger.steps(run.id) if step.status != "failed"}
    if run.status == "unchanged":
        judged = ledger.runs(run.project, ended=("released", "refused"))
        before = next(old for old in judged if old.version == run.version)
        steps = {step.name: step for step in ledger.steps(before.id) if step.status != "failed"}
    record: dict[str, Any] = json.loads(workspace.blobs.get(str(steps["evaluate"].output["blob"])))
    chosen = f"Relevo ({record['candidate']})"
    models = {chosen: record["evaluation"], **record["baselines"]}
    reasons = steps["judge"].output["verdict"]["reasons"]
    return Results(
        status=run.status,
        version=run.version,
        chosen=chosen,
        rows=record["evaluation"]["rows"],
        positives=record["evaluation"]["positives"],
        models={name: found["metrics"] for name, found in models.items()},
        failed=tuple(reason["text"] for reason in reasons if not reason["passed"]),
        seconds=sum(step.wall_seconds for step in steps.values()),
        repeats=record["evaluation"]["repeats"],
        spread=record["evaluation"]["spread"],
    )
