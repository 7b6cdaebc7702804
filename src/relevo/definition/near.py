"""Remedies that name what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence


def near(name: str, known: Sequence[str]) -> str:
    """Name the known one that is written most alike, or all of them."""
    close = get_close_matches(name, known, n=1)
    if close:
        return t("Did you mean “{near}”?", near=close[0])
    return t("Known: {names}.", names=", ".join(known))
