"""What is to be done when, and who may do it: leases and jobs, in the ledger.

A lease is the right to do something alone until a time. Whoever gets it is given a ``token`` that no one had before,
so what an earlier holder still tries can be told apart and refused (fencing; Kleppmann 2016, *How to do distributed
locking*). A job is begun by the holder of a lease and is in good hands for as long as that very lease stands.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from relevo import clock
from relevo.ledger import rows
from relevo.ledger.tables import jobs, leases
from relevo.records import Job, Lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection, Table

    from relevo.ledger.database import Database

LONGEST = 600.0
"""Seconds that a lease lasts at most. One that ends later was written by a clock that has been set back since."""
KEPT = 500
"""Jobs of a name that are kept: a number and not an age, since a clock may be wrong for a while."""
RUNNING, DONE, FAILED, SKIPPED = "running", "done", "failed", "skipped"


class Begun(NamedTuple):
    """What a job is to be begun with: its name, when it was due, how many tries it has, and what is known of it."""

    name: str
    due_at: str
    tries: int = 1
    facts: Mapping[str, Any] = {}


class Agenda:
    """Leases and jobs; the ledger's laws hold.

    Lengths of leases are seconds of the machine's clock, also where the time is rehearsed. The times compared are
    those of the machines that take part: they must agree to a fraction of a lease. ``at`` is the time now.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # Leases

    def acquire(
        self, project: str, name: str, holder: str, seconds: float, *, at: datetime | None = None
    ) -> Lease | None:
        """Take a lease that nobody has; None while another has it.

        Its holder who asks again gets it with a new token: it does not know any more what it had begun.
        """
        now = at or clock.now()
        with self._database.writing() as connection:
            found = _locked(connection, leases, {"project": project, "name": name}, _NOBODY)
            had = Lease(**found)
            if had.holder not in {"", holder} and _stands(had, now):
                return None
            taken = replace(had, holder=holder, token=had.token + 1, until=_until(now, seconds))
            _write(connection, taken)
        return taken

    def renew(self, lease: Lease, seconds: float, *, at: datetime | None = None) -> Lease | None:
        """Hold a lease for longer; None when somebody else took it, and then nothing may be done in its name.

        One that has run out, and that nobody took, is held again.
        """
        with self._database.writing() as connection:
            if not _holds(connection, lease):
                return None
            renewed = replace(lease, until=_until(at or clock.now(), seconds))
            _write(connection, renewed)
        return renewed

    def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens when it is lost already."""
        with self._database.writing() as connection:
            if _holds(connection, lease):
                _write(connection, replace(lease, holder="", until=""))

    def lease(self, project: str, name: str) -> Lease | None:
        """Who has a lease, or had it last; None when nobody ever did, or it was given back."""
        query = select(leases).where(leases.c.project == project, leases.c.name == name)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        return Lease(**row) if row is not None and row["holder"] else None

    # Jobs

    def begin(self, lease: Lease, what: Begun, *, at: datetime | None = None) -> Job | None:
        """Begin a job in the name of a lease: once for each name and due time.

        None when it is done or skipped, runs under this lease, failed for the last of its tries, or the lease is lost.
        One that an earlier lease left running is taken over, and one that failed tried again, as another attempt.
        """
        project, holder = lease.project, _holder(lease)
        same = {"project": project, "name": what.name, "due_at": what.due_at}
        with self._database.writing() as connection:
            if not _holds(connection, lease):
                return None
            had = rows.job(_locked(connection, jobs, same, _NOTHING))
            again = had.status == FAILED and had.attempt < what.tries
            left = had.status == RUNNING and had.holder != holder
            if not (again or left):
                return None
            begun = Job(
                **same,
                status=RUNNING,
                holder=holder,
                attempt=had.attempt + 1,
                started_at=rows.time_text(at or clock.now()),
                facts={**had.facts, **what.facts},
            )
            _write(connection, begun)
        return begun

    def skip(
        self, lease: Lease, name: str, due_at: str, error: str, *, at: datetime | None = None
    ) -> Job | None:
        """Note that a job is not done, and why; None when something is known of it, or the lease is lost."""
        now = rows.time_text(at or clock.now())
        same = {"project": lease.project, "name": name, "due_at": due_at}
        with self._database.writing() as connection:
            if not _holds(connection, lease):
                return None
            had = rows.job(_locked(connection, jobs, same, _NOTHING))
            if had.attempt or had.status == SKIPPED:
                return None
            skipped = replace(had, status=SKIPPED, started_at=now, finished_at=now, error=error)
            _write(connection, skipped)
        return skipped

    def finish(
        self,
        job: Job,
        status: str,
        error: str = "",
        facts: Mapping[str, Any] | None = None,
        *,
        at: datetime | None = None,
    ) -> Job | None:
        """End a job; None when it was taken over meanwhile, and then what is known of it is another's to say."""
        ended = replace(
            job,
            status=status,
            error=error,
            facts={**job.facts, **(facts or {})},
            finished_at=rows.time_text(at or clock.now()),
        )
        with self._database.writing() as connection:
            found = (
                connection.execute(select(jobs).where(_is(jobs, job)).with_for_update()).mappings().first()
            )
            had = rows.job(found) if found else None
            if had is None or (had.status, had.holder, had.attempt) != (RUNNING, job.holder, job.attempt):
                return None
            _write(connection, ended)
        return ended

    def orphans(self, lease: Lease) -> list[Job]:
        """List the jobs that earlier holders of a lease left running, oldest first."""
        query = select(jobs).where(
            jobs.c.project == lease.project, jobs.c.status == RUNNING, jobs.c.holder != _holder(lease)
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(jobs.c.due_at, jobs.c.name)).mappings().all()
        return [rows.job(row) for row in found]

    def last(self, project: str, name: str, *, until: datetime | None = None) -> Job | None:
        """Return a task's job that was due last, or last by a time; None when it never had one."""
        query = select(jobs).where(jobs.c.project == project, jobs.c.name == name)
        if until is not None:
            query = query.where(jobs.c.due_at <= rows.time_text(until))
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(jobs.c.due_at.desc()).limit(1)).mappings().first()
        return rows.job(row) if row is not None else None

    def jobs(self, project: str, limit: int = 100) -> list[Job]:
        """List a project's jobs, the newest first."""
        query = (
            select(jobs)
            .where(jobs.c.project == project)
            .order_by(jobs.c.started_at.desc(), jobs.c.due_at.desc(), jobs.c.name)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [rows.job(row) for row in connection.execute(query).mappings()]

    def forget(self, project: str, name: str, kept: int = KEPT) -> int:
        """Drop a task's jobs but the ``kept`` that were due last and those under way; returns how many."""
        same = (jobs.c.project == project) & (jobs.c.name == name)
        oldest = select(jobs.c.due_at).where(same).order_by(jobs.c.due_at.desc()).offset(kept).limit(1)
        with self._database.writing() as connection:
            bound = connection.execute(oldest).scalar()
            if bound is None:
                return 0
            old = same & (jobs.c.due_at <= bound) & (jobs.c.status != RUNNING)
            return connection.execute(delete(jobs).where(old)).rowcount


_NOBODY: Mapping[str, Any] = {"holder": "", "token": 0, "until": ""}
_NOTHING: Mapping[str, Any] = {
    "status": FAILED,
    "holder": "",
    "attempt": 0,
    "started_at": "",
    "finished_at": "",
    "error": "",
    "facts": "{}",
}


def _locked(
    connection: Connection, table: Table, same: Mapping[str, Any], fresh: Mapping[str, Any]
) -> Mapping[Any, Any]:
    """Read the row with this key, locked until the transaction ends; it is made ``fresh`` when there is none."""
    where = _key(table, same)
    query = select(table).where(where).with_for_update()
    found = connection.execute(query).mappings().first()
    if found is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(table), {**same, **fresh})
        except IntegrityError:  # another transaction made it first
            pass
        found = connection.execute(query).mappings().one()
    return found


def _key(table: Table, same: Mapping[str, Any]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in same.items()))


def _is(table: Table, record: Job | Lease) -> ColumnElement[bool]:
    return _key(table, {column.name: getattr(record, column.name) for column in table.primary_key})


def _write(connection: Connection, record: Job | Lease) -> None:
    table = jobs if isinstance(record, Job) else leases
    connection.execute(update(table).where(_is(table, record)).values(rows.to_row(record)))


def _holds(connection: Connection, lease: Lease) -> bool:
    """Whether a lease is still that of its holder; it stays so until the transaction ends."""
    query = select(leases.c.token, leases.c.holder).where(_is(leases, lease)).with_for_update()
    found = connection.execute(query).first()
    return found is not None and tuple(found) == (lease.token, lease.holder)


def _stands(lease: Lease, now: datetime) -> bool:
    return rows.time_text(now) < lease.until <= _until(now, LONGEST)


def _until(now: datetime, seconds: float) -> str:
    if not 0 < seconds <= LONGEST:
        raise ValueError(seconds)
    return rows.time_text(now + timedelta(seconds=seconds / clock.real(1.0)))


def _holder(lease: Lease) -> str:
    return f"{lease.holder}#{lease.token}"
