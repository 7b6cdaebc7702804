"""What another system was told of the ledger's facts, and under which names it keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from relevo.ledger import rows
from relevo.ledger.database import one_at_a_time
from relevo.ledger.tables import mirrored

if TYPE_CHECKING:
    from relevo.ledger.database import Database
    from relevo.records import Mirrored

_KEY = ("project", "server", "kind", "key")


class Mirror:
    """How things stand with each fact and system; the ledger's laws hold. The newest ``note`` of a fact is the one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, noted: Mirrored) -> None:
        """Say how things stand with a fact, in place of what was said before."""
        row = rows.to_row(noted)
        same = [mirrored.c[name] == row[name] for name in _KEY]
        with self._database.writing() as connection:
            one_at_a_time(connection, noted.project, "mirrored")
            connection.execute(delete(mirrored).where(*same))
            connection.execute(insert(mirrored), row)

    def first(self, noted: Mirrored) -> Mirrored:
        """Say how things stand with a fact unless that was said already; gives what stands."""
        row = rows.to_row(noted)
        query = select(mirrored).where(*[mirrored.c[name] == row[name] for name in _KEY])
        with self._database.writing() as connection:
            one_at_a_time(connection, noted.project, "mirrored")
            found = connection.execute(query).mappings().first()
            if found is None:
                connection.execute(insert(mirrored), row)
        return noted if found is None else rows.mirrored(found)

    def insist(self, project: str, kind: str, key: str) -> None:
        """Let each system be told of a fact anew that would not take it, or has something else in its place."""
        same = (mirrored.c.project == project) & (mirrored.c.kind == kind) & (mirrored.c.key == key)
        with self._database.writing() as connection:
            connection.execute(update(mirrored).where(same, mirrored.c.error != "").values(state=""))

    def known(self, project: str, server: str) -> dict[tuple[str, str], Mirrored]:
        """How things stand with each fact that a system was told of, by kind and key."""
        query = select(mirrored).where(mirrored.c.project == project, mirrored.c.server == server)
        with self._database.reading() as connection:
            found = [rows.mirrored(row) for row in connection.execute(query).mappings()]
        return {(one.kind, one.key): one for one in found}

    def forget(self, project: str, server: str, kind: str, key: str | None = None, *, refused: bool) -> int:
        """Drop what a system was told of one kind, or of one fact, or only what it ``refused``; gives how many."""
        same = (mirrored.c.project == project) & (mirrored.c.server == server) & (mirrored.c.kind == kind)
        wanted = same if key is None else same & (mirrored.c.key == key)
        wanted = wanted & (mirrored.c.error != "") if refused else wanted
        with self._database.writing() as connection:
            return connection.execute(delete(mirrored).where(wanted)).rowcount
