"""Labels due: of the predictions whose outcome should be known by now, how many have one; and how many used to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from relevo import durations, labels
from relevo.findings import PAGE, Finding
from relevo.journal import PREDICTIONS
from relevo.lake import explained

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.lake import Lake

LATELY, BEFORE = timedelta(days=7), timedelta(days=35)
"""How long predictions have been due that are looked at, and those that say how many labels usually come."""
HALF = 0.5
"""Of the usual share, below which labels are said not to come."""


@dataclass(frozen=True)
class Due:
    """The predictions from ``since`` until ``until``, all due: how many have a label, and the share that used to."""

    since: datetime
    until: datetime
    rows: int
    labelled: int
    expected: float

    def finding(self, risk: float, least: int) -> Finding | None:
        """What is told: that at most half as many came as usual, which chance would do with less than ``risk``."""
        from scipy.special import bdtr

        if self.rows < least or self.labelled > HALF * self.expected * self.rows:
            return None
        p = float(bdtr(self.labelled, self.rows, self.expected))
        if p > risk:
            return None
        return Finding(
            kind="labels",
            about="",
            severity=PAGE,
            value=self.labelled / self.rows,
            expected=self.expected,
            rows=self.rows,
            p=p,
        )


def look(definition: Definition, lake: Lake, *, now: datetime) -> Due | None:
    """Count the labels of what has been due for a week, and before; None while nothing says what is usual."""
    until = now - durations.parse(definition.project.monitor.label_delay)
    since, first = until - LATELY, until - BEFORE
    ends = {"since": since, "first": first, "until": until}
    with explained(lake.root), lake.connect() as connection:
        if not lake.exists(PREDICTIONS):
            return None
        labels.current(connection, lake, definition.name, definition.request).create_view("told")
        lake.bind(connection, PREDICTIONS, as_="_all")
        found = connection.execute(
            """select p."at" >= $since as lately, count(*), count(t.id) from _all p left join told t using (id)
            where p.project = $project and p."at" >= $first and p."at" < $until group by 1""",
            {"project": definition.name} | {name: time.replace(tzinfo=None) for name, time in ends.items()},
        ).fetchall()
    counted = {bool(lately): (int(rows), int(labelled)) for lately, rows, labelled in found}
    rows, labelled = counted.get(True, (0, 0))
    before, known = counted.get(False, (0, 0))
    if not rows or not known:
        return None
    return Due(since, until, rows, labelled, known / before)
