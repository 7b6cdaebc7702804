"""A folder in which files appear: each is taken once and stays in force."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from relevo import reading
from relevo.errors import DataError
from relevo.ingest import files
from relevo.reading.files import readable
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.ingest.raw import Piece, Raw
    from relevo.sources import Folder


def collect(source: Folder, raw: Raw) -> list[Piece]:
    """Add the files that are new; whatever was ever taken is in force."""
    known = raw.pieces()
    folder = raw.root / source.path
    if known and not folder.is_dir():
        raise DataError(
            t(
                "There is no folder {folder}. What was taken from it is kept; make it, then run again.",
                folder=folder,
            )
        )
    taken = {piece.digest for piece in known}
    new = {}
    for file in _settled(reading.find(source.files, raw.root, required=not known), source, raw):
        content = reading.content(file, source.files)
        if content not in taken:
            taken.add(content)
            new[file] = content
    if not source.reuse_names:
        _refuse_other_content(new, {piece.source for piece in known})
    files.inspect(new, source.files, raw)
    for file, content in new.items():
        try:
            files.add(file, content, source.files, raw)
            raw.received(file.path.stat().st_size)
        except files.ChangedError:
            _leave(file, raw)
    return sorted(raw.pieces())


def _settled(found: list[reading.File], source: Folder, raw: Raw) -> list[reading.File]:
    """Wait once for the files that changed a moment ago, and leave out those that go on changing."""
    before = {file: _state(file) for file in found}
    now = time.time()
    young = [file for file in found if abs(now - before[file][1] / 1e9) < source.settled]
    if young:
        time.sleep(source.settled)
    growing = {file for file in young if _state(file) != before[file]}
    for file in growing:
        _leave(file, raw)
    return [file for file in found if file not in growing]


def _state(file: reading.File) -> tuple[int, int]:
    with readable(file.path):
        stat = file.path.stat()
    return stat.st_size, stat.st_mtime_ns


def _leave(file: reading.File, raw: Raw) -> None:
    raw.tell(t("{file} is still being written; it is left for the next run", file=file.name))


def _refuse_other_content(new: Mapping[reading.File, str], names: set[str]) -> None:
    for file in new:
        if file.name in names:
            raise DataError(
                t(
                    "{file}: a file of this name was taken before and had other content, so its rows may be there"
                    " already. Give new rows a file with a name of its own; with Folder(…, reuse_names=True) the"
                    " whole file counts as new.",
                    file=file.path,
                )
            )
