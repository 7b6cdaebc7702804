"""Which files a source means, and how their bytes become text."""

from __future__ import annotations

import codecs
import glob
import gzip
import io
import os
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from relevo import digest as digests
from relevo import disk
from relevo.casting import literal
from relevo.errors import DataError
from relevo.sources import SUFFIXES, Batches, Files, Folder, Query, Rows
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from relevo.sources import Format, Source

VERSION = 1
"""Raised when the same bytes would give other raw rows."""
PACKED = (".gz", ".zst")
CHUNK = 1 << 20
LONGEST = 2_000_000
"""Bytes of a row that DuckDB reads at most; longer ones mean that the dialect is wrong."""
NO_NULL = "7d1c43f0-no-cell-is-null-a7b2e9"
"""DuckDB needs a text that means null in a CSV file, where none does."""
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class File:
    """One file of a source. ``name`` is its path below the project, or below the pattern's fixed part."""

    path: Path
    name: str
    format: Format

    @property
    def packed(self) -> str:
        """``.gz``, ``.zst`` or nothing."""
        suffix = self.path.suffix.lower()
        return suffix if suffix in PACKED and self.format != "parquet" else ""


@dataclass(frozen=True)
class Layout:
    """What a file's beginning says. JSON lines have no header: their ``columns`` are empty here."""

    columns: tuple[str, ...]
    delimiter: str = ","
    orderly: bool = True
    """Whether the header stands in the very first line."""


def find(source: Files, root: Path, *, required: bool = True) -> list[File]:
    """List a source's files in name order; raises ``DataError`` when there are none and one is required."""
    found = _paths(source.pattern, root)
    if not found and required:
        raise DataError(
            t(
                "There is no file {pattern} below {root}. Put it there, or give another with --set TABLE=PATH.",
                pattern=source.pattern,
                root=root,
            )
        )
    return [
        File(path, name, source.format or _format(path, source))
        for path, name in sorted(found, key=lambda f: f[1])
    ]


def identity(source: Source) -> str:
    """Digest of how a source is read and, unless it is ``Files``, of where it is.

    The same bytes read otherwise are other rows. It holds what the project declares: no password, and not
    what an environment variable says.
    """
    match source:
        case Files():
            how = [*_dialect(source), *([source.origin] if source.origin else [])]
        case Folder():
            how = ["folder", source.path, *_dialect(source.files)]
        case Query():
            how = ["query", source.place, source.sql, source.watermark, VERSION]
        case Batches():
            how = ["batches", source.place, source.rows, *_dialect(source)]
        case Rows():
            how = ["rows", source.name, VERSION]
    return digests.of_json(how)[:12]


def _dialect(source: Files | Batches) -> list[object]:
    return [source.format, source.delimiter, source.quote, source.escape, source.encoding, VERSION]


def in_force(source: Source, contents: Iterable[str]) -> str:
    """Write the SQL condition for the rows of ``raw`` that came from pieces with these digests."""
    listed = ", ".join(literal(content) for content in sorted(set(contents)))
    return f"_reading = {literal(identity(source))} and _file in ({listed})"


