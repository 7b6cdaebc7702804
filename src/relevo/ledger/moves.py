"""Moving aliases, within a transaction: the one place where the chain of releases grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, func, insert, select, update

from relevo.errors import LedgerError
from relevo.ledger import chain, rows
from relevo.ledger.tables import heads, releases, versions
from relevo.records import CHALLENGER, CHAMPION, WITHDRAW, now
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import BindParameter, Connection

    from relevo.records import ModelVersion, Release

_project: BindParameter[str] = bindparam("project")
_alias: BindParameter[str] = bindparam("alias")
NEWEST = (
    select(releases)
    .where(releases.c.project == _project, releases.c.alias == _alias)
    .order_by(releases.c.number.desc())
    .limit(1)
)
"""The newest row of an alias; binds ``project`` and ``alias``."""


class Move(NamedTuple):
    """An alias, the version it goes to (or, for a withdrawal, the one that loses it), and who, why and how."""

    alias: str
    version: str
    who: str
    why: str
    act: str
    facts: Mapping[str, Any]


def version(connection: Connection, project: str, version: str) -> ModelVersion | None:
    """Read a version by its number or its package's digest, the accepted one first."""
    same = (versions.c.version == version) | (versions.c.digest == version)
    query = select(versions).where(versions.c.project == project, same).order_by(versions.c.status)
    row = connection.execute(query).mappings().first()
    return rows.version(row) if row else None


def standing(connection: Connection, project: str, alias: str, *, lock: bool = False) -> Release | None:
    """The release by which an alias has its version; None when it has none. ``lock`` lets no alias move meanwhile."""
    if lock:
        _head(connection, project)
    row = connection.execute(NEWEST, {"project": project, "alias": alias}).mappings().first()
    return rows.release(row) if row is not None and row["act"] != WITHDRAW else None


def newest(connection: Connection, project: str, alias: str) -> int:
    """The number of an alias's newest release, 0 before the first; the alias does not move meanwhile."""
    _head(connection, project)
    row = connection.execute(NEWEST, {"project": project, "alias": alias}).mappings().first()
    return int(row["number"]) if row is not None else 0


def make(connection: Connection, project: str, move: Move) -> Release:
    """Move an alias; gives the release in force when the alias is there already."""
    head = _head(connection, project)
    chosen = _releasable(connection, project, move.version)
    if head is None:
        raise _unknown(project, move.version)
    move = move._replace(version=chosen.version)
    last = standing(connection, project, move.alias)
    if last is not None and last.version == chosen.version and not _differs(last, move):
        return last
    released, head = _append(connection, chosen, head, last, move)
    if move.alias == CHAMPION:
        tried = standing(connection, project, CHALLENGER)
        if tried is not None and tried.version == chosen.version:
            ended = Move(CHALLENGER, chosen.version, move.who, t("It is the champion now."), WITHDRAW, {})
            head = _append(connection, chosen, head, tried, ended)[1]
    moved = {"number": head[0], "hash": head[1]}
    connection.execute(update(heads).where(heads.c.project == project).values(moved))
    return released


def _head(connection: Connection, project: str) -> tuple[int, str] | None:
    """The newest row's number and hash, locked: the chain grows by one writer at a time."""
    query = select(heads).where(heads.c.project == project).with_for_update()
    row = connection.execute(query).first()
    return (row.number, row.hash) if row else None


def _differs(last: Release, move: Move) -> bool:
    """Whether a move to the version that is there says something new: that it goes, or is tried otherwise."""
    if move.act == WITHDRAW:
        return True
    return move.alias == CHALLENGER and rows.facts_text(last.facts) != rows.facts_text(move.facts)


def _append(
    connection: Connection, chosen: ModelVersion, head: tuple[int, str], last: Release | None, move: Move
) -> tuple[Release, tuple[int, str]]:
    """Add a row after the head; gives it, and the new head."""
    row: dict[str, Any] = {
        **move._asdict(),
        "project": chosen.project,
        "digest": chosen.digest,
        "number": head[0] + 1,
        "previous": last.version if last else "",
        "facts": rows.facts_text(move.facts),
        "released_at": max(now(), _newest_time(connection, chosen.project)),
        "previous_hash": head[1],
    }
    row["hash"] = chain.hash_of(row)
    connection.execute(insert(releases), row)
    return rows.release(row), (row["number"], row["hash"])


def _newest_time(connection: Connection, project: str) -> str:
    """The latest time in the chain: a clock set back must not make the past ambiguous."""
    newest = select(func.max(releases.c.released_at)).where(releases.c.project == project)
    return connection.execute(newest).scalar() or ""


def _releasable(connection: Connection, project: str, wanted: str) -> ModelVersion:
    found = version(connection, project, wanted)
    if found is None:
        raise _unknown(project, wanted)
    if found.status != "accepted":
        raise LedgerError(
            t(
                "{project}: version {version} was refused and cannot be released. `relevo versions` shows why.",
                project=project,
                version=found.version,
            )
        )
    return found


def _unknown(project: str, version: str) -> LedgerError:
    return LedgerError(
        t(
            "{project} has no version {version}. `relevo versions` lists those there are.",
            project=project,
            version=version,
        )
    )
