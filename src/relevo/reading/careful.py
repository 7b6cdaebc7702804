"""A damaged CSV file, rewritten: good rows as they were, damaged ones set aside with their text.

A row is damaged when it has too few or too many fields, when a quote opens and does not close, or when
text follows a closing quote. Only the first line of a row with such a quote is set aside, and reading
goes on with the line after it, so that one stray quote costs one row.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relevo.errors import DataError
from relevo.reading.files import LONGEST
from relevo.separated import JunkError, OpenError, Splitter
from relevo.texts import t

if TYPE_CHECKING:
    from typing import TextIO

    from relevo.reading.files import File
    from relevo.sources import Files

MOST_LINES = 1_000
"""Lines over which one quoted value may go in a file that has damaged rows."""


class _Lines:
    """Lines of a text with their ends, some of which may be put back."""

    def __init__(self, text: TextIO, file: File) -> None:
        self._text, self._file = text, file
        self._back: deque[str] = deque()
        self.number = 0

    def take(self) -> str:
        self.number += 1
        line = self._back.popleft() if self._back else self._text.readline(LONGEST)
        if len(line) >= LONGEST and not line.endswith(("\n", "\r")):
            raise too_long(self._file, self.number)
        return line

    def put_back(self, lines: list[str]) -> None:
        self.number -= len(lines)
        self._back.extendleft(reversed(lines))


def too_long(file: File, line: int) -> DataError:
    """Say that a line is no line."""
    return DataError(
        t(
            "{file}, line {line}: it is longer than {longest:,} characters. Is it a text file with one row a line?",
            file=file.path,
            line=line,
            longest=LONGEST,
        )
    )


def rewrite(text: TextIO, out: TextIO, fields: int, delimiter: str, source: Files, file: File) -> None:
    """Copy the rows of ``text``, less its header, each behind its number, its defect and its text.

    The number counts rows from 1, blank lines not among them; defect and text are empty for a good row.
    """
    lines, splitter = _Lines(text, file), Splitter(delimiter, source.quote, source.escape)
    quote = source.quote or '"'
    number = -1
    while line := lines.take():
        body = line.rstrip("\r\n")
        if not body:
            continue
        number += 1
        simple = quote not in body
        if simple and body.count(delimiter) == fields - 1:
            if number:
                out.write(f"{number}{delimiter}{delimiter}{delimiter}{body}\n")
            continue
        values, body, defect = _row(line, body, lines, splitter)
        if not number:
            continue
        if not defect and len(values) != fields:
            defect = t("{found} fields, the header has {expected}", found=len(values), expected=fields)
        cells = [str(number), defect, body, *[""] * fields] if defect else [str(number), "", "", *values]
        out.write(delimiter.join(quoted(cell, quote) for cell in cells) + "\n")


def quoted(cell: str, quote: str) -> str:
    """Quote a value, doubling the quotes in it."""
    return quote + cell.replace(quote, quote + quote) + quote


def _row(first: str, body: str, lines: _Lines, splitter: Splitter) -> tuple[list[str], str, str]:
    """Split a row, taking more lines while a quote is open; gives its values, its text and its defect."""
    taken: list[str] = []
    text = first
    defect = ""
    while True:
        more = taken[-1] if taken else first
        if not taken or splitter.quote in more:
            try:
                whole = text.rstrip("\r\n")
                return splitter.split(whole), whole, ""
            except JunkError:
                defect = defect or t("text follows a closing quote")
                break
            except OpenError:
                defect = t("a quote opens and does not close")
        more = lines.take()
        taken.append(more)
        text += more
        if not more or len(taken) > MOST_LINES or len(text) > LONGEST:
            break
    lines.put_back([line for line in taken if line])
    return [], body, defect
