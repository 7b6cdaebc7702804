"""The project's files of text; one that is not UTF-8 is a mistake like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.errors import Mistake
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path, file: str, mistakes: list[Mistake], *, newline: str | None = None) -> str | None:
    """Read a file whole; None when it is not UTF-8, which is noted with its line. ``newline`` is as ``open`` has it."""
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as opened:
            return opened.read()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        mistakes.append(
            Mistake(file, t("line {line}", line=line), t("it is not UTF-8."), t("Save it as UTF-8."))
        )
        return None
