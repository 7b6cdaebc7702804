"""Numbered batches from an HTTP service: each is one commit whose transaction holds its number.

What was taken is what the lake says, so a client killed at any point goes on behind the last commit. A
number once taken is never asked for again: should the service later hand out another body under it, that
is not seen. The same body under a second number is a batch handed out twice; it is noted and adds no row.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from relevo import disk, reading
from relevo.errors import DataError, WorkspaceError
from relevo.ingest import documents
from relevo.ingest.fetch import Answer, Limits, TemporaryError, fetch
from relevo.ingest.raw import Piece
from relevo.ingest.variables import filled
from relevo.lake import escape_glob, literal
from relevo.reading.files import opened
from relevo.sources import NUMBER, SUFFIXES, WEB, Files, public
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.ingest.raw import Raw
    from relevo.sources import Batches, BatchFormat, Format

TYPES: dict[str, BatchFormat] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "text/json": "json",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/jsonlines": "jsonl",
    "application/ndjson": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
BODY, LINES = "body", "lines"
"""Files of a scratch folder: a body as it came, and a JSON document's rows as JSON lines."""
TAIL = 1 << 16
"""Bytes at the end of JSON lines in which the last line is looked for."""


def collect(source: Batches, raw: Raw) -> list[Piece]:
    """Take the batches behind the last one taken, up to the end or ``per_run`` of them."""
    service = _service(source)
    known = raw.pieces()
    number = first = max((int(piece.batch) + 1 for piece in known), default=source.first)
    taken = {piece.digest for piece in known}
    left = None if source.per_run is None else source.per_run - _since(raw, known)
    while left is None or left > 0:
        if raw.done(_transaction(raw, number)):
            number += 1
            continue
        with raw.scratch() as folder:
            try:
                more = _take(source, service, number, raw, taken, folder)
            except (DataError, WorkspaceError) as error:
                said = str(error)
                for path in (folder / BODY, folder / LINES):
                    said = said.replace(str(path), service.at(number))
                raise type(error)(f"{said} {_kept(number, source)}") from error
        if not more:
            break
        number, left = number + 1, None if left is None else left - 1
    if number == first and not known:
        raise DataError(t("{url}: there is no batch {number}.", url=service.at(number), number=number))
    return sorted(raw.pieces(), key=lambda piece: int(piece.batch))


@dataclass(frozen=True)
class Service:
    """Where batches are asked for; ``shown`` is the URL without what is secret."""

    url: str
    shown: str
    headers: dict[str, str]

    def at(self, number: int) -> str:
        """The shown URL of one batch."""
        return self.shown.replace(NUMBER, str(number))


def _service(source: Batches) -> Service:
    url = filled(source.url, source.place, ascii_only=True)
    shown = public(url)
    if not url.startswith(WEB) or NUMBER not in url:
        raise DataError(
            t("{url}: write http://… or https://… with {number} in it.", url=shown, number=NUMBER)
        )
    headers = {name: filled(value, source.place, ascii_only=True) for name, value in source.headers.items()}
    scheme, rest = url.split("://", 1)
    user, at, host = urlsplit(url).netloc.rpartition("@")
    if at:
        url = f"{scheme}://{host}{rest[len(user) + 1 + len(host) :]}"
        secret = base64.b64encode(unquote(user).encode()).decode()
        headers = {"Authorization": f"Basic {secret}", **headers}
    return Service(url, shown, headers)


def _since(raw: Raw, known: list[Piece]) -> int:
    """How many batches a run took that then ended before its snapshot was recorded: they are of this one.

    A recorded snapshot that has none of them was of another source.
    """
    recorded = {content for _, content in raw.previous.files} if raw.previous else set()
    new = [piece for piece in known if piece.digest not in recorded]
    return 0 if recorded and len(new) == len(known) else len(new)


def _transaction(raw: Raw, number: int) -> str:
    return f"batches:{raw.identity}:{number}"


def _kept(number: int, source: Batches) -> str:
    if number == source.first:
        return t("No batch was taken yet; run it again when the service is well.")
    return t(
        "The batches up to {last} are kept; run it again and it goes on with batch {next}.",
        last=number - 1,
        next=number,
    )