def _paths(pattern: str, root: Path) -> list[tuple[Path, str]]:
    written = Path(pattern).expanduser()
    whole = root / written
    if whole.is_file():
        matches = [str(whole)]
    elif whole.is_dir():
        raise DataError(t("{path} is a folder. Write which files of it, such as {path}/*.csv.", path=whole))
    else:
        escaped = whole if written.is_absolute() else Path(glob.escape(str(root))) / written
        matches = glob.glob(str(escaped), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    paths = [Path(match) for match in matches if Path(match).is_file()]
    return [(path, _name(path, pattern, root)) for path in paths]


def _name(path: Path, pattern: str, root: Path) -> str:
    full, base = os.path.abspath(path), os.path.abspath(root)  # noqa: PTH100 - symbolic links stay
    if not full.startswith(base + os.sep):
        fixed = []
        for part in Path(os.path.abspath(root / pattern)).parts[:-1]:  # noqa: PTH100
            if glob.has_magic(part):
                break
            fixed.append(part)
        base = str(Path(*fixed))
    return Path(os.path.relpath(full, base)).as_posix()


def _format(path: Path, source: Files) -> Format:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    kind = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise DataError(
            t(
                "{file}: its ending does not say what it is. Write Files({pattern!r}, format=…), one of {formats}.",
                file=path,
                pattern=source.pattern,
                formats="csv, parquet, jsonl",
            )
        )
    if kind == "parquet" and path.suffix.lower() in PACKED:
        raise DataError(
            t("{file}: Parquet inside {packed} cannot be read. Unpack it.", file=path, packed=path.suffix)
        )
    return kind


def is_utf8(encoding: str, path: Path) -> bool:
    """Whether an encoding is UTF-8; raises ``DataError`` when Python has none of this name."""
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    except LookupError as error:
        raise DataError(
            t(
                "{file}: there is no encoding “{encoding}”. Write one of Python's, such as utf-8, latin-1 or cp1252.",
                file=path,
                encoding=encoding,
            )
        ) from error


def content(file: File, source: Files) -> str:
    """What a file is known by: the digest of its bytes and, where rows say which file they stand in, of its name."""
    with readable(file.path):
        found = digests.of_file(file.path)
    return digests.of_json([file.path.name, found]) if source.origin else found


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the failures of opening and unpacking a source file into ``DataError``."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            t("{file}: it is damaged ({error}). Fetch it again.", file=path, error=error)
        ) from error
    except OSError as error:
        raise DataError(
            t("{file}: it cannot be read ({error}). Check the path and its rights.", file=path, error=error)
        ) from error


@contextmanager
def opened(path: Path, packed: str, encoding: str) -> Iterator[TextIO]:
    """Open a file as text with its line ends as they are; raises ``DataError`` at bytes that are no text."""
    codec = "utf-8-sig" if is_utf8(encoding, path) else encoding
    with readable(path), _bytes(path, packed) as binary, io.TextIOWrapper(binary, codec, newline="") as text:
        try:
            yield text
        except UnicodeError as error:
            raise _undecodable(path, packed, encoding, error) from error


def _bytes(path: Path, packed: str) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if packed == ".gz" else path.open("rb")


def _undecodable(path: Path, packed: str, encoding: str, error: UnicodeError) -> DataError:
    line, wrong, start = 1, str(error), b""
    decoder = codecs.getincrementaldecoder(encoding)()
    with _bytes(path, packed) as binary:
        while chunk := binary.read(CHUNK):
            start = start or chunk[:4]
            try:
                line += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as place:
                line += bytes(place.object[: place.start]).count(b"\n")
                wrong = " ".join(f"0x{byte:02X}" for byte in place.object[place.start : place.end])
                break
    guess = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    other = guess or ("latin-1" if is_utf8(encoding, path) else "utf-8")
    return DataError(
        t(
            "{file}, line {line}: {bytes} is not {encoding}. Write the file's own encoding, such as"
            ' Files(…, encoding="{other}").',
            file=path,
            line=line,
            bytes=wrong,
            encoding=encoding,
            other=other,
        )
    )


class _ScratchFile(io.FileIO):
    """A file whose failures are the workspace's, not the source's that is read meanwhile."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise disk.explain(error, Path(str(self.name))) from error


def scratch_file(path: Path) -> TextIO:
    """Open a UTF-8 text file to write, with line ends as given."""
    with disk.explained(path):
        raw = _ScratchFile(str(path), "w")
    return io.TextIOWrapper(io.BufferedWriter(raw, CHUNK), "utf-8", newline="")


def columns_of(header: Sequence[str], place: str, reserved: Sequence[str]) -> tuple[str, ...]:
    """Name the columns of ``place``: blanks around go, a name left empty becomes ``column3``.

    Raises ``DataError`` for a name that stands twice (capitals do not tell them apart) or is Relevo's own.
    """
    names = tuple(name.strip() or f"column{place}" for place, name in enumerate(header, 1))
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise DataError(
                t(
                    "{file}: the column “{name}” stands twice in the header. Rename or remove one; capitals do not"
                    " tell columns apart.",
                    file=place,
                    name=name,
                )
            )
        if name.casefold() in reserved:
            raise DataError(
                t(
                    "{file}: the column “{name}” has a name that Relevo uses itself. Rename it in the file.",
                    file=place,
                    name=name,
                )
            )
        seen.add(name.casefold())
    return names
