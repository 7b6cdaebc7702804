"""Many tables: rows to learn from, history known at a time, what a batch run scores, what is recommended.

Each is a DuckDB ``SELECT`` in a file of the project, over the clean tables by their names and with the
contracts' names of the columns. Stamps in them are moments: a date means its first instant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Examples:
    """The labelled rows, made by a query: one for each thing to predict.

    It gives the request's fields, ``time`` (a date or timestamp: when the question is asked), the target's
    columns, and ``Target.known_at``. No two rows may share request and time.
    """

    sql: str = "examples.sql"
    time: str = field(kw_only=True)


@dataclass(frozen=True)
class History:
    """Rows by ``key``, each stamped with the moment ``known_at`` from which it was known.

    ``features.sql`` joins it by its key; Relevo adds that only rows known at the example's time are seen,
    and of these the newest. Online that is the newest row there is. A key has one row at a moment.
    """

    name: str
    key: str | Sequence[str]
    sql: str = "history.sql"
    known_at: str = "known_at"

    @property
    def keys(self) -> tuple[str, ...]:
        """The key's columns."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)


@dataclass(frozen=True)
class Population:
    """What a batch run scores: the request's fields, ``time``, and columns to report by.

    All rows of a query share one ``time``: the period that is scored, and replaced when it is scored again.
    ``outcomes`` is a query of what turned out positive, by the request's fields and ``time``: when a scored
    period has come, the scores are judged by it. ``naive`` is a boolean expression over the features, the
    rule of thumb that is judged beside the model. ``segments`` are columns of the query to judge apart.
    """

    sql: str = "population.sql"
    time: str = field(kw_only=True)
    outcomes: str | None = field(default=None, kw_only=True)
    naive: str | None = field(default=None, kw_only=True)
    segments: Sequence[str] = field(default=(), kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Recommend:
    """What ``GET /v1/recommend/{by}`` answers: the ``k`` likeliest values of the field ``item``.

    ``among`` is the look-up table whose key lists the items; ``by`` is the request's other field.
    """

    by: str
    item: str
    among: str
    k: int = 5
