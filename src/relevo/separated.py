"""Separated values: one row of a CSV dialect split into its values, or what is wrong with its quotes."""

from __future__ import annotations

import re


class OpenError(Exception):
    """A quote is still open at the end of the text."""


class JunkError(Exception):
    """Text follows a closing quote."""


class Splitter:
    """Splits a row of a CSV dialect into its values; ``escape`` is the quote itself where it is doubled."""

    def __init__(self, delimiter: str, quote: str = '"', escape: str = '"') -> None:
        self.delimiter, self.quote = delimiter, quote
        if not quote:
            return
        mark, before = re.escape(quote), re.escape(escape or quote)
        if before == mark:
            self._quoted = re.compile(f" *{mark}((?>[^{mark}]*(?:{mark}{mark}[^{mark}]*)*)){mark} *")
            self._escaped = re.compile(f"{mark}({mark})")
        else:
            plain = f"[^{mark}{before}]*"
            self._quoted = re.compile(f" *{mark}((?>{plain}(?:{before}.{plain})*)){mark} *", re.DOTALL)
            self._escaped = re.compile(f"{before}([{mark}{before}])")
        self._opens = re.compile(f" *{mark}")

    def split(self, text: str) -> list[str]:
        """Split one row without its line end; raises ``OpenError`` or ``JunkError``."""
        if not self.quote or self.quote not in text:
            return text.split(self.delimiter)
        values, place, end = [], 0, len(text)
        while True:
            quoted = self._quoted.match(text, place)
            if quoted:
                values.append(self._escaped.sub(r"\1", quoted[1]))
                stop = quoted.end()
                if stop < end and text[stop] != self.delimiter:
                    raise JunkError
            elif self._opens.match(text, place):
                raise OpenError
            else:
                stop = text.find(self.delimiter, place)
                stop = end if stop < 0 else stop
                values.append(text[place:stop])
            if stop == end:
                return values
            place = stop + 1
