"""Requests: what the service answered, window by window, with the labels that have come so far.

Features are computed again from the logged requests, of a sample where there are many: that gives the counts and the
reconstruction errors, and shows whether an answer comes out as it was given then (training and serving agree).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import clock, counted, durations, estimation, labelled, lifecycle, performance, replay
from relevo import digest as digests
from relevo.findings import WARN, Finding
from relevo.journal import PREDICTIONS
from relevo.lake import explained
from relevo.monitor.arrivals import Observed, nothing
from relevo.performance import Answered
from relevo.spans import span as span_of
from relevo.spans import spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.counted import Counted
    from relevo.definition import Definition
    from relevo.monitor.baselines import Reference
    from relevo.package import ModelPackage
    from relevo.spans import Span
    from relevo.workspace import Workspace

SAMPLE = 20_000
"""Predictions of a window that are computed again."""
DIFFERS = 1e-6
"""By how much a probability must come out otherwise to be another."""
SKEWED = 0.02
"""The share of predictions that must come out otherwise to be told."""
WHOLE = 0.95
"""The share of the predictions that live counts must hold; a process that was killed loses some."""
BACK = timedelta(days=35)
"""For so long beyond the delay of labels are windows looked at again."""
SETTLED = timedelta(minutes=5)
"""So long after a window's end the last of its answers is in the lake: segments end with each quarter."""
AWAITED = timedelta(hours=1)
"""So long after an hour's end it is put off while answers that were counted are not in the lake."""
NOTHING = Answered.of([], [], [])


@dataclass(frozen=True)
class Asked:
    """A window of requests: what was observed, with all answers and their labels, and how many came out otherwise."""

    span: Span
    observed: Observed
    answered: Answered
    again: int
    differs: int
    refused: int | None = None
    """Requests that broke the contract, and that had no answer; None where nobody counted."""
    failed: int | None = None
    counted: int = 0
    """Answers by the live counts; they may be in the lake or not."""
    recent: Sequence[Answered] = ()
    """The windows just before it whose outcomes are complete, as far as they are known."""

    @property
    def silent(self) -> bool:
        """Whether nothing was asked, as far as is known."""
        return not (self.observed.rows or self.refused or self.failed)

    @property
    def rows(self) -> int:
        """How many requests were answered, as far as is known."""
        return max(self.observed.rows, self.counted)

    def skew(self) -> tuple[dict[str, Any] | None, Finding | None]:
        """The share of answers that come out otherwise, and what is told of it."""
        if not self.again:
            return None, None
        share = self.differs / self.again
        figures = {"rows": self.again, "share": share}
        if share < SKEWED:
            return figures, None
        told = Finding(kind="skew", about="", severity=WARN, value=share, expected=0.0, rows=self.again)
        return figures, told


def observe(
    definition: Definition,
    workspace: Workspace,
    package: ModelPackage,
    version: str,
    reference: Reference,
    unit: str,
    *,
    since: datetime,
    known: Mapping[str, str],
) -> Iterator[Asked]:
    """Give the windows of a unit since a moment that have ended; not those whose digest is in ``known``, by name.

    The one that the moment lies in is cut by it. How far back is looked moves with the clock, and cuts none. Windows
    in which nothing was answered are given too, but for those in which live counts say that something was. One of
    which the lake lacks answers is not whole; an hour is put off first.
    """
    lake, wanted = workspace.lake, definition.project.monitor
    if not lake.exists(PREDICTIONS):
        return
    now = clock.now()
    delay = durations.parse(wanted.label_delay)
    oldest = max(since, _whole(unit, wanted.timezone, now - delay - BACK))
    first = oldest.replace(minute=0, second=0, microsecond=0)
    hours = counted.read(lake, definition.name, version, first, now, bins=reference.bins).hours
    live = counted.windows(hours, unit, wanted.timezone)
    told = labelled.windows(
        lake,
        definition.name,
        package.request,
        version=version,
        since=oldest,
        until=now,
        unit=unit,
        timezone=wanted.timezone,
        slices=list(wanted.slices),
    )
    with explained(lake.root), lake.connect() as connection:
        bound, recent = False, deque[Answered](maxlen=estimation.RECENT)
        for span, answered in _every(told, unit, wanted.timezone, oldest, now):
            if _realised(answered, delay) and answered.known.sum() >= wanted.minimum_rows:
                recent.append(replace(answered, slices={}))
            counts = live.get(span)
            identity = _identity(answered, delay, counts)
            if known.get(span.name) == identity:
                continue
            late = unit == "hour" and now < span.ended_at + AWAITED  # hours alone are looked at so soon again
            if late and _lacks(span, len(answered.outcome), counts):
                continue
            if not len(answered.outcome):
                if _unanswered(span, counts, since, now):
                    observed = nothing(reference, span.name, span.name, span.ended_at.isoformat(), identity)
                    observed = replace(observed, whole=span.began_at >= since)
                    yield _with(Asked(span, observed, answered, 0, 0), counts)
                continue
            if not bound:  # once for all windows, and not at all when none is new
                _bind(connection, definition, workspace, package)
                bound = True
            asked = _one(connection, definition, package, version, reference, span, answered, identity)
            if span.began_at < since:
                asked = replace(asked, observed=replace(asked.observed, whole=False))
            yield _with(replace(asked, recent=tuple(recent)), counts)


