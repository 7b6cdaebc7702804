"""The messages that wait to be carried, and what became of them.

Of a channel only the first message that waits can be claimed, so they arrive in order. A claim is a promise until
``due_at``: whoever does not keep it, since his process was killed, loses the message to the next who looks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import func, insert, select, update

from relevo import clock
from relevo.ledger import rows
from relevo.ledger.tables import deliveries
from relevo.records import Delivery, now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sqlalchemy import Connection, Select

    from relevo.ledger.database import Database

WAITING, SENT, FAILED = "waiting", "sent", "failed"
_DIGITS = 12


def queue(connection: Connection, project: str, messages: Sequence[Delivery]) -> None:
    """Add messages after those there are; ids sort as they were queued, whatever the clock did.

    Nobody else may queue for the project meanwhile: see ``one_at_a_time``.
    """
    if not messages:
        return
    newest = select(func.max(deliveries.c.id)).where(deliveries.c.project == project)
    number = int((connection.execute(newest).scalar() or "0").partition("-")[0])
    made = [
        rows.to_row(replace(one, project=project, id=f"{number + place:0{_DIGITS}d}-{uuid4().hex}"))
        for place, one in enumerate(messages, start=1)
    ]
    connection.execute(insert(deliveries), made)


class Outbox:
    """Messages are queued with what they are about (``Alarms``), and carried here; the ledger's laws hold."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, project: str, channel: str, *, lease: timedelta, farthest: timedelta) -> Delivery | None:
        """Take the first message that waits for a channel, if it is due; nobody else is given it for the ``lease``.

        The message given counts one try more. A time more than ``farthest`` ahead, which no wait leads to, says
        that the clock was set back: it is due. None when nothing is due, or another one took it.
        """
        first = _of(project, channel, WAITING).order_by(deliveries.c.id).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(first).mappings().first()
        moment = clock.now()
        latest = (moment + farthest).isoformat(timespec="microseconds")
        if row is None or now() < row["due_at"] <= latest:
            return None
        head = rows.delivery(row)
        until = (moment + lease).isoformat(timespec="microseconds")
        claimed = replace(head, due_at=until, tries=head.tries + 1)
        with self._database.writing() as connection:
            taken = self._update(connection, head, {"due_at": until, "tries": claimed.tries})
        return claimed if taken else None

    def due(self, project: str, *, farthest: timedelta) -> bool:
        """Whether ``claim`` would give a message of some channel now."""
        waits = (deliveries.c.project == project) & (deliveries.c.status == WAITING)
        firsts = select(func.min(deliveries.c.id)).where(waits).group_by(deliveries.c.channel)
        latest = (clock.now() + farthest).isoformat(timespec="microseconds")
        at = deliveries.c.due_at
        query = select(func.count()).where(deliveries.c.id.in_(firsts), (at <= now()) | (at > latest))
        with self._database.reading() as connection:
            return bool(connection.execute(query).scalar())

    def sent(self, claimed: Delivery, remark: str = "") -> None:
        """Note that a message went out; ``remark`` is what was wrong nevertheless."""
        same = (deliveries.c.id == claimed.id) & (deliveries.c.status == WAITING)
        values = {"status": SENT, "sent_at": now(), "error": remark}
        with self._database.writing() as connection:  # it went out, whoever has claimed it since
            connection.execute(update(deliveries).where(same).values(values))

    def put_off(self, claimed: Delivery, due_at: str, error: str) -> bool:
        """Note a failure, and when to try again; false when the claim was lost meanwhile."""
        with self._database.writing() as connection:
            return self._update(connection, claimed, {"due_at": due_at, "error": error})

    def fail(self, claimed: Delivery, error: str) -> bool:
        """Give a message up; false when the claim was lost meanwhile."""
        with self._database.writing() as connection:
            return self._update(connection, claimed, {"status": FAILED, "error": error})

    def abandon(self, project: str, channel: str, error: str) -> int:
        """Give up all that waits for a channel, and tell how many messages that were."""
        same = (deliveries.c.project == project) & (deliveries.c.channel == channel)
        values = {"status": FAILED, "error": error}
        with self._database.writing() as connection:
            waits = update(deliveries).where(same, deliveries.c.status == WAITING).values(values)
            return connection.execute(waits).rowcount

    def waiting(self, project: str) -> dict[str, int]:
        """How many messages wait, by channel."""
        query = (
            select(deliveries.c.channel, func.count().label("n"))
            .where(deliveries.c.project == project, deliveries.c.status == WAITING)
            .group_by(deliveries.c.channel)
        )
        with self._database.reading() as connection:
            return {row.channel: row.n for row in connection.execute(query)}

    def all(self, project: str, *, alert: str | None = None, limit: int = 1000) -> list[Delivery]:
        """List messages, newest first; of an ``alert`` those that name it."""
        query = select(deliveries).where(deliveries.c.project == project)
        if alert is not None:
            query = query.where(deliveries.c.message.contains(f'"id":"{alert}"', autoescape=True))
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(deliveries.c.id.desc()).limit(limit)).mappings()
            return [rows.delivery(row) for row in found]

    @staticmethod
    def _update(connection: Connection, known: Delivery, values: dict[str, Any]) -> bool:
        """Change a message if it is as it is known: nobody claimed it since."""
        same = (
            (deliveries.c.id == known.id)
            & (deliveries.c.status == WAITING)
            & (deliveries.c.tries == known.tries)
            & (deliveries.c.due_at == known.due_at)
        )
        return connection.execute(update(deliveries).where(same).values(values)).rowcount == 1


def _of(project: str, channel: str, status: str) -> Select[Any]:
    same = (deliveries.c.project == project) & (deliveries.c.channel == channel)
    return select(deliveries).where(same, deliveries.c.status == status)
