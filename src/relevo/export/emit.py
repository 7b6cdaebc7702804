"""Plain values as YAML, with a comment where a number needs its reason."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_BLOCK = re.compile(r"[!-~][ -~]*\n(?:[ -~]*[!-~]\n)+")
"""Lines that YAML keeps as they are: none is empty, the first is not indented."""
_ODD = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
"""Letters that YAML does not take as they are, or breaks lines at, beside those that JSON escapes."""
_AMOUNT = re.compile(r"[1-9][0-9]*(m|Mi|Gi)")
_WIDTH = 100


class Noted(NamedTuple):
    """A value, and why it is this one: a comment above its line."""

    value: Any
    why: str


def documents(*values: Any, head: str = "") -> str:
    """A YAML file; ``head`` is a comment at its beginning."""
    above = [f"# {line}" for line in head.splitlines()]
    parts = ["\n".join(_lines(value, "")) for value in values]
    return "\n".join([*above, "\n---\n".join(parts)]) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entry(f"{indent}{_scalar(name)}:", inner, indent)
    else:
        for inner in value:
            yield from _item(inner, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Noted):
        yield from (f"{indent}# {line}" for line in _wrapped(value.why))
        value = value.value
    if isinstance(value, dict | list) and value:
        yield head
        yield from _lines(value, f"{indent}  ")
    else:
        yield from _text(head, value, indent)


def _text(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, str) and _BLOCK.fullmatch(value):
        yield f"{head} |"
        yield from (f"{indent}  {line}" for line in value.splitlines())
    else:
        yield f"{head} {_scalar(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Noted):
        yield from (f"{indent}# {line}" for line in _wrapped(value.why))
        value = value.value
    if not isinstance(value, dict | list) or not value:
        yield f"{indent}- {_scalar(value)}"
        return
    first, *rest = _lines(value, f"{indent}  ")
    comments = []
    while first.lstrip().startswith("#"):
        comments.append(f"{indent}{first.lstrip()}")
        first, *rest = rest
    yield from comments
    yield f"{indent}- {first[len(indent) + 2 :]}"
    yield from rest


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    plain = (_PLAIN.fullmatch(value) and value.lower() not in _WORDS) or _AMOUNT.fullmatch(value)
    if plain:
        return value
    return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", json.dumps(value, ensure_ascii=False))


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= _WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}".lstrip()
    yield line
