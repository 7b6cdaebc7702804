"""What was taken out of journals that may only be read: a mark for each segment, left where their writers may read.

A service with a folder of its own writes there and nowhere else; whoever collects writes to the workspace and nowhere
else. The mark says that a segment's lines are safe in the lake, so its writer may remove it; when it is gone the mark
goes too. Each folder has one writer, and none of them needs a right to another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import disk

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

FOLDER = "taken"


def mark(root: Path, name: str) -> None:
    """Say in the workspace ``root`` that the segment of this name is in the lake."""
    folder = root / FOLDER
    with disk.explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / name).touch()
        disk.sync_folder(folder)


def is_marked(root: Path, name: str) -> bool:
    """Whether the segment is in the lake."""
    return (root / FOLDER / name).is_file()


def forget(root: Path, there: Collection[str]) -> None:
    """Remove the marks of segments that are no longer ``there``."""
    folder = root / FOLDER
    with disk.explained(folder):
        for path in folder.glob("*"):
            if path.name not in there:
                path.unlink(missing_ok=True)