def _every(
    told: Iterator[tuple[Span, Answered]], unit: str, timezone: str, since: datetime, now: datetime
) -> Iterator[tuple[Span, Answered]]:
    """The windows that have ended, with what was answered in them, if anything was."""
    found = next(told, None)
    for one in spans(unit, timezone, since, now):
        answered = NOTHING
        if found is not None and found[0] == one:
            answered, found = found[1], next(told, None)
        if one.ended_at <= now:
            yield one, answered


def _unanswered(span: Span, counts: Counted | None, since: datetime, now: datetime) -> bool:
    """Whether it is certain that nothing was answered in a whole window, or in one in which something was asked."""
    if counts is not None and (counts.rows or counts.refused or counts.failed):
        return not counts.rows
    return since <= span.began_at and span.ended_at + SETTLED <= now


def _lacks(span: Span, rows: int, counts: Counted | None) -> bool:
    """Whether more was answered than the lake has; not known of a span that is not made of the hours of counts."""
    aligned = not (span.began_at.minute or span.ended_at.minute)
    return aligned and counts is not None and rows < WHOLE * counts.rows


def _whole(unit: str, timezone: str, moment: datetime) -> datetime:
    """When the first span begins that no part of lies before a moment."""
    found = span_of(unit, timezone, moment)
    return moment if found.began_at == moment else found.ended_at


def _bind(
    connection: DuckDBPyConnection, definition: Definition, workspace: Workspace, package: ModelPackage
) -> None:
    """Have the predictions, and the histories that the package looks up, on a connection."""
    if package.histories:
        lifecycle.bind_newest(connection, workspace, definition, package)
    workspace.lake.bind(connection, PREDICTIONS, as_="_predictions")


def _with(asked: Asked, live: Counted | None) -> Asked:
    """Take the live counts in place of those of a sample, where they are of all predictions or nearly so."""
    if live is None:
        return asked
    whole = live.rows >= WHOLE * asked.observed.rows and len(live.counts) == len(asked.observed.counts)
    observed = replace(asked.observed, counts=live.counts) if whole else asked.observed
    if _lacks(asked.span, observed.rows, live):
        observed = replace(observed, whole=False)
    return replace(asked, observed=observed, refused=live.refused, failed=live.failed, counted=live.rows)


def _identity(answered: Answered, delay: timedelta, counts: Counted | None) -> str:
    """Digest of what a window is made of: its answers, and the outcomes that are known, and whether they are all.

    A window whose last outcomes never come becomes complete by its age alone, and is judged then. One without answers
    is made of what was counted.
    """
    if not len(answered.outcome):
        return digests.of_json([0, counts.refused, counts.failed] if counts is not None else [0, 0, 0])
    known = answered.known
    content = [
        len(known),
        float(answered.probability.sum()),
        int(known.sum()),
        float(answered.outcome[known].sum()),
        _realised(answered, delay),
    ]
    return digests.of_json(content)


def _realised(answered: Answered, delay: timedelta) -> bool:
    """Whether outcomes are known, and hardly one can come any more."""
    return bool(answered.known.any()) and performance.complete(answered, delay / timedelta(days=1))


def _one(
    connection: DuckDBPyConnection,
    definition: Definition,
    package: ModelPackage,
    version: str,
    reference: Reference,
    span: Span,
    answered: Answered,
    identity: str,
) -> Asked:
    bins, made = reference.bins, reference.reconstruction
    counts, refused = np.zeros(bins.size, np.int64), 0
    errors = np.zeros(3) if made is not None else None
    again = differs = 0

    def refuse(_: str, count: int) -> None:
        nonlocal refused
        refused += count

    rows = connection.cursor().execute(
        """select id, "at", version, probability, decision, request from _predictions
        where project = ? and version = ? and "at" >= ? and "at" < ? order by hash(id) limit ?""",
        [definition.name, version, _naive(span.began_at), _naive(span.ended_at), SAMPLE],
    )
    while part := rows.fetchmany(replay.CHUNK):
        found = replay.asked_again(connection, package, [replay.Logged._make(row) for row in part], refuse)
        counts += bins.rows(found.rows, found.probability.tolist())
        if made is not None and errors is not None and found.rows:
            errors += made.errors(package.matrix(found.rows))
        before = np.array([one.probability for one in found.logged])
        again += len(before)
        differs += int((np.abs(before - found.probability) > DIFFERS).sum())
    observed = Observed(
        name=span.name,
        began=span.name,
        ended=span.ended_at.isoformat(),
        rows=len(answered.outcome),
        counts=counts,
        errors=errors,
        probability=answered.probability,
        target=_outcomes(answered),
        slices={name: list(values) for name, values in answered.slices.items()},
        inputs=identity,
    )
    return Asked(span, observed, answered, again + refused, differs + refused)


def _outcomes(answered: Answered) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = answered.outcome > 0
    return found


def _naive(moment: datetime) -> datetime:
    """As the lake has it: UTC without a zone."""
    return moment.replace(tzinfo=None)
