"""Giving memory back. What loading a package leaves behind would otherwise stay with the process for good."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from functools import cache
from typing import Any

_M_ARENA_MAX = -8  # malloc.h of glibc


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)


def use_one_arena() -> None:
    """Let all threads allocate from one place, so that what one frees another uses. Elsewhere than glibc: nothing."""
    with suppress(AttributeError, OSError):
        _libc().mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Collect garbage and return free pages to the system; a few milliseconds, best in a thread of its own."""
    gc.collect()
    with suppress(AttributeError, OSError):
        _libc().malloc_trim(0)
