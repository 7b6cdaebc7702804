"""Numbers and texts as DuckDB 2.0 calculates them, where Python's own operators differ."""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

A = TypeVar("A")
B = TypeVar("B")

LEAST, MOST = -(2**63), 2**63 - 1
NAN, INFINITY = math.nan, math.inf
WHOLE = 2.0**52  # doubles from here on have no fraction
SUBSTRING_MOST = 2**32 - 1
WILD = 0.0  # stands for % in a pattern; texts stand for themselves, None for _


def overflow() -> NoReturn:
    """Refuse an integer beyond 64 bits."""
    msg = "the number does not fit 64 bits"
    raise OverflowError(msg)


def attempt(function: Callable[[A], B], value: A) -> B | None:
    """TRY_CAST: null instead of an error."""
    try:
        return function(value)
    except (ValueError, OverflowError):
        return None


def toward_zero(value: int, divisor: int) -> int:
    """Divide truncating, as C does."""
    return value // divisor if value >= 0 else -(-value // divisor)


def divide_integer(left: int, right: int) -> int:
    """``//``: truncates; by zero, and -2^63 by -1, are errors."""
    quotient = abs(left) // abs(right)
    quotient = quotient if (left < 0) == (right < 0) else -quotient
    return quotient if quotient <= MOST else overflow()


def modulo_integer(left: int, right: int) -> int:
    """``%``: the sign is the dividend's; DuckDB refuses -2^63 % -1 as it does the division."""
    if left == LEAST and right == -1:
        overflow()
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def int32(value: int) -> int:
    """Pass what fits 32 bits: a date plus a larger number is refused, even where the date is null."""
    return value if -(2**31) <= value < 2**31 else overflow()


def modulo_double(left: float, right: float) -> float:
    """C's fmod, NaN where Python raises."""
    try:
        return math.fmod(left, right)
    except ValueError:
        return NAN


def over_zero(left: float, right: float) -> float:
    """IEEE 754 division by a zero."""
    if left == 0 or left != left:  # noqa: PLR0124 - NaN
        return NAN
    return math.copysign(INFINITY, left) * math.copysign(1.0, right)


def round_double(value: float) -> float:
    """Round half away from zero, the sign of zero kept."""
    size = abs(value)
    if not size < WHOLE:
        return value
    whole = int(size)
    return math.copysign(whole + 1 if size - whole >= 0.5 else whole, value)  # noqa: PLR2004 - half


def round_places(value: float, places: int) -> float:
    """DuckDB scales by a power of ten, rounds, and scales back; what overflows stays as it was."""
    if not math.isfinite(value):
        return value
    scale = 10.0 ** abs(places)
    if places < 0:
        scaled = round_double(value / scale) * scale
        return scaled if math.isfinite(scaled) else 0.0
    scaled = round_double(value * scale) / scale
    return scaled if math.isfinite(scaled) else value


