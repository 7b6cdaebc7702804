"""A document of plain text: what the renderers make HTML and Markdown of. Nothing in it is markup."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table; ``caption`` says what its rows are."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Text | Items | Grid


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A title, a line under it, and sections; ``look`` is what a person should look at, also the first section."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    footer: str
    look: Sequence[str] = field(default=())
