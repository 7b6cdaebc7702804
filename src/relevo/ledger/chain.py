"""The chain of releases: each row's hash covers the row and the hash before it.

hash = SHA-256 over the canonical JSON of the row without ``hash``; ``previous_hash`` is one of its fields,
as is the digest of the package released, and ``facts`` where there are any. The first row's
``previous_hash`` is 64 zeros. Altering, removing, inserting or reordering rows breaks the chain; rows
removed from its end are betrayed by the project's head.
Someone who may write to the database can compute a whole new chain: whoever must rule that out keeps a
copy of ``Ledger.token`` elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo.errors import LedgerError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START = "0" * 64
FIELDS = (
    "number",
    "project",
    "alias",
    "version",
    "digest",
    "previous",
    "who",
    "why",
    "act",
    "released_at",
    "previous_hash",
)


def hash_of(row: Mapping[Any, Any]) -> str:
    """Hash a release's row."""
    hashed = {field: row[field] for field in FIELDS}
    if row["facts"]:  # rows written before there were facts keep their hash
        hashed["facts"] = row["facts"]
    return digests.of_json(hashed)


def verify(
    project: str,
    rows: Sequence[Mapping[Any, Any]],
    head: tuple[int, str] | None,
    packages: Mapping[str, str],
) -> None:
    """Check a project's rows, by number; ``packages`` maps its versions to digests.

    Raises ``LedgerError`` naming the first row that is not as it was written.
    """
    before = START
    for expected, row in enumerate(rows, start=1):
        problem = _problem(row, expected, before, packages)
        if problem:
            raise _broken(project, expected, problem)
        before = row["hash"]
    last = (len(rows), before)
    if head is None and not rows:
        return
    if head is None or head[0] < last[0]:
        raise _broken(project, last[0], t("the chain's head does not know of it"))
    if head[0] > last[0]:
        raise _broken(project, last[0] + 1, t("the row was removed"))
    if head != last:
        raise _broken(project, last[0], t("its hash is not the one at the chain's head"))


def _problem(row: Mapping[Any, Any], expected: int, before: str, packages: Mapping[str, str]) -> str:
    if row["number"] != expected:
        return t("the row was removed; number {number} follows", number=row["number"])
    if row["previous_hash"] != before:
        return t("it does not follow from the row before it")
    if row["hash"] != hash_of(row):
        return t("the row was altered")
    if packages.get(row["version"]) != row["digest"]:
        return t("version {version} is no longer the package that was released", version=row["version"])
    return ""


def _broken(project: str, number: int, problem: str) -> LedgerError:
    return LedgerError(
        t(
            "The chain of releases of {project} breaks at number {number}: {problem}. Someone changed the ledger by "
            "hand; restore it from a backup.",
            project=project,
            number=number,
            problem=problem,
        )
    )
