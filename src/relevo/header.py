"""Which column of a file is which field of a contract.

Capitals and blanks around a column's name do not matter; a field is found by its alias, or else by its name.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from relevo.errors import DataError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relevo.contract import Contract, Field

BLANKS = " \t\r\n\v\f\u00a0"
"""Characters around a cell's value that do not count."""


def fold(name: str) -> str:
    """What two spellings of a column's name have in common."""
    return name.strip().casefold()


def match(contract: Contract, columns: Iterable[str]) -> dict[str, str]:
    """Map field names to the columns that hold them; fields without a column are left out."""
    known = {fold(column): column for column in columns}
    found = {}
    for field in contract.fields:
        column = known.get(fold(field.alias), known.get(fold(field.name)))
        if column is not None:
            found[field.name] = column
    return found


def spelled_twice(contract: Contract, columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Map field names to their two columns, the alias's first, where there is one of the name too."""
    known = {fold(column): column for column in columns}
    pairs = {field.name: (fold(field.alias), fold(field.name)) for field in contract.fields}
    return {
        field: (known[alias], known[name])
        for field, (alias, name) in pairs.items()
        if alias != name and alias in known and name in known
    }


def check(
    contract: Contract, columns: Sequence[str], *, place: str, forbid: bool | None = None
) -> dict[str, str]:
    """Match a header; raises ``DataError`` when ``place`` lacks a column, or has one that is forbidden.

    ``forbid`` is the contract's own choice unless given.
    """
    found = match(contract, columns)
    absent = [field for field in contract.fields if field.required and field.name not in found]
    if absent:
        raise DataError(_absent(absent, found, columns, place))
    if contract.forbid_unknown if forbid is None else forbid:
        extra = [column for column in columns if column not in found.values()]
        if extra:
            raise DataError(
                t(
                    '{place}: {contract} forbids other columns, and these are there: {extra}. Remove extra="forbid"'
                    " from the model, or the columns from the file.",
                    place=place,
                    contract=contract.name,
                    extra=", ".join(extra),
                )
            )
    return found


def _absent(absent: Sequence[Field], found: Mapping[str, str], columns: Sequence[str], place: str) -> str:
    free = {fold(column): column for column in columns if column not in found.values()}
    hints = []
    for field in absent:
        near = get_close_matches(fold(field.alias), free, 1, 0.6) or get_close_matches(
            fold(field.name), free, 1, 0.6
        )
        if near:
            hints.append(t("Is “{column}” meant for “{field}”?", column=free[near[0]], field=field.alias))
    message = t(
        "{place}: there is no column {absent}. The columns found are: {columns}.",
        place=place,
        absent=", ".join(f"“{field.alias}”" for field in absent),
        columns=", ".join(columns),
    )
    remedy = t("Rename the column in the file, or write its name as the field's alias.")
    return " ".join([message, *hints, remedy])
