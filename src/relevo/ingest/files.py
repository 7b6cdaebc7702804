"""Files: what they hold now is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import reading
from relevo.errors import DataError
from relevo.ingest.raw import Piece
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from relevo.ingest.raw import Raw
    from relevo.sources import Files


class ChangedError(DataError):
    """A file changed while it was read."""


def collect(source: Files, raw: Raw) -> list[Piece]:
    """Add the files that are new; all that are there are in force, copies among them."""
    files = reading.find(source, raw.root)
    contents = {file: reading.content(file, source) for file in files}
    inspect(files, source, raw)
    known = {piece.digest for piece in raw.pieces()}
    for content, file in _once(contents).items():
        if content not in known:
            add(file, content, source, raw)
    raw.received(sum(file.path.stat().st_size for file in files))
    return sorted(Piece(file.name, file.name, content) for file, content in contents.items())


def inspect(files: Iterable[reading.File], source: Files, raw: Raw) -> None:
    """Look at every header before any row is added; raises ``DataError``."""
    for file in files:
        reading.inspect(raw.connection, file, source, raw.contract)


def add(file: reading.File, content: str, source: Files, raw: Raw) -> None:
    """Add a file's rows; raises ``ChangedError`` when it is no longer the one with this digest."""
    transaction = f"ingest:{content}:{raw.identity}"
    check = _unchanged(file, source, content)
    raw.add_file(Piece(file.name, file.name, content), file, source, transaction, check)


def _unchanged(file: reading.File, source: Files, content: str) -> Callable[[], None]:
    def check() -> None:
        if reading.content(file, source) != content:
            raise ChangedError(
                t("{file}: it changed while it was read. Try again when it is complete.", file=file.path)
            )

    return check


def _once(contents: Mapping[reading.File, str]) -> dict[str, reading.File]:
    """Leave out the copies of a file."""
    first: dict[str, reading.File] = {}
    for file, content in contents.items():
        first.setdefault(content, file)
    return first
