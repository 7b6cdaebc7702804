"""The runs that were decided on and have still to end.

There is one at a time: while it waits, no other is decided on. It is tried again when it failed, and gone on with when
it was killed; it is no longer begun when its reason is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo.records import CHAMPION
from relevo.renewal.decide import RETRAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.ledger import Ledger
    from relevo.records import Decision, Run

TRIES, BEGUN = 3, 20
"""Of a run that was decided on: how often it may fail, and how often it is begun in all."""
ENDED = ("released", "refused", "unchanged")
_SEVERAL = 10_000


@dataclass(frozen=True)
class Waiting:
    """A run that was decided on and has still to end: the id it has or is to have, and what it is to be told."""

    run: str
    decision: str
    window: str


def pending(ledger: Ledger, project: str) -> list[Decision]:
    """The decisions whose run has still to end, the oldest first."""
    decisions = reversed(ledger.watch.decisions(project, limit=_SEVERAL))
    every = ledger.led_to(project)
    return [one for one in decisions if one.action == RETRAIN and _waits(ledger, one, every)]


def waits(ledger: Ledger, decision: Decision) -> bool:
    """Whether a run that was decided on has still to end.

    One whose steps failed ``TRIES`` times is given up, and one begun ``BEGUN`` times: being killed is no failure.
    None is begun about a version that is the champion no longer, or after a run that another decision led to.
    """
    return _waits(ledger, decision, ledger.led_to(decision.project))


def _waits(ledger: Ledger, decision: Decision, every: Sequence[Run]) -> bool:
    runs = [run for run in every if run.plan["because"] == decision.id]
    if any(run.status in ENDED for run in runs) or len(runs) >= BEGUN:
        return False
    failed = [run for run in runs if any(step.status == "failed" for step in ledger.steps(run.id))]
    return len(failed) < TRIES and not _is_superseded(ledger, decision, runs, every)


def _is_superseded(ledger: Ledger, decision: Decision, runs: Sequence[Run], every: Sequence[Run]) -> bool:
    """Whether the reason for a run is gone; ``runs`` are those begun for it, ``every`` those of all decisions."""
    standing = ledger.standing(decision.project, CHAMPION)
    if standing is None:
        return True
    own = {f"run {run.id}" for run in runs}
    made = [one.number for one in ledger.releases(decision.project, CHAMPION) if one.who in own]
    if made:  # it was killed after it had moved the alias: it ends, unless the alias has moved again
        return standing.number != made[-1]
    since = [run for run in every if run.status in ENDED and run.finished_at > decision.at]
    return standing.version != decision.version or bool(since)


def waiting_runs(ledger: Ledger, project: str) -> list[Waiting]:
    """The runs that were decided on and have still to end, the oldest decision first.

    An id stays the same until its run has failed, so whoever is told twice goes on with one run.
    """
    every = ledger.led_to(project)
    found = []
    for decision in pending(ledger, project):
        failed = [run for run in every if run.plan["because"] == decision.id and run.status == "failed"]
        window = str(decision.evidence.get("window", ""))
        found.append(Waiting(f"{decision.id}-{len(failed) + 1}", decision.id, window))
    return found
