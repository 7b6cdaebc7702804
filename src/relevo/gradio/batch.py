"""A file in, a file with an answer for each row out."""

from __future__ import annotations

import csv
import secrets
from asyncio import to_thread
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from relevo.errors import RelevoError, ServiceError
from relevo.gradio import shown
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo import AsyncClient

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".arrow": "arrow",
    ".arrows": "arrow",
}
"""Endings of files, and as what they are sent."""
_FEW = 10


@dataclass
class Counted:
    """What a file of answers holds: how many rows, how many of them refused, the first of these, the versions."""

    rows: int
    refused: int
    first: list[tuple[str, str]]
    versions: list[str]


async def scored(client: AsyncClient, given: str, folder: Path) -> tuple[Path, str]:
    """Score a file; gives one of answers in ``folder``, and what to say of it. Raises ``RelevoError``."""
    source = Path(given)
    form = FORMATS.get(source.suffix.lower())
    if form is None:
        said = t(
            "“{found}” is no format that is taken here. Give one of {forms}.",
            found=source.suffix,
            forms=", ".join(FORMATS),
        )
        raise ServiceError(said, status=415, title=said)
    if not await to_thread(source.is_file):
        said = t("The file is not kept any more. Give it again.")
        raise ServiceError(said, status=410, title=said)
    place = folder / secrets.token_hex(16)
    await to_thread(place.mkdir)
    target = place / f"{source.stem}-{t('scored')}{source.suffix}"
    try:
        await client.score(source, target, form)
    except RelevoError:
        await to_thread(place.rmdir)
        raise
    return target, await to_thread(_told, target, form)


def _told(target: Path, form: str) -> str:
    if form == "arrow":
        return shown.report(
            [t("The file is scored. Its column error says which rows were refused, and why.")], []
        )
    found = counted(_rows(target, form))
    said = [
        t("{rows:,} rows, {refused:,} of them refused.", rows=found.rows, refused=found.refused),
        t("Answered by version {version}.", version=", ".join(found.versions) or "-"),
    ]
    return shown.report(said, found.first)


def counted(rows: Iterator[dict[str, Any]]) -> Counted:
    """Count rows of answers."""
    found = Counted(0, 0, [], [])
    for row in rows:
        found.rows += 1
        if row.get("error"):
            found.refused += 1
            if len(found.first) < _FEW:
                found.first.append((str(row["row"]), str(row["error"])))
        elif row.get("version") and row["version"] not in found.versions:
            found.versions.append(str(row["version"]))
    return found


def _rows(path: Path, form: str) -> Iterator[dict[str, Any]]:
    if form == "jsonl":
        with path.open("rb") as lines:
            yield from map(orjson.loads, lines)
    else:
        with path.open(encoding="utf-8", newline="") as table:
            yield from csv.DictReader(table)
