"""Writing so that it stays, and temporary folders that do not.

A file appears under its final name whole or not at all: it is written beside its place, flushed to the
disk, then renamed. A temporary folder is guarded by a file that its process keeps locked, so another
process can tell the leftovers of a dead one from work in progress; the kernel frees the lock on kill -9.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from relevo.errors import WorkspaceError
from relevo.ids import uuid7
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
TROUBLES = _FULL | _DENIED
"""What a user mends at the disk, not in what was asked."""
_GUARD = ".lock"


def explain(error: OSError, path: Path) -> WorkspaceError:
    """Say what ``error`` means for ``path`` and what to do; the caller raises it."""
    if error.errno in _FULL:
        return WorkspaceError(
            t("{path}: the disk is full ({error}). Free some space, then try again.", path=path, error=error)
        )
    if error.errno in _DENIED:
        return WorkspaceError(
            t(
                "{path}: may not be written or read ({error}). Give your user the right to it, or set another "
                "workspace with RELEVO_WORKSPACE.",
                path=path,
                error=error,
            )
        )
    if error.errno == errno.ENOENT:
        return WorkspaceError(
            t(
                "{path}: is absent ({error}). Was it removed? `relevo run` makes it anew.",
                path=path,
                error=error,
            )
        )
    return WorkspaceError(
        t("{path}: cannot be used ({error}). Check the disk and the path.", path=path, error=error)
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` within the block into a ``WorkspaceError`` about ``path``."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries, so that a name given there survives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish(made: Path, final: Path) -> None:
    """Give a file its final name in one step; the folder is made when absent."""
    final.parent.mkdir(parents=True, exist_ok=True)
    made.replace(final)
    sync_folder(final.parent)


def lock_file(path: Path, *, shared: bool = False) -> int | None:
    """Lock ``path``, made when absent, and return its descriptor; None when another process has it.

    Any number of processes may have it ``shared``, as long as none has it for itself.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if is_named(descriptor, path):
            return descriptor
        os.close(descriptor)  # whoever had it removed it just before we locked it: this one is nobody's


def is_named(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is still the name of the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Make a folder below ``parent`` for the block, and remove it afterwards with all it holds."""
    folder = parent / uuid7()
    guard = folder.with_suffix(_GUARD)
    with explained(parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = lock_file(guard)
    assert descriptor is not None, guard  # the name is new: nobody else has it
    try:
        with explained(parent):
            folder.mkdir(mode=0o700)
        yield folder
    finally:
        _clear(folder, guard)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Remove what processes now dead left below ``parent``; what cannot be removed is left for the next time."""
    for guard in sorted(parent.glob(f"*{_GUARD}")):
        with suppress(OSError):
            descriptor = lock_file(guard)
            if descriptor is not None:
                _clear(guard.with_suffix(""), guard)
                os.close(descriptor)


def _clear(folder: Path, guard: Path) -> None:
    """Remove a folder, then its guard, which stays as long as anything of the folder does."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        if not folder.exists():
            guard.unlink(missing_ok=True)
