"""Sortable ids: UUIDv7 (RFC 9562, section 5.7), 48 bits of milliseconds and 74 random bits."""

from __future__ import annotations

import os

from relevo import clock


def uuid7() -> str:
    """Make a new id as 36 characters; ids made later sort later, to the millisecond."""
    milliseconds = clock.nanoseconds() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (milliseconds << 80)
        | (0x7 << 76)
        | ((random >> 68) << 64)
        | (0b10 << 62)
        | (random & ((1 << 62) - 1))
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
