"""A document as Markdown (CommonMark, tables as GitHub has them); no name in the data can become markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relevo.report.document import Grid, Items, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.report.document import Block, Document

_MARKUP = re.compile(r"([\\`*_\[\]<>|~#&])")
_BEGINS = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))")
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])")


def render(document: Document) -> str:
    """Write a document."""
    parts = [f"# {_inline(document.title)}", _begun(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {_inline(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join([*parts, "---", _begun(document.footer)]) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text(text):
            return _begun(text)
        case Items(items):
            return "\n".join(f"- {_begun(item)}" for item in items)
        case Grid(caption, columns, rows):
            lines = [_row(columns), _row(["---"] * len(columns), plain=True), *map(_row, rows)]
            return f"{_begun(caption)}\n\n" + "\n".join(lines)


def _row(cells: Sequence[str], *, plain: bool = False) -> str:
    return "| " + " | ".join(cell if plain else _inline(cell) for cell in cells) + " |"


def _inline(text: str) -> str:
    """Text on one line, of which nothing is markup or becomes a link by itself."""
    line = " ".join(text.split())
    return _LINK.sub("\\g<1>\u200b", _MARKUP.sub(r"\\\1", line))


def _begun(text: str) -> str:
    """The same at the beginning of a line, where more is markup: lists, numbers, lines under headings."""
    return _BEGINS.sub(lambda found: f"{found[1]}{_harmless(found[2])}", _inline(text))


def _harmless(mark: str) -> str:
    return f"\\{mark}" if not mark.isdigit() else f"{mark}\\"
