"""Monitor: look at every window that has ended and was not looked at, and record what it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from relevo import (
    budget,
    clock,
    collect,
    counted,
    lifecycle,
    spans,
    withheld,
)
from relevo import digest as digests
from relevo.bins import REQUESTS, SCORES
from relevo.errors import DataError
from relevo.findings import PAGE, WARN, Finding
from relevo.journal import LABELS, PREDICTIONS
from relevo.monitor import arrivals, baselines, labels_due, pieces, quality, requests, silence
from relevo.monitor.champion import ARRIVALS, BEFORE, FILES, SPENT, Watching
from relevo.monitor.look import look
from relevo.monitor.past import Past
from relevo.records import CHAMPION, Window, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relevo.definition import Definition
    from relevo.lifecycle import Event
    from relevo.lifecycle.walk import Walk
    from relevo.workspace import Workspace

UNREAD = "(unread)"


def monitor(
    definition: Definition,
    workspace: Workspace,
    *,
    sets: Mapping[str, str] | None = None,
    listen: Callable[[Event], None] | None = None,
) -> list[Window]:
    """Bring in what is new, and look at every window that has ended since; gives those that were looked at.

    Data that cannot be brought in, or compared with anything, is a finding of its own. Nothing happens while there is
    no champion. What services logged is collected first: what nobody collected would look as if nobody had asked.
    """
    watching = Watching.of(definition, workspace)
    if watching is None:
        return []
    found: list[Window] = []
    collect.collect_all(workspace)
    try:
        walk = lifecycle.refresh(definition, workspace, sets=sets, **({"listen": listen} if listen else {}))
        found += _files(watching, walk)
        for unit in _units(watching):
            found += _arrived(watching, walk, unit)
    except DataError as error:
        found.append(_unreadable(watching, error))
    for unit in definition.project.monitor.windows:
        found += _asked(watching, unit)
    found += _late(watching)
    found += _scored(watching)
    return found


def _units(watching: Watching) -> Sequence[str]:
    """Windows of rows that arrive: those of the monitor where rows have a time, else their batches."""
    timed = watching.definition.examples.event_time is not None
    return watching.definition.project.monitor.windows if timed else ("batch",)


def _unreadable(watching: Watching, error: DataError) -> Window:
    """What could not be brought in or compared, as a window without rows: one a day, while it goes on."""
    finding = Finding(
        kind="refusals", about="", severity=WARN, value=1.0, expected=0.0, facts={"problem": str(error)}
    )
    at = now()
    today = spans.span("day", watching.definition.project.monitor.timezone, clock.now()).name
    return watching.window(
        FILES,
        "batch",
        f"{UNREAD} {today}",
        began_at=at,
        ended_at=at,
        rows=0,
        inputs=digests.of_json([today, str(error)]),
        figures={"rows": 0, "problem": str(error)},
        findings=(finding.to_json(),),
    )


def _files(watching: Watching, walk: Walk) -> Iterator[Window]:
    """Look at each file or batch of the main table that came after those the champion was made from."""
    definition, lake = watching.definition, watching.workspace.lake
    table = definition.project.main_table
    nulls = walk.blob(walk.output("clean")["nulls"]).get(table.name, [])
    raw, clean = walk.snapshots("ingest")[table.name], walk.snapshots("clean")[table.name]
    every = pieces.of(table, lake, raw.files, clean.id, nulls)
    made_from = watching.workspace.ledger.snapshot(
        watching.package.manifest.data["raw"].get(table.name, ""), project=definition.name
    )
    files = made_from.files if made_from is not None else ()
    learned = {digest for _, digest in files}
    before = [
        piece
        for piece in pieces.of(table, lake, files, *watching.cleaned(table.name))
        if piece.digest in learned and piece.digest[: withheld.LENGTH] not in watching.without
    ]
    known = watching.known(FILES, "batch")
    new = [one for one in every if one.digest not in learned and known.get(one.name) != one.digest]
    purse = watching.purse(FILES)
    for place, piece in enumerate(new):
        share = purse.take(len(new) - place)
        findings, figures = pieces.judge(piece, before, share)
        own = piece.digest[: withheld.LENGTH]
        at = now()
        yield watching.window(
            FILES,
            "batch",
            piece.name,
            began_at=at,
            ended_at=at,
            rows=piece.counts.rows,
            inputs=piece.digest,
            figures={**figures, SPENT: share.window, "pieces": [own], "names": {own: piece.name}},
            findings=tuple(one.to_json() for one in findings),
        )


def _arrived(watching: Watching, walk: Walk, unit: str) -> Iterator[Window]:
    definition, workspace = watching.definition, watching.workspace
    wanted = definition.project.monitor
    reference = baselines.reference(workspace, watching.package, unit)
    histories = walk.snapshots("history") if definition.histories else {}
    units = _units(watching)
    purse = watching.purse(ARRIVALS)
    names = arrivals.batches(workspace.lake, definition)
    past = Past(watching, ARRIVALS, unit)
    awaited = silence.awaited(past.windows[:BEFORE], unit)
    for observed in arrivals.observe(
        definition,
        workspace.lake,
        watching.package,
        reference,
        unit,
        examples=walk.examples,
        learned=baselines.rows_learned_from(workspace, watching.package),
        clean=walk.snapshots("clean"),
        histories=histories,
        known=watching.known(ARRIVALS, unit),
        without=watching.without,
        awaited=awaited.astimezone(ZoneInfo(wanted.timezone)).replace(tzinfo=None) if awaited else None,
    ):
        began, ended = (_utc(time, wanted.timezone) for time in (observed.began, observed.ended))
        earlier = past.until(observed.name, began)
        if past.empty(observed.rows, observed.began, began, earlier):
            continue
        share = purse.take() if unit == "batch" else watching.risks(units, unit)
        looked = look(observed, reference, wanted, unit=unit, risks=share, before=earlier)
        quality.judge_rows(watching, observed, looked.add, share)
        if unit == "batch":
            looked.figures[SPENT] = share.window
        looked.figures["pieces"] = list(observed.pieces)
        looked.figures["names"] = {piece: names.get(piece, piece) for piece in observed.pieces}
        yield past.add(
            watching.looked(looked, observed, source=ARRIVALS, unit=unit, began_at=began, ended_at=ended)
        )


def _asked(watching: Watching, unit: str) -> Iterator[Window]:
    """Look at what the service answered with this version since it was released."""
    definition, workspace = watching.definition, watching.workspace
    wanted = definition.project.monitor
    release = workspace.ledger.standing(definition.name, CHAMPION)
    if release is None or not workspace.lake.exists(PREDICTIONS):
        return
    reference = baselines.reference(workspace, watching.package, unit)
    share = watching.risks(wanted.windows, unit)
    past = Past(watching, REQUESTS, unit)
    for asked in requests.observe(
        definition,
        workspace,
        watching.package,
        watching.version.version,
        reference,
        unit,
        since=datetime.fromisoformat(release.released_at),
        known=watching.known(REQUESTS, unit),
    ):
        began, ended = (
            moment.isoformat(timespec="microseconds") for moment in (asked.span.began_at, asked.span.ended_at)
        )
        observed = asked.observed
        earlier = past.until(observed.name, began)
        if past.empty(observed.rows, observed.began, began, earlier):
            if asked.silent:
                continue
            observed = replace(observed, whole=False)
        looked = look(observed, reference, wanted, unit=unit, risks=share, before=earlier)
        figures, skew = asked.skew()
        looked.add("skew", figures, [skew])
        for kind, count in (("refusals", asked.refused), ("failures", asked.failed)):
            looked.add(kind, count, [_more(kind, count, asked.rows, earlier[:BEFORE], share)])
        quality.judge(watching, asked.answered, looked.add, share)
        quality.estimate(watching, asked.answered, looked, unit, share, asked.recent)
        yield past.add(
            watching.looked(looked, observed, source=REQUESTS, unit=unit, began_at=began, ended_at=ended)
        )


def _scored(watching: Watching) -> Iterator[Window]:
    """Look at each period of the population that was scored with this version, as it was scored last."""
    definition, wanted = watching.definition, watching.definition.project.monitor
    if definition.population is None:
        return
    unit = "week" if "week" in wanted.windows else wanted.windows[0]
    reference = baselines.reference(watching.workspace, watching.package, unit)
    purse, known, past = (
        watching.purse(SCORES),
        watching.known(SCORES, "batch"),
        Past(watching, SCORES, "batch"),
    )
    every = counted.periods(
        watching.workspace.lake, definition.name, watching.version.version, bins=reference.bins
    )
    inputs = {period: digests.of_json([one.rows, one.counts.tolist()]) for period, one in every.items()}
    new = [period for period in every if known.get(period) != inputs[period] and len(every[period].counts)]
    for place, period in enumerate(new):
        one, identity, share = every[period], inputs[period], purse.take(len(new) - place)
        at = now()
        observed = arrivals.Observed(
            name=period,
            began=period[:19],
            ended="",
            rows=one.rows,
            counts=one.counts,
            errors=None,
            probability=np.zeros(0),
            target=np.zeros(0, bool),
            slices={},
            inputs=identity,
        )
        before = past.until(period, at)
        looked = look(observed, reference, wanted, unit=unit, risks=share, before=before)
        looked.figures[SPENT] = share.window
        yield past.add(
            watching.looked(looked, observed, source=SCORES, unit="batch", began_at=at, ended_at=at)
        )


def _more(
    kind: str, count: int | None, rows: int, before: Sequence[Window], share: budget.Risks
) -> Finding | None:
    """Whether more requests were refused, or failed, than in the windows before."""
    known = [(window.figures[kind], window.rows) for window in before if window.figures.get(kind) is not None]
    if count is None or not known:
        return None
    every = [(refused, refused + answered) for refused, answered in known]
    severity = WARN if kind == "refusals" else PAGE
    return pieces.rare(kind, "", (count, count + rows), every, share.of(kind), severity=severity)


def _late(watching: Watching) -> Iterator[Window]:
    """Look, once a day, whether the labels come that should have come by now."""
    definition, wanted = watching.definition, watching.definition.project.monitor
    today = spans.span("day", wanted.timezone, clock.now())
    if not watching.workspace.lake.exists(LABELS) or today.name in watching.known(LABELS, "day"):
        return
    due = labels_due.look(definition, watching.workspace.lake, now=today.began_at)
    if due is None:
        return
    share = watching.risks(("day",), "day")
    finding = due.finding(share.of("labels"), wanted.minimum_rows)
    yield watching.window(
        LABELS,
        "day",
        today.name,
        began_at=due.since.isoformat(timespec="microseconds"),
        ended_at=due.until.isoformat(timespec="microseconds"),
        rows=due.rows,
        inputs=digests.of_json([due.rows, due.labelled, today.name]),
        figures={"rows": due.rows, "labelled": due.labelled, "expected": due.expected},
        findings=(finding.to_json(),) if finding is not None else (),
    )


def _utc(local: str, zone: str) -> str:
    """A record's time of a local one; now where there is none."""
    if not local:
        return now()
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(clock.now().tzinfo).isoformat(timespec="microseconds")