def _take(source: Batches, service: Service, number: int, raw: Raw, taken: set[str], folder: Path) -> bool:
    """Take one batch; says whether there was one."""
    body, lines, shown = folder / BODY, folder / LINES, service.at(number)
    limits = Limits(source.timeout, source.tries, source.patience, source.largest)
    found: list[tuple[Format, Path]] = []
    answer = fetch(
        service.url.replace(NUMBER, str(number)),
        shown,
        service.headers,
        limits,
        body,
        expected=tuple(status for status in source.end if isinstance(status, int)),
        accept=lambda answer: found.append(_look(source, answer, body, lines, shown)),
    )
    if not found:
        return False
    kind, path = found[-1]
    encoding = "utf-8" if path == lines else _encoding(source, answer)
    empty = _is_empty(kind, path, encoding, raw)
    if empty and "empty" in source.end:
        return False
    piece = Piece(shown, str(number), answer.digest)
    if empty or answer.digest in taken:
        raw.mark(_transaction(raw, number))
        raw.tell(t("{url}: nothing new in it", url=shown))
    else:
        how = Files(shown, kind, source.delimiter, source.quote, source.escape, encoding)
        raw.add_file(piece, reading.File(path, shown, kind), how, _transaction(raw, number))
        raw.tell(t("{url}: {size:,} bytes taken", url=shown, size=answer.size))
    taken.add(answer.digest)
    raw.received(answer.size)
    return True


def _encoding(source: Batches, answer: Answer) -> str:
    return source.encoding or answer.charset or "utf-8"


def _is_empty(kind: Format, path: Path, encoding: str, raw: Raw) -> bool:
    """Whether there is no row: no object, or nothing below a header."""
    if kind == "parquet":
        query = f"select sum(num_rows) from parquet_file_metadata({literal(escape_glob(str(path)))})"
        ((count,),) = raw.connection.execute(query).fetchall()
        return not count
    with opened(path, "", encoding) as text:
        lines = (line for line in text if line.strip())
        return len(list(islice(lines, 2))) < (2 if kind == "csv" else 1)


def _look(source: Batches, answer: Answer, body: Path, lines: Path, shown: str) -> tuple[Format, Path]:
    """Say what a body is and in which file its rows are; raises ``TemporaryError`` when its end is missing."""
    if not answer.size:
        raise TemporaryError(t("its answer has no byte"))
    kind = source.format or TYPES.get(answer.type) or _by_ending(shown)
    if kind is None:
        raise DataError(
            t(
                "{url}: its type “{type}” does not say what it is. Write Batches(…, format=…), one of {formats}.",
                url=shown,
                type=answer.type,
                formats="csv, json, jsonl, parquet",
            )
        )
    if kind == "json":
        _lines(source, answer, body, lines, shown)
        return "jsonl", lines
    if kind == "jsonl":
        _check_last_line(body)
    if kind == "parquet":
        _check_footer(body)
    return kind, body


def _by_ending(shown: str) -> BatchFormat | None:
    path = urlsplit(shown).path.lower()
    return "json" if path.endswith(".json") else SUFFIXES.get("." + path.rpartition(".")[2])


def _lines(source: Batches, answer: Answer, body: Path, lines: Path, shown: str) -> None:
    with opened(body, "", _encoding(source, answer)) as text:
        document = text.read()
    with disk.explained(lines), lines.open("w", encoding="utf-8", newline="\n") as out:
        try:
            documents.rewrite(document, source.rows, out, shown)
        except ValueError as error:
            raise TemporaryError(t("its answer is not whole JSON: {error}", error=error)) from error
        except RecursionError as error:
            raise DataError(t("{url}: its JSON is nested too deeply.", url=shown)) from error


def _check_last_line(body: Path) -> None:
    with body.open("rb") as file:
        file.seek(max(0, body.stat().st_size - TAIL))
        last = file.read().rstrip().rpartition(b"\n")[2]
    if len(last) < TAIL:
        try:
            json.loads(last)
        except ValueError as error:
            raise TemporaryError(t("its last line is not whole JSON: {error}", error=error)) from error


def _check_footer(body: Path) -> None:
    with body.open("rb") as file:
        file.seek(max(0, body.stat().st_size - 4))
        if file.read() != b"PAR1":
            raise TemporaryError(t("its answer is no Parquet file, or its end is missing"))
