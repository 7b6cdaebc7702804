"""Values as JSON: dates and times as ISO 8601 texts, numbers that JSON lacks as ``nan``, ``inf``, ``-inf``."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any


def to_json(value: Any) -> Any:
    """Turn a value of one of our types into plain JSON."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def from_json(value: Any, kind: str) -> Any:
    """Read ``to_json`` back as type ``kind``; raises ``ValueError`` or ``TypeError`` on anything else."""
    if value is None:
        return None
    if kind == "timestamp":
        return datetime.fromisoformat(value)
    if kind == "date":
        return date.fromisoformat(value)
    if kind == "double":
        return float(value)
    wanted = {"text": str, "integer": int, "boolean": bool}[kind]
    if type(value) is not wanted:
        raise TypeError(f"{value!r} is not {kind}")
    return value
