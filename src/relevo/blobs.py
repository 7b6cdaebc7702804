"""Blobs: content stored under its own digest, and model packages under their manifest's.

Nothing has its final name before all of it is on the disk, so a name that exists is whole; reading checks
it all the same. Putting the same content twice, also from two processes at once, is fine, and heals a
copy that was damaged.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo import disk
from relevo.errors import PackageError, WorkspaceError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "manifest.json"
_DIGEST = re.compile("[0-9a-f]{64}")


class Blobs:
    """A folder of content-addressed blobs. Safe to share among threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its SHA-256."""
        digest = digests.of_bytes(data)
        if not self.has(digest) or digests.of_file(self._path(digest)) != digest:
            self._write(self._path(digest), data)
        return digest

    def get(self, digest: str) -> bytes:
        """Read a blob; raises ``WorkspaceError`` when it is absent or no longer what was stored."""
        path = self._path(digest)
        with disk.explained(path):
            data = path.read_bytes()
        if digests.of_bytes(data) != digest:
            raise WorkspaceError(
                t(
                    "{path}: was altered after it was stored: its SHA-256 is no longer its name. Restore it from a "
                    "backup, or remove it and run again.",
                    path=path,
                )
            )
        return data

    def has(self, digest: str) -> bool:
        """Whether a blob is there."""
        return self._path(digest).is_file()

    def put_folder(self, folder: Path, digest: str) -> Path:
        """Store a model package, the manifest and each file it lists, and return where.

        Raises ``PackageError`` when the manifest's SHA-256 is not ``digest`` or a file is not as the
        manifest says; nothing is stored then.
        """
        final = self._package(digest)
        if final.is_dir() and not _defect(final, digest):
            return final
        with disk.scratch(self._incoming) as scratch, disk.explained(final):
            made = scratch / digest
            _copy(folder, made)
            defect = _defect(made, digest)
            if defect:
                raise PackageError(t("{folder}: cannot be stored: {defect}.", folder=folder, defect=defect))
            final.parent.mkdir(parents=True, exist_ok=True)
            self._move(made, final, scratch)
        return final

    def folder(self, digest: str) -> Path:
        """Where a package is; raises ``PackageError`` when it is absent or its manifest was altered.

        The other files are checked against the manifest by whoever loads them.
        """
        path = self._package(digest)
        manifest = path / MANIFEST
        if not manifest.is_file():
            raise PackageError(
                t(
                    "The package {digest} is not in {root}. Restore it from a backup, or run again to make it anew.",
                    digest=digest[:12],
                    root=self.root,
                )
            )
        with disk.explained(manifest):
            found = digests.of_file(manifest)
        if found != digest:
            raise PackageError(
                t("{path}: was altered: its SHA-256 is {found}.", path=manifest, found=found[:12])
            )
        return path

    def defect(self, digest: str) -> str:
        """What makes a package unlike what was stored under this digest, file by file; empty when it is whole."""
        path = self._package(digest)
        if not path.is_dir():
            return t("it is not in {root}", root=self.root)
        return _defect(path, digest)

    def digests(self) -> Iterator[str]:
        """The digests of all blobs, packages apart."""
        for path in sorted((self.root / "objects").glob("??/*")):
            if _DIGEST.fullmatch(path.name):
                yield path.name

    def sweep(self) -> None:
        """Remove what processes killed while storing left behind."""
        disk.sweep(self._incoming)

    def _path(self, digest: str) -> Path:
        _check(digest)
        return self.root / "objects" / digest[:2] / digest

    def _package(self, digest: str) -> Path:
        _check(digest)
        return self.root / "packages" / digest

    def _write(self, path: Path, data: bytes) -> None:
        with disk.scratch(self._incoming) as scratch, disk.explained(path):
            disk.write_synced(scratch / "blob", data)
            disk.publish(scratch / "blob", path)

    @staticmethod
    def _move(made: Path, final: Path, scratch: Path) -> None:
        if final.is_dir() and _defect(final, final.name):
            final.rename(scratch / "damaged")
        try:
            made.rename(final)
        except OSError:  # another process stored it first; a folder never replaces a full one
            if not final.is_dir() or _defect(final, final.name):
                raise
        disk.sync_folder(final.parent)


def _check(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise WorkspaceError(t("“{digest}” is not a SHA-256 of 64 hexadecimal digits.", digest=digest[:80]))


def _listed(manifest: bytes) -> dict[str, Any]:
    """Map each file that a manifest lists to its description; raises ``ValueError`` on a path that leaves."""
    files = json.loads(manifest)["files"]
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name:
            raise ValueError(name)
    return dict(files)


def _copy(folder: Path, made: Path) -> None:
    """Copy the manifest and the files it lists, each flushed to the disk."""
    try:
        manifest = (folder / MANIFEST).read_bytes()
        names = _listed(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackageError(t("{folder}: is not a package: {error!r}.", folder=folder, error=error)) from error
    made.mkdir()
    disk.write_synced(made / MANIFEST, manifest)
    folders = {made}
    for name in names:
        source, target = folder / name, made / name
        if not source.is_file():
            raise PackageError(t("{folder}: the file {name} is absent.", folder=folder, name=name))
        target.parent.mkdir(parents=True, exist_ok=True)
        folders.add(target.parent)
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
    for one in folders:
        disk.sync_folder(one)


def _defect(folder: Path, digest: str) -> str:
    """What makes a package's folder unlike its digest; empty when it is whole."""
    try:
        manifest = (folder / MANIFEST).read_bytes()
        if digests.of_bytes(manifest) != digest:
            return t("the SHA-256 of {name} is not {digest}", name=MANIFEST, digest=digest[:12])
        for name, said in _listed(manifest).items():
            path = folder / name
            if path.stat().st_size != said["bytes"] or digests.of_file(path) != said["sha256"]:
                return t("{name} is not as the manifest says", name=name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return t("it cannot be read ({error!r})", error=error)
    return ""
