"""Write files for another engine, and tell those that were edited by hand since.

What was written last is remembered beside the files, by engine, path and digest. A file that still is what was written,
for whatever engine, is ours to replace; one that is not is somebody's work. What several wrote goes with the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import disk
from relevo.errors import WorkspaceError
from relevo.ids import uuid7
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REMEMBERED = ".relevo-export.json"
KEPT = ".orig"
"""What is added to the name of an edited file that is replaced."""


@dataclass(frozen=True)
class Written:
    """What became of one file. ``diff`` leads from the edited file to what would be written.

    ``state``: ``new``, ``unchanged``, ``updated``, ``removed`` (it is written no longer), ``edited`` (by hand: left as
    it is), ``replaced`` (edited, and kept beside it as ``NAME.orig``).
    """

    path: str
    state: str
    diff: str = ""


def write(files: Mapping[str, str], folder: Path, *, engine: str, force: bool = False) -> tuple[Written, ...]:
    """Write ``files``, texts by their path below ``folder``; all of them, or none when one was edited by hand.

    A text that begins with ``#!`` becomes executable. With ``force`` edited files are replaced, and kept as
    ``NAME.orig``. Raises ``WorkspaceError`` when the folder cannot be written.
    """
    with disk.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remembered = _remembered(folder)
        before: Mapping[str, str] = remembered.get(engine, {})
        others = [paths for name, paths in remembered.items() if name != engine]
        found = []
        for path, text in files.items():
            known = {paths[path] for paths in (before, *others) if path in paths}
            found.append(_compare(folder, path, text, known, force=force))
        left = {path: known for path, known in before.items() if path not in files}
        found += [
            _left(folder, path, left[path]) for path in left if not any(path in paths for paths in others)
        ]
        found = [one for one in found if one.state != "gone"]
        if any(one.state == "edited" and one.path in files for one in found):
            return tuple(found)
        for one in found:
            _carry_out(folder, one, files)
        now = {path: _digest(text) for path, text in files.items()}
        _put(folder / REMEMBERED, json.dumps({**remembered, engine: now}, indent=1, sort_keys=True) + "\n")
    return tuple(found)


def _digest(text: str) -> str:
    return digests.of_bytes(text.encode())


def _remembered(folder: Path) -> dict[str, Any]:
    place = folder / REMEMBERED
    if not place.exists():
        return {}
    try:
        found = json.loads(place.read_text("utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise WorkspaceError(
            t(
                "{path}: is not what was written there. Restore it, or remove it; then every file that differs counts "
                "as edited by hand.",
                path=place,
            )
        )
    return found


def _read(place: Path) -> str | None:
    if not place.exists():
        return None
    return place.read_bytes().decode("utf-8", errors="replace")


def _compare(folder: Path, path: str, text: str, known: set[str], *, force: bool) -> Written:
    there = _read(folder / path)
    if there is None:
        return Written(path, "new")
    if there == text:
        return Written(path, "unchanged")
    if _digest(there) in known:
        return Written(path, "updated")
    lines = unified_diff(
        there.splitlines(keepends=True),
        text.splitlines(keepends=True),
        t("{path} (as it is)", path=path),
        t("{path} (as it would be)", path=path),
    )
    diff = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return Written(path, "replaced" if force else "edited", diff)


def _left(folder: Path, path: str, known: str) -> Written:
    """What is no longer written: removed if it is ours still."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        return Written(path, "gone")
    there = _read(folder / path)
    if there is None:
        return Written(path, "gone")
    return Written(path, "removed" if _digest(there) == known else "edited")


def _carry_out(folder: Path, one: Written, files: Mapping[str, str]) -> None:
    place = folder / one.path
    if one.state == "removed":
        place.unlink()
        return
    if one.state in {"unchanged", "edited"}:
        return
    if one.state == "replaced":
        place.replace(_free(place.with_name(place.name + KEPT)))
    place.parent.mkdir(parents=True, exist_ok=True)
    _put(place, files[one.path])


def _put(place: Path, text: str) -> None:
    made = place.with_name(f".{place.name}.{uuid7()}")
    try:
        disk.write_synced(made, text.encode())
        made.chmod(0o755 if text.startswith("#!") else 0o644)
        disk.publish(made, place)
    finally:
        made.unlink(missing_ok=True)


def _free(place: Path) -> Path:
    """This name, or the first with a number that nothing has: what somebody edited is never lost."""
    names = (place, *(place.with_name(f"{place.name}.{number}") for number in range(1, 1000)))
    return next(name for name in names if not name.exists())
