"""What ``env:NAME`` stands for, read when it is needed and never kept."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from relevo.errors import DataError
from relevo.texts import t

_NAME = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def filled(text: str, place: str) -> str:
    """Put the variables' values in; raises ``DataError`` about ``place`` when one is not set."""

    def value(found: re.Match[str]) -> str:
        said = os.environ.get(found[1], "")
        if not said:
            raise DataError(
                t(
                    "{place}: the environment variable {name} is not set. Set it, then run again.",
                    place=place,
                    name=found[1],
                )
            )
        return said

    return _NAME.sub(value, text)


def without(message: str, password: str | None) -> str:
    """A library's message without the password, should it be in there."""
    for secret in {password or "", unquote(password or "")} - {""}:
        message = message.replace(secret, "***")
    return message
