"""Integer arithmetic on constants, done while compiling.

What can fail must not be left to the run when it has no column in it: whether DuckDB evaluates such a part of
a branch that no row takes depends on the other rows.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Besides these, a constant date may be moved: it stays within the calendar or the row is refused.
MOVED = ("add_days", "subtract_days", "add_interval")


def _divide(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _modulo(left: int, right: int) -> int:
    return left - right * _divide(left, right)


FOLDED: dict[str, Callable[..., int]] = {
    "add_integer": operator.add,
    "subtract_integer": operator.sub,
    "multiply_integer": operator.mul,
    "divide_integer": _divide,
    "modulo_integer": _modulo,
    "negate_integer": operator.neg,
    "abs_integer": abs,
    "int32": operator.pos,
}


def fold(name: str, constants: list[int]) -> int | None:
    """Calculate; None when DuckDB would stop."""
    try:
        value = FOLDED[name](*constants)
    except ZeroDivisionError:
        return None
    bits = 31 if name == "int32" else 63
    return value if -(2**bits) <= value < 2**bits else None
