"""What goes into the feature compiler and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = ("text", "integer", "double", "boolean", "date", "timestamp")
FEATURE_TYPES = ("text", "boolean", "integer", "double")
SELECT = "SELECT "
TIME = "_time"
"""The column of the request relation with the moment at which each row is asked."""


def quote(identifier: str) -> str:
    """Quote a DuckDB identifier; a quote inside it is doubled."""
    return '"' + identifier.replace('"', '""') + '"'


@dataclass(frozen=True)
class Column:
    """A named, typed column: of the request, of a look-up table, or a feature."""

    name: str
    type: str

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            msg = f"column {self.name!r} has type {self.type!r}, not one of {', '.join(TYPES)}"
            raise ValueError(msg)


@dataclass(frozen=True)
class LookupTable:
    """A keyed table that ``features.sql`` may join; ``columns`` include the key's.

    ``known_at`` names its timestamp column from which a row was known; then the newest row known at the
    request's ``_time`` is joined. Without it a key has one row.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    known_at: str = ""


def key_columns(table: LookupTable) -> tuple[Column, ...]:
    """The key's columns, in the key's order."""
    by_name = {column.name.lower(): column for column in table.columns}
    return tuple(by_name[key.lower()] for key in table.key)


@dataclass(frozen=True)
class LookupUse:
    """What a plan needs of a look-up table: ``columns`` are the non-key ones, in slot order."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    known_at: str = ""


@dataclass(frozen=True)
class FeaturePlan:
    """``features.sql`` as canonical DuckDB SQL and as the same expressions in JSON.

    ``sql`` starts with ``SELECT`` and reads ``FROM request``, which has a timestamp column ``_time`` when
    something is joined as of it; ``tree`` is what ``relevo.online`` compiles.
    """

    sql: str
    features: tuple[Column, ...]
    tree: dict[str, object]
    lookups: tuple[LookupUse, ...]

    def batch_sql(self, carry: Sequence[str] = ()) -> str:
        """Put the columns ``carry`` of the request relation first, under their own names."""
        carried = "".join(f"request.{quote(name)} AS {quote(name)}, " for name in carry)
        return SELECT + carried + self.sql.removeprefix(SELECT)
