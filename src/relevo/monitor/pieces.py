"""Pieces: files and batches as they came, before any row of them is used; what is missing or refused in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.baseline import Cells
from relevo.examine import BROKEN
from relevo.findings import WARN, Finding
from relevo.lake import explained
from relevo.nulls import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.budget import Risks
    from relevo.lake import Lake
    from relevo.project import Table

REFUSED = "(refused)"


@dataclass(frozen=True)
class Piece:
    """A file or batch: its SHA-256 as the raw snapshot has it, its counts, and how many rows are in quarantine.

    ``refused`` is None where the lake has lost those.
    """

    digest: str
    counts: Counts
    refused: int | None

    @property
    def name(self) -> str:
        """Its name among the source's."""
        return self.counts.batch or self.counts.source


def of(
    table: Table,
    lake: Lake,
    files: Sequence[tuple[str, str]],
    clean: str,
    nulls: Sequence[Mapping[str, Any]],
) -> list[Piece]:
    """The pieces of a table that were counted, in their order.

    ``files`` are those of the raw snapshot, ``clean`` is the id of the clean one that was made of it: what other
    pieces have in quarantine since says nothing of these.
    """
    refused = _refused(lake, f"quarantine/{table.name}", clean)
    digests = dict(reversed(list(files)))
    found = []
    for row in nulls:
        counts = Counts(**row)
        digest = digests.get(counts.source, "")
        found.append(Piece(digest, counts, None if refused is None else refused.get(digest, 0)))
    return found


def _refused(lake: Lake, aside: str, clean: str) -> dict[str, int] | None:
    """How many rows of each file were put in quarantine with a clean snapshot; None when that is lost."""
    version = lake.done(aside, f"quarantine:{clean}")
    if version is None:
        return None
    with explained(lake.root), lake.connect() as connection:
        lake.bind(connection, aside, as_="aside", version=version)
        return dict(connection.execute("select _file, count(*) from aside group by 1").fetchall())


def judge(piece: Piece, before: Sequence[Piece], risks: Risks) -> tuple[list[Finding], dict[str, Any]]:
    """Compare a piece with those that the champion was made from: the columns' nulls, and the rows refused.

    Figures say what was compared: where nothing was, there are the rows alone.
    """
    if not before or not piece.counts.rows:
        return [], {"rows": piece.counts.rows}
    columns = [name for name in piece.counts.nulls if all(name in one.counts.nulls for one in before)]
    figures: dict[str, Any] = {
        "rows": piece.counts.rows,
        "nulls": {name: count / piece.counts.rows for name, count in piece.counts.nulls.items()},
    }
    found = []
    for name in columns:
        known = [(one.counts.nulls[name], one.counts.rows) for one in before]
        seen = piece.counts.nulls[name], piece.counts.rows
        found.append(rare("nulls", name, seen, known, risks.of("features", len(columns)), both=True))
    known = [(one.refused, one.counts.rows) for one in before if one.refused is not None]
    if piece.refused is not None and len(known) == len(before):
        figures["refused"] = piece.refused
        share = risks.of("refusals")
        found.append(rare("refusals", "", (piece.refused, piece.counts.rows), known, share))
    return [one for one in found if one is not None], figures


def rare(
    kind: str,
    about: str,
    seen: tuple[int, int],
    before: Sequence[tuple[int, int]],
    risk: float,
    *,
    both: bool = False,
    severity: str = WARN,
) -> Finding | None:
    """Whether a count among rows is beyond what it was among those ``before``; in ``both`` directions if said."""
    counts = np.array([[count, max(rows - count, 0)] for count, rows in before])
    reference = Cells(counts, np.zeros(len(counts), np.int64))
    count, rows = seen
    if not rows:
        return None
    test = reference.rare(count, rows, 0, 0)
    share, expected = count / rows, float(test.expected[0])
    gap = abs(share - expected) if both else share - expected
    if test.p > risk or gap < BROKEN:
        return None
    return Finding(
        kind=kind, about=about, severity=severity, value=share, expected=expected, rows=rows, p=test.p
    )
