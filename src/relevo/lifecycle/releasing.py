"""Going back: a rollback is a release like any other, to a version that was in force before."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from relevo.errors import LedgerError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.ledger import Ledger
    from relevo.records import Release


def rollback(
    ledger: Ledger, project: str, *, to: str = "", who: str, why: str = "", alias: str = "champion"
) -> Release:
    """Move ``alias`` to the version before, to version ``to``, or to what was in force at the time ``to``.

    Raises ``LedgerError`` when there is nothing to go back to.
    """
    version = _target(ledger, project, alias, to)
    return ledger.release(project, alias, version, who=who, why=why, act="rollback")


def _target(ledger: Ledger, project: str, alias: str, to: str) -> str:
    if not to:
        standing = standing_versions(ledger.releases(project, alias))
        if len(standing) < 2:  # noqa: PLR2004 - the one in force and one before
            raise LedgerError(t("There is no earlier version to go back to."))
        return standing[-2]
    if ledger.version(project, to) is not None:
        return to
    try:
        time = datetime.fromisoformat(to)
    except ValueError as error:
        known = ", ".join(version.version for version in ledger.versions(project)) or "-"
        raise LedgerError(
            t("“{to}” is neither a version nor a time. The versions are: {known}.", to=to, known=known)
        ) from error
    release = ledger.at(project, alias, time.astimezone() if time.tzinfo is None else time)
    if release is None:
        raise LedgerError(t("Nothing was released yet at {time}.", time=to))
    return release.version


def standing_versions(releases: Sequence[Release]) -> list[str]:
    """Versions that a chain of rollbacks walks back through, the one in force last.

    A promotion adds one; a rollback takes away what stands above its version, so that two rollbacks in
    a row go two versions back instead of forth again.
    """
    standing: list[str] = []
    for release in releases:
        if release.act == "rollback" and release.version in standing:
            while standing[-1] != release.version:
                standing.pop()
        elif not standing or standing[-1] != release.version:
            standing.append(release.version)
    return standing
