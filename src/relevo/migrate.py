"""Move a workspace's ledger to another database, with proof that nothing it refers to was lost.

Packages, blobs and look-ups stay where they are; each is read and compared with its digest before anything moves, so
that what the new ledger says can be rolled back to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import lookups
from relevo.errors import WorkspaceError
from relevo.ledger import copying
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.workspace import Workspace


@dataclass(frozen=True)
class Proof:
    """How many packages, blobs and keyed files are as their digests say, and what is not."""

    packages: int
    blobs: int
    lookups: int
    defects: tuple[str, ...]


def migrate(
    workspace: Workspace, target: str, *, as_is: bool = False, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Move the ledger to the database ``target``; done again after an interruption it goes on.

    ``target`` is written as ``ledger`` is in the settings, so a relative file counts from the project's folder.
    Raises ``WorkspaceError`` when a run is under way, or a file is not as its digest says and ``as_is`` is not set;
    ``LedgerError`` when a database is away or has another ledger. In both cases the earlier ledger stays in force.
    """
    with workspace.lock():
        place = workspace.ledger_place()
        proof = None if copying.is_closed(place) else prove(workspace, tell)
        if proof is not None and proof.defects and not as_is:
            raise WorkspaceError(
                t(
                    "{count} files are not what the ledger says: {defects}. Restore them from a backup, or move it "
                    "as it is with --as-is.",
                    count=len(proof.defects),
                    defects="; ".join(proof.defects[:5]),
                )
            )
        copied = copying.move(
            place, workspace.located(target), timeout=workspace.settings.ledger_timeout, tell=tell
        )
    return {**asdict(copied), "files": asdict(proof) if proof is not None else None}


def prove(workspace: Workspace, tell: Callable[[str], None]) -> Proof:
    """Read every package that has a version, every blob and look-up, and compare them with their digests."""
    ledger, blobs = workspace.ledger, workspace.blobs
    defects: list[str] = []
    packages = {version.digest: version for name in ledger.projects() for version in ledger.versions(name)}
    for digest, version in packages.items():
        defect = blobs.defect(digest)
        if defect:
            defects.append(t("the package of {version}: {defect}", version=version.version, defect=defect))
    tell(t("{count} packages", count=len(packages)))
    kept = 0
    for digest in blobs.digests():
        kept += 1
        try:
            blobs.get(digest)
        except WorkspaceError as error:
            defects.append(str(error))
    tell(t("{count} blobs", count=kept))
    files = 0
    for name in ledger.projects():
        for made in ledger.materialisations(name):
            path = lookups.place(workspace.lookups, made)
            if path.is_file():
                files += 1
                if digests.of_file(path) != made.sha256:
                    defects.append(t("{path}: its SHA-256 is no longer its name", path=path))
    tell(t("{count} files of look-ups", count=files))
    return Proof(len(packages), kept, files, tuple(defects))
