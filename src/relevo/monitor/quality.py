"""Quality: how good a window's answers were, as far as outcomes are known, and what they will be found to be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from relevo import durations, estimation, performance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relevo import budget
    from relevo.monitor.arrivals import Observed
    from relevo.monitor.champion import Watching
    from relevo.monitor.look import Looked


def judge_rows(watching: Watching, observed: Observed, add: Callable[..., None], share: budget.Risks) -> None:
    """Realised quality of rows that came with their outcomes."""
    answered = performance.Answered(
        probability=observed.probability,
        decision=observed.probability >= watching.package.threshold,
        outcome=observed.target.astype(np.float64),
        slices=observed.slices,
    )
    judge(watching, answered, add, share)


def judge(
    watching: Watching, answered: performance.Answered, add: Callable[..., None], share: budget.Risks
) -> None:
    """Realised quality, beside what the version reached on its held-out rows."""
    wanted, package = watching.definition.project.monitor, watching.package
    held = package.manifest.metrics["metrics"]
    add("reference", {"metrics": held})
    if answered.known.sum() < wanted.minimum_rows:
        return
    delay = durations.parse(wanted.label_delay) / timedelta(days=1)
    realised = performance.realised(answered, label_delay=delay, costs=wanted.cost or None)
    slices = realised.pop("slices", {})
    finding = None
    if realised["complete"]:  # early outcomes are seldom like the others
        finding = performance.loss(
            answered,
            held[wanted.metric],
            metric=wanted.metric,
            margin=wanted.loss,
            risk=share.of("loss"),
        )
    add("realised", realised, [finding])
    add("slices", slices)


def estimate(
    watching: Watching,
    answered: performance.Answered,
    looked: Looked,
    unit: str,
    share: budget.Risks,
    recent: Sequence[performance.Answered],
) -> None:
    """What the quality will be found to be, where outcomes are not complete, and whether that may be believed.

    ``recent`` are windows before whose outcomes are: early ones of this window would contradict for what they are.
    """
    wanted, realised = watching.definition.project.monitor, looked.figures.get("realised")
    if len(answered.outcome) < wanted.minimum_rows or (realised and realised["complete"]):
        return
    made = watching.recalibration(unit)
    unseen = {
        name: float(signal["unseen"])
        for name, signal in looked.figures.get("signals", {}).items()
        if signal["kind"] in ("text", "number")
    }
    sure, reasons = estimation.holds(answered.probability, made, unseen=unseen, realised=recent)
    found = estimation.estimate(answered.probability, answered.decision, made, costs=wanted.cost or None)
    finding = None
    if sure:
        finding = estimation.estimated_loss(
            found,
            watching.package.manifest.metrics["metrics"][wanted.metric],
            metric=wanted.metric,
            margin=wanted.loss,
            risk=share.of("estimated loss"),
        )
    looked.add("estimated", {**found.to_json(), "holds": sure, "reasons": reasons}, [finding])
