"""Where a project's services listen: a note in the workspace for as long as one does.

A note is a file that its process keeps locked. The kernel frees the lock however the process ends, so a note that is
not locked is that of a service which is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from relevo import disk
from relevo.ids import uuid7
from relevo.records import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "services"
_SUFFIX = ".json"


@contextmanager
def announced(root: Path, address: str) -> Iterator[None]:
    """Say in the workspace ``root`` that a service listens at a URL, for the block."""
    folder = root / FOLDER
    with disk.explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{uuid7()}{_SUFFIX}"
    with disk.explained(path):
        descriptor = disk.lock_file(path)
    assert descriptor is not None, path  # the name is new: nobody else has it
    try:
        note = {"address": address, "pid": os.getpid(), "since": now()}
        with disk.explained(path):
            os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def services(root: Path) -> list[dict[str, Any]]:
    """The services that listen now, the newest first: ``address``, ``pid`` and ``since``. Notes of dead ones go."""
    found = []
    for path in (root / FOLDER).glob(f"*{_SUFFIX}"):
        with suppress(OSError, ValueError):  # one that is being written has no note yet
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _is_held(descriptor):
                    found.append(json.loads(os.pread(descriptor, 1 << 16, 0)))
                else:
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
    return sorted(found, key=lambda note: str(note["since"]), reverse=True)


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
