"""Durations as people write them: ``60d``, ``12h``, ``200ms``."""

from __future__ import annotations

import re
from datetime import timedelta

from relevo.texts import t

_UNITS = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


def parse(text: str | timedelta) -> timedelta:
    """Read ``60d``; raises ``ValueError`` with the accepted forms."""
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*", text)
    if not found:
        raise ValueError(t("“{text}” is not a duration. Write 90s, 15min, 12h, 60d or 2w.", text=text))
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