def round_integer(value: int, places: int) -> int:
    """Round to tens, hundreds, …, half away from zero."""
    if places >= 0:
        return value
    power: int = 10**-places
    rounded = (abs(value) + power // 2) // power * power
    return (
        rounded
        if rounded <= MOST and value >= 0
        else -rounded
        if -rounded >= LEAST and value < 0
        else overflow()
    )


def floor_double(value: float) -> float:
    """Largest whole double not above."""
    if not abs(value) < WHOLE:
        return value
    return math.copysign(math.floor(value), value)


def ceil_double(value: float) -> float:
    """Smallest whole double not below; -0.5 gives -0.0."""
    return math.copysign(math.ceil(value), value) if abs(value) < WHOLE else value


def trunc_double(value: float) -> float:
    """Drop the fraction, keep the sign."""
    return math.copysign(int(value), value) if abs(value) < WHOLE else value


def double_to_integer(value: float) -> int:
    """Round half to even; NaN and what does not fit are errors."""
    whole = round(value)
    return whole if LEAST <= whole <= MOST else overflow()


def real(function: Callable[[float], float], value: float) -> float:
    """Apply a function that has no value for some arguments: NaN there, as in C."""
    try:
        return function(value)
    except ValueError:
        return NAN


def logarithm(function: Callable[[float], float], value: float) -> float:
    """Minus infinity at zero, NaN below."""
    return function(value) if value > 0 else -INFINITY if value == 0 else NAN


def exponential(value: float) -> float:
    """Infinity where Python overflows."""
    try:
        return math.exp(value)
    except OverflowError:
        return INFINITY


def power(base: float, exponent: float) -> float:
    """C's pow: infinities and NaN where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = math.fmod(exponent, 2.0) in (1.0, -1.0)
        return -INFINITY if base < 0 and odd else INFINITY
    except ValueError:
        if base == 0:
            odd = math.fmod(exponent, 2.0) in (1.0, -1.0)
            return math.copysign(INFINITY, base) if odd else INFINITY
        return NAN


def greatest(*values: A | None) -> A | None:
    """Ignore nulls; NaN is greatest; of equals the first."""
    best = None
    for value in values:
        if value is not None and (
            best is None or value > best or (value != value and best == best)  # type: ignore[operator] # noqa: PLR0124
        ):
            best = value
    return best


def least(*values: A | None) -> A | None:
    """Ignore nulls; NaN only when there is nothing else; of equals the first."""
    best = None
    for value in values:
        if value is not None and (
            best is None or value < best or (best != best and value == value)  # type: ignore[operator] # noqa: PLR0124
        ):
            best = value
    return best


# --- texts -----------------------------------------------------------------------------------------------


@lru_cache(4096)
def _lower_character(character: str) -> str:
    lowered = character.lower()
    return lowered if len(lowered) == 1 else lowered[0]  # U+0130 alone: İ gives i


@lru_cache(4096)
def _upper_character(character: str) -> str:
    if character == "ß":
        return "ẞ"
    raised = character.upper()
    if len(raised) == 1:
        return raised
    titled = character.title()  # ᾳ has a single title-case form, and no single upper-case one
    return titled if len(titled) == 1 else character


def lower(text: str) -> str:
    """Character by character: no final sigma, İ to i."""
    return "".join(map(_lower_character, text))


def upper(text: str) -> str:
    """Character by character: ß to ẞ; what would become several characters stays."""
    return "".join(map(_upper_character, text))


def substring(text: str, start: int, length: int = SUBSTRING_MOST) -> str:
    """Count from 1; 0 is the place before it; negative from the end; a negative length goes backwards."""
    if abs(start) > SUBSTRING_MOST + (start < 0) or abs(length) > SUBSTRING_MOST + (length < 0):
        overflow()
    size = len(text)
    first = start - 1 if start > 0 else size + start if start < 0 else -1
    last = first + length
    if length < 0:
        first, last = last, first
    return text[max(first, 0) : max(last, 0)]


def left(text: str, count: int) -> str:
    """Take the first characters; a negative count drops as many from the end."""
    return text[:count] if count <= SUBSTRING_MOST else text[: overflow()]


def right(text: str, count: int) -> str:
    """Take the last characters; a negative count drops as many from the front."""
    return text[-count:] if count else ""


@lru_cache(1024)
def pattern(text: str, escape: str = "") -> tuple[tuple[str | None, ...] | float, ...]:
    """Cut a LIKE pattern into WILD for % and runs of characters, None for _."""
    pieces: list[tuple[str | None, ...] | float] = []
    run: list[str | None] = []
    characters = iter(text)
    for character in characters:
        if character == escape:
            run.append(next(characters))
        elif character == "%":
            pieces += [tuple(run), WILD] if run else [WILD]
            run = []
        else:
            run.append(None if character == "_" else character)
    return tuple([*pieces, tuple(run)] if run else pieces)


def _fits(text: str, at: int, run: tuple[str | None, ...]) -> bool:
    return (
        at >= 0
        and at + len(run) <= len(text)
        and all(wanted is None or wanted == text[at + offset] for offset, wanted in enumerate(run))
    )


def like(text: str, pieces: tuple[tuple[str | None, ...] | float, ...]) -> bool:
    """Match a whole text with a pattern, each run at its first fit: no backtracking."""
    at = 0
    floating = False
    for number, piece in enumerate(pieces):
        if not isinstance(piece, tuple):
            floating = True
            continue
        if floating and number == len(pieces) - 1:
            return len(text) - len(piece) >= at and _fits(text, len(text) - len(piece), piece)
        while not _fits(text, at, piece):
            at += 1
            if not floating or at + len(piece) > len(text):
                return False
        at += len(piece)
        floating = False
    return floating or at == len(text)


# --- casts of text; the forms are those of relevo.sql.operators.TEXT_FORMS -----------------------------------

_SPACES = " \t\n\v\f\r"
_INTEGER = re.compile(r"([+-]?)(?:([0-9]+)[.]?([0-9]*)|[.]([0-9]+))")
_DOUBLE = re.compile(
    r"[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]{1,4})?|[iI][nN][fF]|[nN][aA][nN])"
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_TIMESTAMP = re.compile(
    _DATE.pattern + r"(?:[ T]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.]([0-9]{1,6}))?)?"
)
_TRUE = frozenset(("true", "t", "yes", "y", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "0"))


def _refuse(text: str, kind: str) -> NoReturn:
    msg = f"{text!r} is not {kind}"
    raise ValueError(msg)


def text_to_integer(text: str) -> int:
    """Read digits; a fraction is rounded half away from zero."""
    found = _INTEGER.fullmatch(text.strip(_SPACES))
    if found is None:
        _refuse(text, "a whole number")
    sign, whole, fraction, only_fraction = found.groups()
    digits = fraction or only_fraction or ""
    size = int(whole or "0") + (digits[:1] >= "5")
    value = -size if sign == "-" else size
    return value if LEAST <= value <= MOST else overflow()


def text_to_double(text: str) -> float:
    """Read a decimal number, ``inf`` or ``nan``."""
    bare = text.strip(_SPACES)
    if _DOUBLE.fullmatch(bare) is None:
        _refuse(text, "a number")
    return float(bare)


def text_to_boolean(text: str) -> bool:
    """Read true, t, yes, y, 1 and their opposites, in any case."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word not in _FALSE:
        _refuse(text, "a boolean")
    return False


def text_to_date(text: str) -> date:
    """Read YYYY-MM-DD."""
    found = _DATE.fullmatch(text.strip(_SPACES))
    if found is None:
        _refuse(text, "a date")
    return date(int(found[1]), int(found[2]), int(found[3]))


def text_to_timestamp(text: str) -> datetime:
    """Read YYYY-MM-DD, or YYYY-MM-DD HH:MM:SS with up to six digits of fraction."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        _refuse(text, "a timestamp")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    return datetime(year, month, day, hour, minute, second, int((found[7] or "").ljust(6, "0")))
