"""A contract for cells, in Python: the rows of a stream become requests as ``casting`` makes them of files.

Blanks around a text do not count, an empty one is null, a field that is not required takes its default where
it is null, and a value of another type counts as the text that it is written as. All else the validator judges,
as over HTTP; ``casting`` does the same to whole files in SQL, and a test holds the two together.
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import header
from relevo.header import BLANKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.contract import Contract

_NATIVE: dict[str, tuple[type, ...]] = {
    "text": (),
    "integer": (int,),
    "double": (int, float),
    "boolean": (bool,),
    "date": (date,),  # a datetime is one too
    "timestamp": (date,),
}
_MOST_KEYS, _LONGEST_KEY = 10_000, 200


class _Taken(NamedTuple):
    """A field: its alias, its name and alias folded, the types it takes as they are, whether null is told."""

    alias: str
    spellings: tuple[str, str]
    native: tuple[type, ...]
    told: bool


class Cells:
    """Makes requests, by alias, of rows; ``nulls`` are texts that mean null."""

    def __init__(self, contract: Contract, nulls: Sequence[str] = ()) -> None:
        self._contract = contract
        self._nulls = frozenset(null.strip(BLANKS) for null in nulls) - {""}
        self._fields = [
            _Taken(
                field.alias,
                (header.fold(field.alias), header.fold(field.name)),
                _NATIVE[field.type],
                field.required,
            )
            for field in contract.fields
        ]
        self._folded: dict[str, str] = {}
        self.unknown = 0
        """Values so far that no field takes."""

    def of_columns(self, columns: Sequence[str]) -> Columns:
        """Match a header; ``header.check`` finds what it lacks."""
        found = header.match(self._contract, columns)
        places = {column: place for place, column in enumerate(columns)}
        plan = [
            (taken, places[found[field.name]] if field.name in found else None)
            for taken, field in zip(self._fields, self._contract.fields, strict=True)
        ]
        return Columns(self, plan, len(columns) - len(found))

    def of_object(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give the request of a JSON object; None when two of its keys differ in capitals or blanks alone."""
        values = {self._fold(key): value for key, value in row.items()}
        if len(values) < len(row):
            return None
        made: dict[str, Any] = {}
        matched = 0
        for taken in self._fields:
            first, second = taken.spellings
            key = first if first in values else second
            if key in values:
                matched += 1
            value = self.value(values.get(key), taken.native)
            if value is not None or taken.told:
                made[taken.alias] = value
        if matched < len(values):
            self.unknown += len(values) - matched
            if self._contract.forbid_unknown:
                made |= self._others(row)
        return made

    def value(self, value: Any, native: tuple[type, ...]) -> Any:
        """Prepare one value for a field that takes the types ``native`` as they are, and texts."""
        if value is None:
            return None
        if type(value) is not str:
            if isinstance(value, native) and (type(value) is not bool or bool in native) and not self._nulls:
                return value
            value = written(value)
        text = value.strip(BLANKS)
        return None if not text or text in self._nulls else text

    def _others(self, row: Mapping[str, Any]) -> dict[str, Any]:
        known = {spelling for taken in self._fields for spelling in taken.spellings}
        return {key: value for key, value in row.items() if self._fold(key) not in known}

    def _fold(self, key: str) -> str:
        found = self._folded.get(key)
        if found is None:
            found = header.fold(key)
            if len(self._folded) < _MOST_KEYS and len(key) <= _LONGEST_KEY:
                self._folded[key] = found
        return found


class Columns:
    """Makes requests of rows whose values stand in a header's order."""

    def __init__(self, cells: Cells, plan: Sequence[tuple[_Taken, int | None]], extra: int) -> None:
        self._cells, self._extra = cells, extra
        self._taken = [
            (taken.alias, place, taken.told, taken.native) for taken, place in plan if place is not None
        ]
        self._absent = dict.fromkeys(taken.alias for taken, place in plan if place is None and taken.told)
        self._nulls = cells._nulls  # noqa: SLF001 - the same subject

    def of_texts(self, values: Sequence[str]) -> dict[str, Any]:
        """Give the request of a row of texts."""
        made: dict[str, Any] = dict(self._absent)
        self._cells.unknown += self._extra
        nulls = self._nulls
        for alias, place, told, _ in self._taken:
            text = values[place].strip(BLANKS)
            if text and text not in nulls:
                made[alias] = text
            elif told:
                made[alias] = None
        return made

    def of_values(self, values: Sequence[Any]) -> dict[str, Any]:
        """Give the request of a row of Python values."""
        made: dict[str, Any] = dict(self._absent)
        self._cells.unknown += self._extra
        for alias, place, told, native in self._taken:
            value = self._cells.value(values[place], native)
            if value is not None or told:
                made[alias] = value
        return made


def written(value: object) -> str:
    """Write a value as a file's cell: ``true``, ``12``, ``1.5``, ``2017-01-31 23:30:00``, JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
