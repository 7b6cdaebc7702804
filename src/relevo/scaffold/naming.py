"""Python and SQL names from the headers of a file."""

from __future__ import annotations

import keyword
import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from relevo.definition.check import RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLASS_BODY = (
    "date", "datetime", "int", "float", "bool", "str", "Literal", "Field", "BaseModel", "request", "project",
)  # fmt: skip
"""Names that a class body or module of ours needs itself; a field of that name would hide them."""
LONGEST = 60


def plain(text: str) -> str:
    """Small letters without accents: what two spellings of a word have in common."""
    parted = unicodedata.normalize("NFKD", text.strip())
    return "".join(letter for letter in parted if not unicodedata.combining(letter)).casefold()


def words(header: str) -> list[str]:
    """The words of a header: ``Fecha-I`` has ``fecha`` and ``i``, ``PassengerId`` ``passenger`` and ``id``."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header)
    return [word for word in re.split(r"[\W_]+", plain(parted)) if word]


def identifiers(headers: Sequence[str]) -> list[str]:
    """Name a field for each header, none twice; one that is a good name already keeps it."""
    ready = {header for header in headers if _usable(header) and header == header.lower()}
    taken = {plain(header) for header in headers}
    found: list[str] = []
    for place, header in enumerate(headers, 1):
        if header in ready:
            found.append(header)
            continue
        base = "_".join(words(header))[:LONGEST].strip("_") or f"column{place}"
        base = f"n{base}" if base[0].isdigit() else base
        base = base if _usable(base) else f"{base}_"
        name, number = base, 2
        while name in found or (name in taken and name != plain(header)) or not _usable(name):
            name, number = f"{base}_{number}", number + 1
        found.append(name)
    return found


def _usable(name: str) -> bool:
    from pydantic import BaseModel

    return (
        name.isidentifier()
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and not keyword.issoftkeyword(name)
        and name not in _CLASS_BODY
        and not hasattr(BaseModel, name)
        and not name.startswith(("model_", "_request_"))
    )


def slug(text: str, otherwise: str, *, dash: bool = False) -> str:
    """Write a name for a project (with ``dash``) or a table: small letters, digits and _, a letter first."""
    joined = ("-" if dash and "-" in text else "_").join(words(text))
    name = re.sub(r"[^a-z0-9_-]", "", joined).lstrip("0123456789_-")[:63].rstrip("_-")
    if not name:
        return otherwise
    return f"{name}_rows" if name in RESERVED and not dash else name


def in_sql(name: str) -> str:
    """Write a column for features.sql, in quotes where SQL would take it for a word of its own."""
    from relevo.sql import quote
    from relevo.sql.parse import FeatureSQL

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _reserved():
        return quote(name)
    (token,) = FeatureSQL().tokenize(name)
    return name if token.token_type.name == "VAR" else quote(name)


@cache
def _reserved() -> frozenset[str]:
    import duckdb

    found = duckdb.execute(
        "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
    ).fetchall()
    return frozenset(str(word) for (word,) in found)
