"""JSON lines, rewritten as CSV: numbers as they were written, nested values as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relevo.reading.careful import quoted, too_long
from relevo.reading.files import NO_NULL
from relevo.texts import t

if TYPE_CHECKING:
    from typing import TextIO

    from relevo.reading.files import File

QUOTE = '"'
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def rewrite(text: TextIO, out: TextIO, file: File, longest: int) -> list[str]:
    """Copy one object a line as ``number, defect, text, values…`` and give the keys, in order of appearance.

    A row has values up to its last key; null and absent are both an unquoted ``NO_NULL``.
    """
    keys: dict[str, int] = {}
    number, line_number = 0, 0
    while line := text.readline(longest):
        line_number += 1
        if len(line) >= longest and not line.endswith(("\n", "\r")):
            raise too_long(file, line_number)
        body = line.strip()
        if not body:
            continue
        number += 1
        row, defect = _parse(body)
        if row is None:
            out.write(",".join([str(number), quoted(defect, QUOTE), quoted(body, QUOTE)]) + "\n")
            continue
        cells = [NO_NULL] * len(keys)
        for key, value in row.items():
            place = keys.setdefault(key, len(keys))
            if place == len(cells):
                cells.append(NO_NULL)
            if value is not None:
                cells[place] = quoted(_text(value, key, body), QUOTE)
        out.write(",".join([str(number), "", "", *cells]) + "\n")
    return list(keys)


def _parse(body: str) -> tuple[dict[str, Any] | None, str]:
    try:
        value = _DECODER.decode(body)
    except json.JSONDecodeError as error:
        return None, t("not JSON: {error}", error=error)
    except RecursionError:
        return None, t("nested too deeply")
    if "\\u" in body and not _encodable(value):
        return None, t("half of a surrogate pair, which is no text")
    return (value, "") if isinstance(value, dict) else (None, t("not a JSON object"))


def _text(value: Any, key: str, body: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(json.loads(body)[key], ensure_ascii=False)


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
