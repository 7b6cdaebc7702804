"""Spellings: a field whose column has its alias in some files of a table and its name in others.

Each file is read as it would be alone: by its alias, or else by its name. In ``raw`` a column that a file does
not have is null, so a file with no value under the alias is one that uses the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo import header
from relevo.casting import literal
from relevo.sql import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from relevo.contract import Contract


def united(
    connection: DuckDBPyConnection, relation: str, contract: Contract, columns: Sequence[str]
) -> dict[str, str]:
    """Map columns of aliases to SQL of what each file of ``relation`` has in them, or under the field's name."""
    found = {}
    for alias, name in header.spelled_twice(contract, columns).values():
        used = f"select distinct _file from {relation} where {quote(alias)} is not null order by _file"
        files = ", ".join(literal(str(file)) for (file,) in connection.execute(used).fetchall())
        found[alias] = (
            f"case when _file in ({files}) then {quote(alias)} else {quote(name)} end"
            if files
            else quote(name)
        )
    return found
