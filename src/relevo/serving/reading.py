"""Reading a body: JSON as RFC 8259 has it, with nothing that two readers could understand differently."""

from __future__ import annotations

import json
from typing import Any

import orjson

from relevo.serving.problems import Refusal

DEPTH = 100
"""Levels of nesting; a request needs two. What is logged is read again one level deeper."""


def parse(body: bytes) -> Any:
    """Parse a body; raises ``Refusal`` on what is not JSON, is nested deeply or names a field twice.

    Every key of the text has two quotes and every text value two more. So when an object of plain values
    has no more quotes than these, no key was read over another. Only otherwise is the body read once
    more, by a parser that tells.
    """
    try:
        received = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal("not-json", line=error.lineno, column=error.colno) from None
    quotes = 0
    for row in received if type(received) is list else (received,):
        if type(row) is not dict:
            break
        kinds = [*map(type, row.values())]
        if dict in kinds or list in kinds:
            break
        quotes += 2 * (len(kinds) + kinds.count(str))
    else:
        if body.count(b'"') == quotes:
            return received
    _read_again(body, received)
    return received


def _read_again(body: bytes, received: Any) -> None:
    try:
        json.loads(body, object_pairs_hook=_unique)
    except RecursionError:
        raise Refusal("too-deep", limit=DEPTH) from None
    level = [received]
    for _ in range(DEPTH):
        level = [inner for value in level if isinstance(value, dict | list) for inner in _inside(value)]
        if not level:
            return
    raise Refusal("too-deep", limit=DEPTH)


def _inside(value: dict[str, Any] | list[Any]) -> Any:
    return value.values() if isinstance(value, dict) else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refusal("duplicate-field")
    return found


def logged(request: bytes, via: bytes) -> bytes:
    """A request as the journal has it: with the page by which it came, where it came by one."""
    return b'%b,"via":"%b"' % (request, via) if via else request


def one_line(body: bytes) -> bytes:
    """Put JSON on one line: a line break within it stands between two tokens, never in a text."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body
