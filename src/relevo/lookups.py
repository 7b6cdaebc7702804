"""The keyed files that a package answers from: which they are, opening them, and the age of what they know."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from relevo import clock
from relevo import digest as digests
from relevo.errors import PackageError
from relevo.keyed import FORMAT, KeyedFile
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relevo.ledger import Ledger
    from relevo.package import ModelPackage
    from relevo.records import Materialisation
    from relevo.workspace import Workspace

SUFFIX = ".lmdb"
SHORT = 12  # characters of a digest that tell a file apart in a log


def layout(history: Mapping[str, Any]) -> str:
    """Digest of the columns that a manifest's entry keeps of its history."""
    return digests.of_json([FORMAT, *(list(history[part]) for part in ("key", "columns", "types"))])


def place(folder: Path, made: Materialisation) -> Path:
    """Where the file of a materialisation is, below the workspace's folder of look-ups."""
    return folder / f"{made.sha256}{SUFFIX}"


def known(
    ledger: Ledger, project: str, histories: Sequence[Mapping[str, Any]]
) -> list[Materialisation | None]:
    """The newest materialisation of each of a manifest's entries as of one moment; None where there is none."""
    asked = [(str(one["name"]), str(one["shape"]), layout(one)) for one in histories]
    return ledger.newest(project, asked)


def facts(ledger: Ledger, package: ModelPackage) -> dict[str, Materialisation]:
    """The newest materialisation of each of a package's histories, so that those of two runs are never mixed.

    Raises ``PackageError`` when there is none.
    """
    found = {}
    newest = known(ledger, package.manifest.project, package.histories)
    for history, made in zip(package.histories, newest, strict=True):
        if made is None:
            raise PackageError(
                t(
                    "The history “{name}” is not at hand. `relevo run` in the project's folder makes it.",
                    name=history["name"],
                )
            )
        found[made.name] = made
    return found


def opened(folder: Path, package: ModelPackage, made: Mapping[str, Materialisation]) -> dict[str, KeyedFile]:
    """Check and map the files of ``facts``; raises ``WorkspaceError`` when one is absent or damaged."""
    found = {}
    for history in package.histories:
        name, width, types = str(history["name"]), len(history["key"]), history["types"]
        path, digest = place(folder, made[name]), made[name].sha256
        found[name] = KeyedFile.open(path, digest, key=types[:width], types=types[width:])
    return found


def newest(workspace: Workspace, package: ModelPackage) -> dict[str, KeyedFile]:
    """Open the newest keyed file of each of a package's histories, as ``ModelPackage.bind`` takes them."""
    return opened(workspace.lookups, package, facts(workspace.ledger, package))


def age(made: Materialisation) -> float | None:
    """Seconds since the newest row was known, by the clock on the wall here; None when there are no rows.

    Times in rows are local and without a zone, so both sides are.
    """
    if not made.newest:
        return None
    here = clock.now().astimezone().replace(tzinfo=None)
    return (here - datetime.fromisoformat(made.newest)).total_seconds()


def described(made: Materialisation) -> dict[str, Any]:
    """What is shown of a materialisation."""
    seconds = age(made)
    return {
        "name": made.name,
        "rows": made.rows,
        "newest_known_at": made.newest or None,
        "age_seconds": None if seconds is None else round(seconds, 3),
        "made_at": made.made_at,
        "digest": made.sha256,
    }
