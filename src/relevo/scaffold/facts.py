"""What is found in a file, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relevo.sources import Files
    from relevo.split import Split


@dataclass(frozen=True)
class Opened:
    """A file whose rows stand in the table ``cells``: column ``c0`` is the first, trimmed, empty is null."""

    path: Path
    source: Files
    headers: tuple[str, ...]
    rows: int
    damaged: int
    """Rows that no reader can make sense of; they go to quarantine."""


@dataclass(frozen=True)
class Form:
    """A way of writing numbers or dates that a contract cannot cast: it stays text, and SQL reads it.

    ``sql`` holds ``{x}`` where the column stands, and gives ``type``.
    """

    name: str
    type: str
    pattern: str
    sql: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the file, as the contract will see it. ``low`` and ``high`` are of its type.

    ``levels`` are the values with their counts, the most frequent first, when there are few.
    ``marks`` are the texts that mean null in it, ``strays`` the values that are not of its type.
    """

    place: int
    header: str
    name: str
    type: str
    rows: int
    form: Form | None = None
    marks: Mapping[str, int] = field(default_factory=dict)
    strays: int = 0
    stray: str = ""
    filled: int = 0
    distinct: int = 0
    levels: tuple[tuple[Any, int], ...] | None = None
    low: Any = None
    high: Any = None
    middle: Any = None
    shortest: int = 0
    longest: int = 0
    spaced: float = 0.0
    """Share of the texts with a blank in them."""
    increasing: bool = False
    """Whether every row has a greater value than the one before."""
    kinds: frozenset[str] = frozenset()
    """Which of the patterns in ``fields.CODES`` all its texts match."""

    @property
    def nulls(self) -> int:
        """Rows without a value."""
        return self.rows - self.filled

    @property
    def unique(self) -> bool:
        """Whether no two rows share a value."""
        return self.distinct == self.filled > 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The target: an expression over the fields, and the columns it is made of.

    ``known`` are those of its columns that are known when the question is asked.
    """

    expression: str
    sql: str
    columns: tuple[int, ...]
    known: tuple[int, ...] = ()
    positive: str
    negative: str
    why: str
    positives: int
    negatives: int
    unlabelled: int

    @property
    def rarer(self) -> int:
        """Rows of the rarer class."""
        return min(self.positives, self.negatives)

    @property
    def rate(self) -> float:
        """Share of positives among the rows with an outcome."""
        return self.positives / (self.positives + self.negatives)


@dataclass(frozen=True)
class Left:
    """A column left out of the request, and why; ``soft`` ones stay in, with the warning beside them."""

    column: Column
    reason: str
    soft: bool = False


@dataclass(frozen=True)
class Cut:
    """The split that was chosen, with the columns it needs and the reasons, one sentence each."""

    split: Split
    why: tuple[str, ...]
    time: Column | None = None
    group: Column | None = None
    left: tuple[Left, ...] = ()
    """Columns that are of no use under this split."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that was found, ready to be written down."""

    opened: Opened
    columns: tuple[Column, ...]
    """Those of the request, in the file's order, the soft suspects among them."""
    outcome: Outcome
    left: tuple[Left, ...]
    cut: Cut
    nulls: tuple[str, ...]
    kept_words: tuple[str, ...]
    """Sentences about texts that look like null and were kept as values, or whose points were taken for thousands."""
    all: tuple[Column, ...]
