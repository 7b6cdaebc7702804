"""A JSON document that holds a list of objects, rewritten as JSON lines; each keeps its spelling."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from relevo.errors import DataError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_BREAKS = str.maketrans("\n\r", "  ")


def rewrite(text: str, rows: str | None, out: TextIO, place: str) -> None:
    """Write each element of the list that ``rows`` names (the document itself by default).

    ``rows`` is a path of keys with dots between. Raises ``ValueError`` when the text is not JSON, as when its
    end is missing, and ``DataError`` when there is no list where one should be.
    """
    document = _DECODER.decode(text)
    keys = rows.split(".") if rows else []
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, list):
        raise DataError(_no_list(place, rows))
    start = _BLANK.match(text, 0).end()  # type: ignore[union-attr]  # it matches everywhere
    for key in keys:
        start = dict(_members(text, start))[key]  # of keys that stand twice the last counts, as above
    out.writelines(
        element.translate(_BREAKS) + "\n" for element in _elements(text, start)
    )  # a break stands only between tokens


def _no_list(place: str, rows: str | None) -> str:
    if rows:
        return t("{place}: there is no list at “{rows}”. Correct Batches(…, rows=…).", place=place, rows=rows)
    return t(
        '{place}: it is JSON, but no list. Say where in it the rows are, such as Batches(…, rows="data").',
        place=place,
    )


def _skip(text: str, place: int) -> int:
    return _BLANK.match(text, place).end()  # type: ignore[union-attr]


def _members(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Give the keys of the object that begins at ``start`` with where their values begin."""
    place = _skip(text, start + 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        place = _skip(text, _skip(text, place) + 1)  # over the colon
        yield key, place
        _, place = _DECODER.raw_decode(text, place)
        place = _skip(text, place)
        if text[place] == ",":
            place = _skip(text, place + 1)


def _elements(text: str, start: int) -> Iterator[str]:
    place = _skip(text, start + 1)
    while text[place] != "]":
        _, end = _DECODER.raw_decode(text, place)
        yield text[place:end]
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)
