"""The ledger's one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from relevo.errors import LedgerError, UnknownRunError
from relevo.ledger import chain, moves, rows, schema, written
from relevo.ledger.agenda import Agenda
from relevo.ledger.alarms import Alarms
from relevo.ledger.database import Database
from relevo.ledger.keyring import Keyring
from relevo.ledger.mirror import Mirror
from relevo.ledger.outbox import Outbox
from relevo.ledger.tables import (
    heads,
    materialisations,
    releases,
    runs,
    snapshots,
    steps,
    trials,
    versions,
)
from relevo.ledger.watchbook import Watchbook
from relevo.records import (
    WITHDRAW,
    Materialisation,
    ModelVersion,
    Release,
    Run,
    Snapshot,
    Step,
    Trial,
    now,
)
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import BindParameter, Connection, Select

_project: BindParameter[str] = bindparam("project")
_CHAMPION = (  # built once: the server asks a few times a second
    select(versions, releases.c.act)
    .join(
        releases,
        (releases.c.project == versions.c.project) & (releases.c.version == versions.c.version),
    )
    .where(releases.c.project == _project, releases.c.alias == bindparam("alias"))
    .order_by(releases.c.number.desc())
    .limit(1)
)
_TOKEN = select(heads.c.hash).where(heads.c.project == _project)
_MADE = (
    select(func.coalesce(func.max(materialisations.c.number), 0))
    .where(materialisations.c.project == _project)
    .scalar_subquery()
)
_NEWS = select(_MADE, select(heads.c.hash).where(heads.c.project == _project).scalar_subquery())


class Ledger:
    """What was done, registered and released. Records are added, never changed; a run alone is closed later.

    Laws, whatever the database:

    - Atomicity: each method is one transaction. It has happened wholly when it returns, and not at all when
      it raises or the process dies.
    - Threads and processes: one ``Ledger`` may be shared by threads and carried over a fork; any number of
      processes may use one database. Releases of a project happen one after the other, and their numbers
      have no gaps.
    - Reading sees what was committed when the method began.
    - Ownership: what is returned belongs to the caller; changing it changes nothing here.
    - When the database is away (absent, locked, forbidden, full, unreachable) a method raises ``LedgerError``
      after at most ``timeout`` seconds or so; the next call tries anew.

    ``url`` is SQLAlchemy's, or the path of an SQLite file. ``create`` makes a SQLite file that is absent; a
    server's ledger must be there already.
    """

    def __init__(self, url: str | Path, *, timeout: float = 5.0, create: bool = True) -> None:
        self._database = Database(url, timeout=timeout, create=create)
        self.keys = Keyring(self._database)
        self.watch = Watchbook(self._database)
        self.alerts = Alarms(self._database)
        self.outbox = Outbox(self._database)
        self.agenda = Agenda(self._database)
        self.mirror = Mirror(self._database)

    def close(self) -> None:
        """Close idle connections; the next call opens new ones."""
        self._database.close()

    def lower(self, revision: str, *, discard: bool) -> None:
        """Take the schema back to ``revision`` for an earlier Relevo; opened with this one, it is brought up again.

        Raises ``LedgerError`` when that would forget rows and ``discard`` is not set.
        """
        with self._database.writing() as connection:
            schema.lower(connection, revision, discard=discard)

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return self._database.shown

    # Runs, steps, trials

    def start_run(self, run: Run) -> None:
        """Add a run."""
        with self._database.writing() as connection:
            connection.execute(insert(runs), rows.to_row(run))

    def finish_run(self, run: str, *, status: str, message: str = "", version: str = "") -> Run:
        """Close a run with its status, and return it; raises ``LedgerError`` when there is no such run."""
        values = {"status": status, "message": message, "version": version, "finished_at": now()}
        with self._database.writing() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(values))
            return self._run(connection, run)

    def reopen_run(self, run: str) -> Run:
        """Take back that a run has ended, and return it; raises ``LedgerError`` when there is no such run."""
        values = {"status": "running", "message": "", "version": "", "finished_at": ""}
        with self._database.writing() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(values))
            return self._run(connection, run)

    def run(self, run: str) -> Run:
        """Read a run; raises ``LedgerError`` when there is no such run."""
        with self._database.reading() as connection:
            return self._run(connection, run)

    def find_run(self, run: str) -> Run | None:
        """Read a run; None when there is no such run."""
        found = self._all(select(runs).where(runs.c.id == run))
        return rows.run(found[0]) if found else None

    def projects(self) -> list[str]:
        """List the projects that ever ran, by name."""
        query = select(runs.c.project).distinct().order_by(runs.c.project)
        return [row["project"] for row in self._all(query)]

    def runs(self, project: str, limit: int = 100, *, ended: Sequence[str] = ()) -> list[Run]:
        """List a project's runs, newest first; only those that have ``ended`` so, if said."""
        wanted = [runs.c.project == project] + ([runs.c.status.in_(ended)] if ended else [])
        query = select(runs).where(*wanted).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
        return [rows.run(row) for row in self._all(query)]

    def led_to(self, project: str) -> list[Run]:
        """List the runs that decisions led to, newest first."""
        wanted = (runs.c.project == project, runs.c.because > "")
        query = select(runs).where(*wanted).order_by(runs.c.started_at.desc(), runs.c.id.desc())
        return [rows.run(row) for row in self._all(query)]

    def ended(self, project: str) -> dict[str, str]:
        """When the last run ended that ended so, by status."""
        query = (
            select(runs.c.status, func.max(runs.c.finished_at).label("at"))
            .where(runs.c.project == project, runs.c.finished_at != "")
            .group_by(runs.c.status)
        )
        return {str(row["status"]): str(row["at"]) for row in self._all(query)}

    def save_step(self, step: Step) -> None:
        """Add a step. A step done again in the same run, after it failed or was killed, is added again."""
        with self._database.writing() as connection:
            connection.execute(insert(steps), rows.to_row(step))

    def steps(self, run: str) -> list[Step]:
        """List a run's steps in the order they were done."""
        query = select(steps).where(steps.c.run == run).order_by(steps.c.number)
        return [rows.step(row) for row in self._all(query)]

    def costs(self, project: str, *, until: str | datetime, limit: int = 20_000) -> list[Step]:
        """The newest steps of a project that were done, not reused, before a time; oldest first, without outputs."""
        figures = [column for column in steps.c if column.name not in {"output", "number"}]
        query = (
            select(*figures)
            .join(runs, runs.c.id == steps.c.run)
            .where(
                runs.c.project == project,
                steps.c.status == "done",
                steps.c.started_at < rows.time_text(until),
            )
            .order_by(steps.c.number.desc())
            .limit(limit)
        )
        return [rows.step({**row, "output": "{}"}) for row in reversed(self._all(query))]

    def done(self, project: str, name: str, inputs: str) -> Step | None:
        """Return the newest step of this name that was done or reused with the same inputs, in any run."""
        query = (
            select(steps)
            .join(runs, runs.c.id == steps.c.run)
            .where(
                runs.c.project == project,
                steps.c.name == name,
                steps.c.inputs == inputs,
                steps.c.status.in_(("done", "reused")),
            )
            .order_by(steps.c.number.desc())
            .limit(1)
        )
        found = self._all(query)
        return rows.step(found[0]) if found else None

    def save_trials(self, done: Sequence[Trial]) -> None:
        """Add trials; those with the run, candidate and number of earlier ones take their place."""
        if not done:
            return
        same = (
            (trials.c.run == bindparam("b_run"))
            & (trials.c.candidate == bindparam("b_candidate"))
            & (trials.c.number == bindparam("b_number"))
        )
        keys = [{"b_run": d.run, "b_candidate": d.candidate, "b_number": d.number} for d in done]
        with self._database.writing() as connection:
            connection.execute(delete(trials).where(same), keys)
            connection.execute(insert(trials), [rows.to_row(trial) for trial in done])

    def trials(self, run: str) -> list[Trial]:
        """List a run's trials by candidate and number."""
        query = select(trials).where(trials.c.run == run).order_by(trials.c.candidate, trials.c.number)
        return [rows.trial(row) for row in self._all(query)]

    # Snapshots

    def save_snapshot(self, snapshot: Snapshot, *, project: str = "") -> None:
        """Make ``snapshot`` the newest of its table; nothing happens when the same, at the same version, is already."""
        with self._database.writing() as connection:
            newest = connection.execute(_newest_snapshot(project, snapshot.table)).mappings().first()
            if newest is None or (newest["id"], newest["version"]) != (snapshot.id, snapshot.version):
                connection.execute(insert(snapshots), {**rows.to_row(snapshot), "project": project})

    def snapshot(self, snapshot: str, *, project: str = "") -> Snapshot | None:
        """Read a snapshot by its id."""
        same = (snapshots.c.project == project) & (snapshots.c.id == snapshot)
        found = self._all(select(snapshots).where(same).order_by(snapshots.c.number.desc()).limit(1))
        return rows.snapshot(found[0]) if found else None

    def newest_snapshot(self, table: str, *, project: str = "") -> Snapshot | None:
        """Return the snapshot of ``table`` that was saved last."""
        found = self._all(_newest_snapshot(project, table))
        return rows.snapshot(found[0]) if found else None

    # Materialisations

    def save_materialisations(self, made: Sequence[Materialisation]) -> list[Materialisation]:
        """Add materialisations, all at one moment; gives them with their numbers."""
        found = []
        with self._database.writing() as connection:
            for one in made:
                row = rows.to_row(one)
                del row["number"]
                key = connection.execute(insert(materialisations), row).inserted_primary_key
                found.append(rows.materialisation({**row, "number": key[0] if key else 0}))
        return found

    def materialisations(self, project: str) -> list[Materialisation]:
        """List a project's materialisations, newest first."""
        same = materialisations.c.project == project
        query = select(materialisations).where(same).order_by(materialisations.c.number.desc())
        return [rows.materialisation(row) for row in self._all(query)]

    def materialisation(self, project: str, name: str, shape: str, layout: str) -> Materialisation | None:
        """Return the newest materialisation of a history of this shape and layout."""
        return self.newest(project, [(name, shape, layout)])[0]

    def newest(self, project: str, histories: Sequence[tuple[str, str, str]]) -> list[Materialisation | None]:
        """Return the newest materialisation of each history, a name, shape and layout, all as of one moment."""
        if not histories:
            return []
        table = materialisations
        kind = (table.c.name, table.c.shape, table.c.layout)
        wanted = [
            and_(*(column == part for column, part in zip(kind, history, strict=True)))
            for history in histories
        ]
        numbers = select(func.max(table.c.number)).where(table.c.project == project, or_(*wanted))
        query = select(table).where(table.c.number.in_(numbers.group_by(*kind)))
        found = {(row["name"], row["shape"], row["layout"]): row for row in self._all(query)}
        return [rows.materialisation(found[one]) if one in found else None for one in histories]

    # Versions

    def add_version(self, version: ModelVersion) -> None:
        """Register a version; a package has one number as accepted and one as refused, if it was judged so.

        Raises ``LedgerError`` when the number, or the package with this status, is registered already.
        """
        judged_so = (versions.c.digest == version.digest) & (versions.c.status == version.status)
        with self._database.writing() as connection:
            taken = connection.execute(
                select(versions.c.version).where(
                    versions.c.project == version.project,
                    (versions.c.version == version.version) | judged_so,
                )
            ).scalar()
            if taken is not None:
                raise LedgerError(
                    t(
                        "{project}: version {version} is registered already; a number or a package is registered once.",
                        project=version.project,
                        version=taken,
                    )
                )
            connection.execute(insert(versions), rows.to_row(version))
            same = heads.c.project == version.project
            if connection.execute(select(func.count()).select_from(heads).where(same)).scalar() == 0:
                head = {"project": version.project, "number": 0, "hash": chain.START}
                connection.execute(insert(heads), head)

    def version(self, project: str, version: str) -> ModelVersion | None:
        """Read a version by its number or its package's digest, the accepted one first; None when there is none."""
        with self._database.reading() as connection:
            return moves.version(connection, project, version)

    def versions(self, project: str) -> list[ModelVersion]:
        """List a project's versions, newest first."""
        query = select(versions).where(versions.c.project == project).order_by(versions.c.number.desc())
        return [rows.version(row) for row in self._all(query)]

    # Releases

    def release(
        self,
        project: str,
        alias: str,
        version: str,
        *,
        who: str,
        why: str,
        act: str,
        facts: Mapping[str, Any] | None = None,
    ) -> Release:
        """Move ``alias`` to ``version``; moving it to where it is returns the release in force.

        A challenge with other ``facts`` is a release of its own. A challenger that becomes the champion is
        withdrawn in the same transaction. Raises ``LedgerError`` when the version is unknown or was refused.
        """
        with self._database.writing() as connection:
            return moves.make(connection, project, moves.Move(alias, version, who, why, act, facts or {}))

    def release_after(
        self,
        newest: int,
        project: str,
        alias: str,
        version: str,
        *,
        who: str,
        why: str,
        act: str,
        facts: Mapping[str, Any] | None = None,
    ) -> Release | None:
        """Do as ``release`` unless ``alias`` moved since its release ``newest``, 0 before its first; then give None.

        So whoever looked at a version for a while overturns nothing that was decided meanwhile.
        """
        with self._database.writing() as connection:
            if moves.newest(connection, project, alias) != newest:
                return None
            return moves.make(connection, project, moves.Move(alias, version, who, why, act, facts or {}))

    def end(
        self,
        judged: Release,
        *,
        who: str,
        why: str,
        to: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> Release | None:
        """Take an alias away from the release ``judged``: roll back to the version ``to``, or leave it without one.

        Nothing happens when the alias has moved since; then None is returned. So of several who come to the
        same judgement one acts.
        """
        with self._database.writing() as connection:
            if moves.standing(connection, judged.project, judged.alias, lock=True) != judged:
                return None
            act, version = ("rollback", to) if to else (WITHDRAW, judged.version)
            move = moves.Move(judged.alias, version, who, why, act, facts or {})
            return moves.make(connection, judged.project, move)

    def standing(self, project: str, alias: str) -> Release | None:
        """The release by which ``alias`` has its version; None when it has none."""
        with self._database.reading() as connection:
            return moves.standing(connection, project, alias)

    def releases(self, project: str, alias: str | None = None) -> list[Release]:
        """List a project's releases, oldest first."""
        query = select(releases).where(releases.c.project == project).order_by(releases.c.number)
        if alias is not None:
            query = query.where(releases.c.alias == alias)
        return [rows.release(row) for row in self._all(query)]

    def champion(self, project: str, alias: str = "champion") -> ModelVersion | None:
        """Return the version that ``alias`` stands for; None when it was never released, or was withdrawn."""
        with self._database.reading() as connection:
            found = connection.execute(_CHAMPION, {"project": project, "alias": alias}).mappings().first()
        return rows.version(found) if found and found["act"] != WITHDRAW else None

    def token(self, project: str) -> str:
        """Return the hash of a project's newest release: it changes when, and only when, an alias moves."""
        with self._database.reading() as connection:
            return connection.execute(_TOKEN, {"project": project}).scalar() or chain.START

    def stamp(self) -> tuple[int, ...] | None:
        """What stays the same for as long as nothing is committed, at the cost of looking at a file's times.

        None when that cannot be known so cheaply: then ask.
        """
        return self._database.stamp()

    def news(self, project: str) -> tuple[str, int]:
        """Return ``token`` and the number of the newest materialisation: what a server must follow."""
        with self._database.reading() as connection:
            number, token = connection.execute(_NEWS, {"project": project}).one()
        return token or chain.START, number

    def at(self, project: str, alias: str, time: str | datetime) -> Release | None:
        """Return the release in force at ``time`` (UTC when it has no zone); None before the first."""
        query = (
            select(releases)
            .where(
                releases.c.project == project,
                releases.c.alias == alias,
                releases.c.released_at <= rows.time_text(time),
            )
            .order_by(releases.c.number.desc())
            .limit(1)
        )
        found = self._all(query)
        return rows.release(found[0]) if found else None

    def verify(self, project: str) -> None:
        """Check the chain of releases; raises ``LedgerError`` naming the first row that is not as it was written."""
        with self._database.reading() as connection:
            written.verify(connection, project)

    # Within a transaction

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        with self._database.reading() as connection:
            return connection.execute(query).mappings().all()

    @staticmethod
    def _run(connection: Connection, run: str) -> Run:
        row = connection.execute(select(runs).where(runs.c.id == run)).mappings().first()
        if row is None:
            raise UnknownRunError(
                t("There is no run {run} in the ledger. `relevo status` lists the runs there are.", run=run)
            )
        return rows.run(row)


def _newest_snapshot(project: str, table: str) -> Select[Any]:
    same = (snapshots.c.project == project) & (snapshots.c.table == table)
    return select(snapshots).where(same).order_by(snapshots.c.number.desc()).limit(1)
