"""What ``env:NAME`` stands for, read when it is needed and never kept."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from relevo.errors import DataError
from relevo.texts import t

_NAME = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def filled(text: str, place: str, *, ascii_only: bool = False) -> str:
    """Put the variables' values in, without blanks around; raises ``DataError`` when one is not set.

    ``place`` stands for the source in messages. ``ascii_only`` says that the result must be printable ASCII, as
    a URL and a header are; the message does not show it, for a library's own would.
    """

    def value(found: re.Match[str]) -> str:
        said = os.environ.get(found[1], "").strip()
        if not said:
            raise DataError(
                t(
                    "{place}: the environment variable {name} is not set. Set it, then run again.",
                    place=place,
                    name=found[1],
                )
            )
        return said

    found = _NAME.sub(value, text)
    if ascii_only and not (found.isascii() and found.isprintable()):
        raise DataError(
            t(
                "{place}: “{text}” comes out with characters that neither a URL nor a header may have. Check the"
                " variable.",
                place=place,
                text=text if _NAME.search(text) else place,
            )
        )
    return found


def without(message: str, password: str | None) -> str:
    """A library's message without the password, should it be in there."""
    for secret in {password or "", unquote(password or "")} - {""}:
        message = message.replace(secret, "***")
    return message
