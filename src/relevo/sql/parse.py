"""From text to sqlglot's tree, with the parts of SQL that a feature query may not have refused."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]  # re-exported without saying so

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot.tokens import Token  # type: ignore[attr-defined]

    Report = Callable[[str, str, str], None]

_OWN_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "SUBSTRING", "TRIM", "POSITION")


class FeatureSQL(DuckDB):
    """DuckDB's grammar with every function left as it was written: Relevo gives them their meaning."""

    class Parser(DuckDB.Parser):  # type: ignore[misc,valid-type]  # sqlglot sets it at run time
        """Knows by name only the functions that have a syntax of their own."""

        FUNCTIONS: ClassVar[dict[str, object]] = {}
        FUNCTION_PARSERS: ClassVar = {name: DuckDB.Parser.FUNCTION_PARSERS[name] for name in _OWN_SYNTAX}


# The clauses of a SELECT that make more or fewer rows, or look beyond the row.
_CLAUSES = {
    "with_": "WITH", "distinct": "DISTINCT", "where": "WHERE", "group": "GROUP BY", "having": "HAVING",
    "qualify": "QUALIFY", "windows": "WINDOW", "order": "ORDER BY", "limit": "LIMIT", "offset": "OFFSET",
    "sample": "SAMPLE", "pivots": "PIVOT", "laterals": "LATERAL", "into": "INTO",
}  # fmt: skip
_HARMLESS = ("expressions", "from_", "joins")


def _glued_number(tokens: list[Token]) -> Token | None:
    """A number with letters stuck to it, such as ``0x1F``, which sqlglot reads as ``0 AS x1F``."""
    for token, after in pairwise(tokens):
        if token.token_type == TokenType.NUMBER and after.start == token.end + 1 and after.text[:1].isalpha():
            return token
    return None


def _syntax(text: str, report: Report) -> list[exp.Expression | None] | None:
    dialect = FeatureSQL()
    remedy = t("Correct the SQL there.")
    try:
        tokens = dialect.tokenize(text)
        glued = _glued_number(tokens)
        if glued is not None:
            report(t("line {line}", line=glued.line), t("A number has letters stuck to it."), remedy)
            return None
        return [
            one
            for one in dialect.parser().parse(tokens, text)
            if one is None or isinstance(one, exp.Expression)
        ]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        near = str(first.get("highlight") or "")
        problem = t("SQL syntax error near {near!r}.", near=near) if near else t("SQL syntax error.")
        report(t("line {line}", line=first.get("line") or 1), problem, remedy)
    except TokenError as error:
        report(
            t("line {line}", line=_line_of(text, error)),
            t("SQL syntax error: something is not closed."),
            remedy,
        )
    except RecursionError:
        report(t("expression"), t("The SQL is nested too deeply."), t("Divide it into features."))
    return None


def _line_of(text: str, error: TokenError) -> int:
    message = str(error)
    found = [line for line in range(1, text.count("\n") + 2) if f":{line}:" in message]
    return found[0] if found else text.count("\n") + 1


def parse_expression(text: str, field: str, report: Report) -> exp.Expression | None:
    """Parse one scalar expression; mistakes go to ``report``."""
    statements = _syntax(text, lambda _where, problem, remedy: report(field, problem, remedy))
    if statements is None:
        return None
    if len(statements) != 1 or statements[0] is None or isinstance(statements[0], exp.Query):
        report(field, t("This is not one expression."), t("Write one expression over the table's columns."))
        return None
    return statements[0]


def parse_select(text: str, report: Report) -> exp.Select | None:
    """Parse one SELECT without any clause that changes the number of rows; mistakes go to ``report``."""
    statements = _syntax(text, report)
    if statements is None:
        return None
    found = [statement for statement in statements if statement is not None]
    one_select = t("Write one SELECT: one row of the request in, one row of features out.")
    if len(found) != 1:
        report("select", t("The file has {count} statements.", count=len(found)), one_select)
        return None
    select = found[0]
    if isinstance(select, exp.SetOperation):
        report("select", t("{clause} changes the number of rows.", clause=select.key.upper()), one_select)
        return None
    if not isinstance(select, exp.Select):
        report("select", t("The file has no SELECT."), one_select)
        return None
    _check_clauses(select, report)
    return select


def _check_clauses(select: exp.Select, report: Report) -> None:
    for argument, content in select.args.items():
        if not content or argument in _HARMLESS:
            continue
        clause = _CLAUSES.get(argument, argument.upper())
        report(
            clause,
            t("{clause} has no place in a feature query.", clause=clause),
            t("Remove it: one row of the request gives one row of features."),
        )
