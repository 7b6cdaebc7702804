"""Edge rows: requests at the borders of what the contract accepts."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from relevo import validation
from relevo.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relevo.contract import Contract, Field

TEXTS = (
    "",
    " ",
    "Z",
    "zz",
    "ZZ",
    "ZZZ",
    "ZZZZ",
    "ZZZZZZ",
    "0",
    "-1",
    "Ñandú",
    "日本",
    "ẞ",
    "it's",
    '"',
    "a" * 200,
)
INTEGERS = (0, 1, -1, 2, 7, 100, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63))
DOUBLES = (0.0, -0.0, 0.1, 0.5, 1.5, 2.5, -2.5, 1e-300, 1e15, -1e15, 1e300)
DAYS = (
    *("1900-02-28", "1969-12-31", "1970-01-01", "1999-12-31", "2000-02-29", "2016-02-29", "2016-12-31"),
    *("2017-01-01", "2017-03-31", "2017-06-30", "2018-12-31", "2020-12-28", "2021-01-03", "2024-02-29"),
    *("2024-12-30", "2100-02-28", "9999-12-31"),
)
HOURS = ("00:00:00", "04:59:59.999999", "05:00:00", "11:59:30", "12:00:00", "18:59:59", "23:59:59.999999")
BASES = 3
"""In how many real rows each edge value is tried."""


def _values(field: Field, keys: Iterable[Any]) -> list[Any]:
    found: list[Any] = [None]
    if field.choices is not None:
        found += field.choices
    elif field.type == "text":
        found += TEXTS
    elif field.type == "boolean":
        found += [True, False]
    elif field.type in ("integer", "double"):
        found += INTEGERS if field.type == "integer" else DOUBLES
        bounds = [b for b in (field.ge, field.gt, field.le, field.lt) if isinstance(b, int | float)]
        steps = (-1, 0, 1) if field.type == "integer" else (-1e-9, 0.0, 1e-9)
        found += [bound + step for bound in bounds for step in steps]
    elif field.type == "date":
        found += [date.fromisoformat(day) for day in DAYS]
    else:
        found += [datetime.fromisoformat(f"{day} {hour}") for day in DAYS for hour in HOURS]
    return found + [value for key in keys for value in _keyed(field, key)]


def _keyed(field: Field, key: Any) -> list[Any]:
    if field.type == "timestamp" and isinstance(key, date) and not isinstance(key, datetime):
        return [
            datetime(key.year, key.month, key.day, 12),
            datetime(key.year, key.month, key.day, 23, 59, 59),
        ]
    matching = {"text": str, "integer": int, "date": date}.get(field.type)
    return [key] if matching is not None and type(key) is matching else []


def edge_requests(
    contract: Contract, bases: Sequence[Mapping[str, Any]], keys: Iterable[Any]
) -> list[dict[str, Any]]:
    """Vary each field of real requests over its edge values and the look-ups' ``keys``; keep what is valid.

    Real rows and results are by field name, with Python values.
    """
    validators = validation.build(contract)
    keys = list(keys)
    found = []
    for field in contract.fields:
        for place, value in enumerate(_values(field, keys)):
            for base in range(min(BASES, len(bases))):
                row = {**bases[(place + base) % len(bases)], field.name: value}
                try:
                    found.append(validation.validate(validators, row))
                except RequestError:
                    break  # the contract refuses this value, whatever the others are
        if not field.required:
            row = {name: value for name, value in bases[0].items() if name != field.name}
            found.append(validation.validate(validators, row))
    return found
