"""A case as a client asks it."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.definition.cases import Case


def body(definition: Definition, case: Case) -> dict[str, Any]:
    """The request as JSON, by alias."""
    return {
        field.alias: _plain(case.request[field.name])
        for field in definition.request.fields
        if field.name in case.request
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value
