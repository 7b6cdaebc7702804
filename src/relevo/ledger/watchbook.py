"""What was seen in each window, and what was decided about renewal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, insert, select

from relevo.ledger import rows
from relevo.ledger.database import one_at_a_time
from relevo.ledger.tables import decisions, windows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from relevo.ledger.database import Database
    from relevo.records import Decision, Window

_SAME = ("project", "source", "unit", "name", "version", "inputs")


class Watchbook:
    """Windows and decisions are added, never changed; the ledger's laws hold."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_window(self, window: Window) -> Window:
        """Add a window, and give it with its number; one made of the same inputs before is given as it was recorded."""
        row = rows.to_row(window)
        del row["number"]
        same = [windows.c[name] == row[name] for name in _SAME]
        with self._database.writing() as connection:
            one_at_a_time(connection, window.project, "windows")
            found = connection.execute(select(windows).where(*same)).mappings().first()
            if found is not None:
                return rows.window(found)
            key = connection.execute(insert(windows), row).inserted_primary_key
        return rows.window({**row, "number": key[0] if key else 0})

    def window(self, project: str, number: int) -> Window | None:
        """Read a window; None when there is none of this number."""
        query = select(windows).where(windows.c.project == project, windows.c.number == number)
        with self._database.reading() as connection:
            found = connection.execute(query).mappings().first()
        return rows.window(found) if found is not None else None

    def windows(
        self,
        project: str,
        *,
        source: str | None = None,
        unit: str | None = None,
        since: str | datetime | None = None,
        looked_since: str | datetime | None = None,
        version: str | None = None,
        after: int = 0,
        found: bool = False,
        limit: int = 100,
        every: bool = False,
        figures: Collection[str] | None = None,
    ) -> list[Window]:
        """List windows that ended at ``since`` or later, and were looked at at ``looked_since`` or later; latest first.

        Only those of a ``version``, with a number ``after`` one, or in which something was ``found``, if said.
        Of those looked at several times (same source, unit and name) the newest, or with ``every`` each. Of their
        ``figures`` only those named, if said: all of a thousand windows take 100 MB.
        """
        wanted = [windows.c.project == project]
        wanted += [windows.c.source == source] if source is not None else []
        wanted += [windows.c.unit == unit] if unit is not None else []
        wanted += [windows.c.ended_at >= rows.time_text(since)] if since is not None else []
        wanted += [windows.c.made_at >= rows.time_text(looked_since)] if looked_since is not None else []
        wanted += [windows.c.version == version] if version is not None else []
        wanted += [windows.c.number > after] if after else []
        if not every:
            name = (windows.c.source, windows.c.unit, windows.c.name)
            newest = select(func.max(windows.c.number)).where(*wanted).group_by(*name)
            wanted.append(windows.c.number.in_(newest))
        wanted += [windows.c.findings != "[]"] if found else []
        query = (
            select(windows)
            .where(*wanted)
            .order_by(windows.c.ended_at.desc(), windows.c.number.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_having(rows.window(row), figures) for row in connection.execute(query).mappings()]

    def newest(self, project: str) -> list[Window]:
        """Of each source and unit the latest window, as it was last looked at."""
        of = (windows.c.source, windows.c.unit)
        latest = select(*of, func.max(windows.c.ended_at).label("ended_at")).where(
            windows.c.project == project
        )
        last = latest.group_by(*of).subquery()
        same = [windows.c[name] == last.c[name] for name in ("source", "unit", "ended_at")]
        looked = (
            select(func.max(windows.c.number)).join(last, and_(*same)).where(windows.c.project == project)
        )
        query = select(windows).where(windows.c.number.in_(looked.group_by(*of))).order_by(*of)
        with self._database.reading() as connection:
            return [rows.window(row) for row in connection.execute(query).mappings()]

    def made_of(self, project: str, source: str, unit: str, version: str) -> dict[str, str]:
        """The digests of what a version's windows were made of when they were last looked at, by name."""
        same = (windows.c.project == project) & (windows.c.source == source) & (windows.c.unit == unit)
        query = select(windows.c.name, windows.c.inputs).where(same, windows.c.version == version)
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(windows.c.number)).all()
        return {str(row.name): str(row.inputs) for row in found}

    def rows_of(self, project: str, source: str, unit: str) -> dict[str, int]:
        """How many rows each window had when it was last looked at, of whatever version, by name."""
        same = (windows.c.project == project) & (windows.c.source == source) & (windows.c.unit == unit)
        query = select(windows.c.name, windows.c.rows).where(same).order_by(windows.c.number)
        with self._database.reading() as connection:
            return {str(row.name): int(row.rows) for row in connection.execute(query).all()}

    def decide(self, decision: Decision) -> Decision:
        """Add a decision, and give it; one with this id that is there already is given as it was recorded."""
        return self.decide_all([decision])[0]

    def decide_all(self, made: Sequence[Decision]) -> list[Decision]:
        """Add the decisions of one moment, all or none, and give them as they are recorded."""
        if not made:
            return []
        with self._database.writing() as connection:
            one_at_a_time(connection, made[0].project, "decisions")
            return [_decided(connection, one) for one in made]

    def decisions(self, project: str, limit: int = 100) -> list[Decision]:
        """List decisions, newest first."""
        query = (
            select(decisions)
            .where(decisions.c.project == project)
            .order_by(decisions.c.at.desc(), decisions.c.id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [rows.decision(row) for row in connection.execute(query).mappings()]


def _having(window: Window, figures: Collection[str] | None) -> Window:
    if figures is None:
        return window
    return replace(window, figures={name: one for name, one in window.figures.items() if name in figures})


def _decided(connection: Connection, decision: Decision) -> Decision:
    same = (decisions.c.project == decision.project) & (decisions.c.id == decision.id)
    found = connection.execute(select(decisions).where(same)).mappings().first()
    if found is not None:
        return rows.decision(found)
    connection.execute(insert(decisions), rows.to_row(decision))
    return decision
