"""The project: what a user writes in ``project.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from relevo.candidates import Tuning
from relevo.decisions import BestThreshold
from relevo.gate import Gate
from relevo.monitoring import Monitor, Retrain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from relevo.candidates import Candidate
    from relevo.decisions import Decision
    from relevo.population import Examples, History, Population, Recommend
    from relevo.sources import Source
    from relevo.split import Split
    from relevo.target import Target


@dataclass(frozen=True)
class Table:
    """A table: its contract, its source, and how raw rows become clean ones.

    ``key`` makes it a look-up: one row for each value of these columns, joined by ``features.sql``.
    ``event_time`` is the column that says when a row happened, ``known_at`` the one from which the row was
    known, where that was later. A time that is a date counts from the end of its day. A look-up with
    ``known_at`` may hold several rows for a key: each example sees the newest one known at its time.
    ``nulls`` are texts that mean null,
    ``unique`` columns that no two rows may share, ``where`` a SQL condition that rows must meet to be
    kept (the others are left out, not quarantined).
    """

    name: str
    contract: type[BaseModel]
    source: Source
    key: str | Sequence[str] = ()
    event_time: str | None = None
    known_at: str | None = None
    nulls: Sequence[str] = ()
    unique: Sequence[str] = ()
    where: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The key's columns; empty for a table that is not a look-up."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    @property
    def row_key(self) -> tuple[str, ...]:
        """What no two rows of a look-up share: its key, and when they were known where rows have a time."""
        return (*self.keys, self.known_at) if self.keys and self.known_at else self.keys

    @property
    def known(self) -> str | None:
        """The column from which a row was known; None when its rows have no time."""
        return self.known_at or self.event_time


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything about one model, from its data to its release.

    The first table without a key gives the examples, unless ``examples`` is a query that makes them: its
    rows are what the model learns from, and it holds the request's fields beside what is known only
    afterwards. ``history`` lists what ``features.sql`` may join as of each example's time. ``population``
    is what a batch run scores, ``monitor`` how it is watched, ``retrain`` when it is renewed by itself (never, by
    default), ``decision`` how probabilities become decisions, ``recommend`` what the
    service recommends. ``max_quarantined`` is the share of refused rows at which a run stops. ``root`` is
    the folder it was loaded from.
    """

    name: str
    tables: Sequence[Table]
    request: type[BaseModel]
    target: Target
    split: Split
    candidates: Sequence[Candidate]
    features: str = "features.sql"
    history: Sequence[History] = ()
    examples: Examples | None = None
    population: Population | None = None
    decision: Decision = field(default_factory=BestThreshold)
    recommend: Recommend | None = None
    metric: str = "f1"
    tuning: Tuning = field(default_factory=Tuning)
    gate: Gate = field(default_factory=Gate)
    monitor: Monitor = field(default_factory=Monitor)
    retrain: Retrain | None = None
    cases: str | None = None
    max_quarantined: float = 0.05
    description: str = ""
    root: Path = field(default_factory=Path)

    @property
    def main_table(self) -> Table:
        """The first table that is no look-up: its rows are learned from unless ``examples`` makes others."""
        return next(table for table in self.tables if not table.keys)

    @property
    def lookups(self) -> tuple[Table, ...]:
        """The tables joined by key whose rows have no time: they travel inside the package."""
        return tuple(table for table in self.tables if table.keys and table.known_at is None)
