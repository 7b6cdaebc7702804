"""The user's queries over the clean tables: their columns and types, found without a row of data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relevo.casting import SQL_TYPES
from relevo.contract import Contract, Field
from relevo.definition import files
from relevo.definition.near import near
from relevo.errors import Mistake
from relevo.sql import Column, quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from relevo.project import Project

SELECT = "StatementType.SELECT"
_END = re.compile(r";\s*(--[^\n]*\s*|/\*.*?\*/\s*)*$", re.DOTALL)
WHOLE = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
}
KINDS = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "FLOAT": "double",
    "DOUBLE": "double",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    **dict.fromkeys(WHOLE, "integer"),
}
"""DuckDB's types and ours; a DECIMAL is a double, unless it has no places."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Rows that a query of the project makes. ``sql`` gives exactly ``columns``, each cast to its type."""

    name: str
    file: str
    sql: str
    columns: tuple[Column, ...]

    def __contains__(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)

    def type_of(self, name: str) -> str:
        """The type of a column; raises ``KeyError`` when it is absent."""
        return {column.name: column.type for column in self.columns}[name]


class Queries:
    """Reads the project's query files against its tables' contracts; what is wrong goes to ``mistakes``."""

    def __init__(self, project: Project, contracts: Mapping[str, Contract], mistakes: list[Mistake]) -> None:
        self._project = project
        self._contracts = contracts
        self._mistakes = mistakes
        self._connection: DuckDBPyConnection | None = None

    def read(self, name: str, file: str) -> Relation | None:
        """Read one file; None when it is absent or has mistakes, which are noted."""
        path = self._project.root / file
        if not path.is_file():
            problem = t("there is no such file in {folder}.", folder=self._project.root)
            self._mistakes.append(Mistake(file, "-", problem, t("Write a SELECT over the clean tables.")))
            return None
        text = files.read_text(path, file, self._mistakes)
        return None if text is None else self.bind(name, file, text)

    def bind(self, name: str, file: str, text: str) -> Relation | None:
        """Find the columns of a query given as text."""
        import duckdb

        written = self._single(file, text)
        if written is None:
            return None
        try:
            found = self._engine().execute(f"describe select * from (\n{written}\n)").fetchall()
        except duckdb.Error as error:
            tables = ", ".join(self._contracts)
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            self._mistakes.append(
                Mistake(
                    file,
                    "-",
                    lines[0] if lines else type(error).__name__,
                    t("The tables are {tables}, with the contracts' names of the columns.", tables=tables),
                )
            )
            return None
        columns = []
        for column, kind, *_ in found:
            ours = _kind(str(kind))
            if ours is None:
                problem = t("{type} is not a type that Relevo knows.", type=kind)
                self._mistakes.append(Mistake(file, column, problem, t("Cast it, or leave it out.")))
                continue
            columns.append(Column(column, ours))
        casts = ", ".join(f"cast({quote(c.name)} as {SQL_TYPES[c.type]}) as {quote(c.name)}" for c in columns)
        return Relation(
            name=name, file=file, sql=f"select {casts} from (\n{written}\n)", columns=tuple(columns)
        )

    def _single(self, file: str, text: str) -> str | None:
        """The one SELECT of the file, without its semicolon."""
        import duckdb

        try:
            statements = duckdb.extract_statements(text)
        except duckdb.Error as error:
            self._mistakes.append(Mistake(file, "-", str(error).splitlines()[0], t("Correct the SQL there.")))
            return None
        if len(statements) != 1 or str(statements[0].type) != SELECT:
            problem = t("it is not one SELECT.")
            self._mistakes.append(Mistake(file, "-", problem, t("Write a SELECT over the clean tables.")))
            return None
        return _END.sub("", str(statements[0].query)).strip()

    def _engine(self) -> DuckDBPyConnection:
        import duckdb

        if self._connection is None:
            self._connection = duckdb.connect(
                config={"enable_external_access": False, "autoinstall_known_extensions": False, "threads": 1}
            )
            for name, contract in self._contracts.items():
                listed = ", ".join(f"{quote(f.name)} {SQL_TYPES[f.type]}" for f in contract.fields)
                self._connection.execute(f"create table {quote(name)} (_id varchar, {listed})")
        return self._connection


def _kind(name: str) -> str | None:
    if name.startswith("DECIMAL"):
        return "integer" if name.endswith(",0)") else "double"
    return KINDS.get(name)


def contract_of(relation: Relation, request: Contract) -> Contract:
    """What a relation holds, as a contract: the request's fields as they are, the others under their names."""
    fields = [
        request[column.name]
        if column.name in request and request[column.name].type == column.type
        else Field(name=column.name, alias=column.name, type=column.type, nullable=True, required=False)
        for column in relation.columns
    ]
    return Contract(relation.name, tuple(fields))


def check_columns(
    relation: Relation, wanted: Sequence[str], mistakes: list[Mistake], kinds: tuple[str, ...] = ()
) -> bool:
    """Note each wanted column that a relation lacks or has with another type; whether all is well."""
    before = len(mistakes)
    for name in wanted:
        if name not in relation:
            problem = t("the query gives no column “{name}”.", name=name)
            mistakes.append(
                Mistake(relation.file, name, problem, near(name, [c.name for c in relation.columns]))
            )
        elif kinds and relation.type_of(name) not in kinds:
            problem = t(
                "“{name}” is {type}, not {wanted}.",
                name=name,
                type=relation.type_of(name),
                wanted="/".join(kinds),
            )
            mistakes.append(Mistake(relation.file, name, problem, t("Cast it.")))
    return len(mistakes) == before
