"""The walk: from sources to a release, one step after the other."""

from __future__ import annotations

from relevo.lifecycle.batches import bind_newest, score_now
from relevo.lifecycle.found import Results, results
from relevo.lifecycle.references import Reference, reference
from relevo.lifecycle.releasing import rollback
from relevo.lifecycle.runner import Event, refresh, run
from relevo.lifecycle.stepping import end_run, run_step, sets_of
from relevo.lifecycle.steps import plan

__all__ = [
    "Event",
    "Reference",
    "Results",
    "bind_newest",
    "end_run",
    "plan",
    "reference",
    "refresh",
    "results",
    "rollback",
    "run",
    "run_step",
    "score_now",
    "sets_of",
]
