"""Requests of the past: the rows of history that each would have been answered with at its own time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from relevo.casting import SQL_TYPES
from relevo.online import FeatureError
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from relevo.package import ModelPackage

STEP = 2_000
"""Rows that one INSERT takes."""
Found = dict[str, dict[Any, tuple[Any, ...]]]
"""Rows of history by name and key; a key that is absent had no row then."""


@dataclass(frozen=True)
class Asked:
    """A request by field name, the moment at which it was asked, and what history said then."""

    request: Mapping[str, Any]
    at: datetime | None = None
    histories: Found = field(default_factory=dict)


class _Notes:
    """Stands for a history while a request's features are computed, and notes the keys that are not known yet."""

    def __init__(self, known: Mapping[Any, tuple[Any, ...] | None], wanted: set[Any]) -> None:
        self._known, self._wanted = known, wanted

    def get(self, key: Any) -> tuple[Any, ...] | None:
        if key not in self._known:
            self._wanted.add(key)
            return None
        return self._known[key]


def look_up(
    connection: DuckDBPyConnection,
    package: ModelPackage,
    requests: Sequence[tuple[Mapping[str, Any], datetime | None]],
) -> list[Asked]:
    """Find the rows that each request's features join, in the histories that the connection sees by name.

    What is asked for comes from the package's own function, so keys are computed as online; a key that
    depends on another history's row is asked for in a further turn.
    """
    known: list[dict[str, dict[Any, tuple[Any, ...] | None]]] = [
        {str(history["name"]): {} for history in package.histories} for _ in requests
    ]
    while package.histories:
        wanted: dict[str, list[tuple[int, Any]]] = {}
        for place, (request, _) in enumerate(requests):
            notes: dict[str, set[Any]] = {name: set() for name in known[place]}
            views = {name: _Notes(rows, notes[name]) for name, rows in known[place].items()}
            with suppress(FeatureError):  # every path refuses it alike, or the audit tells
                package.features(request, views)
            for name, keys in notes.items():
                wanted.setdefault(name, []).extend((place, key) for key in keys)
        if not any(wanted.values()):
            break
        for history in package.histories:
            name = str(history["name"])
            asked = [(place, requests[place][1], key) for place, key in wanted[name]]
            for (place, _, key), row in zip(asked, _as_of(connection, history, asked), strict=True):
                known[place][name][key] = row
    return [
        Asked(
            request,
            at,
            {
                name: {key: row for key, row in rows.items() if row is not None}
                for name, rows in known[place].items()
            },
        )
        for place, (request, at) in enumerate(requests)
    ]


def _as_of(
    connection: DuckDBPyConnection,
    history: Mapping[str, Any],
    asked: Sequence[tuple[int, datetime | None, Any]],
) -> list[tuple[Any, ...] | None]:
    """The newest row of each key known at its moment, by a query of its own rather than the features' join."""
    if not asked:
        return []
    key, kinds = list(history["key"]), list(history["types"])
    typed = ", ".join(f"k{n} {SQL_TYPES[kind]}" for n, kind in enumerate(kinds[: len(key)]))
    connection.execute(f"create or replace temp table keys_asked (place bigint, asked_at timestamp, {typed})")
    taken = ", ".join(
        f"unnest(?::{SQL_TYPES[kind]}[])" for kind in ("integer", "timestamp", *kinds[: len(key)])
    )
    for start in range(0, len(asked), STEP):
        part = asked[start : start + STEP]
        keys = (
            [[value for _, _, value in part]]
            if len(key) == 1
            else zip(*(value for _, _, value in part), strict=True)
        )
        cells = [[*range(start, start + len(part))], [at for _, at, _ in part], *map(list, keys)]
        connection.execute(f"insert into keys_asked select {taken}", cells)
    alike = " and ".join(f"a.k{n} = h.{quote(name)}" for n, name in enumerate(key))
    stamp = f"h.{quote(history['known_at'])}"
    names = list(history["columns"])[len(key) :]
    values = "".join(f", v{n} := h.{quote(name)}" for n, name in enumerate(names))
    shown = "".join(f", newest.v{n}" for n in range(len(names)))
    found = connection.execute(
        f"""select place, there{shown} from keys_asked a left join (
            select place, true as there, arg_max(v, stamp) as newest from (
                select a.place, {stamp} as stamp, struct_pack(place := a.place{values}) as v
                from keys_asked a join {quote(str(history["name"]))} h on {alike} and {stamp} <= a.asked_at
            ) group by place
        ) using (place) order by place"""
    ).fetchall()
    return [tuple(row) if there else None for _, there, *row in found]
