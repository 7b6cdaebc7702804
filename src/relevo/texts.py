"""User-facing texts: English in the code, Spanish from one catalogue.

``t("The file {file} is empty.", file=…)`` looks the English template up in ``locale/es.json`` when the
language is Spanish. A test reads every ``t("…")`` in the source and fails when the catalogue lacks one.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LANGUAGES = ("en", "es")
_chosen: ContextVar[str | None] = ContextVar("relevo_language", default=None)


@cache
def catalogue(language: str) -> dict[str, str]:
    """Map English templates to ``language``; empty for English."""
    if language == "en":
        return {}
    path = Path(__file__).parent / "locale" / f"{language}.json"
    loaded: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def language() -> str:
    """The language in force: chosen here, ``RELEVO_LANG``, then the machine's own; English otherwise."""
    chosen = _chosen.get() or os.environ.get("RELEVO_LANG")
    if not chosen:
        chosen = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    code = chosen[:2].lower()
    return code if code in LANGUAGES else "en"


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Answer in ``code`` within the block (one HTTP request, one report)."""
    token = _chosen.set(code)
    try:
        yield
    finally:
        _chosen.reset(token)


def t(template: str, /, **values: object) -> str:
    """Fill ``template`` in the language in force; an untranslated template stays English."""
    return (
        catalogue(language()).get(template, template).format(**values)
        if values
        else catalogue(language()).get(template, template)
    )
