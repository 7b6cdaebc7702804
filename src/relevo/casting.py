"""A contract as SQL: texts become typed values, or reasons why not, in one vectorised pass.

Values are accepted as an HTTP request's would be (``relevo.validation``), with what files need besides:
every value is a text, blanks around it do not count, and an empty text is null. A field that is not
required takes its default where it is null, for a file cannot leave a single cell out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from relevo import header
from relevo.sql import quote
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relevo.contract import Contract, Field

VERSION = 1
"""Raised when the same texts would give other values or reasons."""
SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
BLANKS = header.BLANKS
REFUSED = "_refused"
REASONS = "_reasons"
KINDS = "_kinds"
SHOWN = 200
"""Characters of a value that a reason shows at most."""
_VALUE = "\0"  # stands for the value in a translated sentence until the SQL is made
_TRUE = ("1", "true", "t", "yes", "y", "on")
_FALSE = ("0", "false", "f", "no", "n", "off")
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ANY_TIME = f"{_DAY}([ Tt_]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?)?"
_MIDNIGHT = f"{_DAY}([ Tt_]00:00(:00([.,]0+)?)?[Zz]?)?"
_DOUBLE = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_CODE_PART = re.compile(
    r"(\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9])+\]|[A-Za-z0-9])(?:\{([0-9]+)(?:,([0-9]+))?\})?"
)
MOST_GLOBS, LONGEST_GLOB = 8, 32
_INTEGER = r"[+-]?[0-9]+(_[0-9]+)*(\.0+)?"


class Fault(NamedTuple):
    """Something that can be wrong, all as SQL: when (of a value that is not null), what kind, and the sentence."""

    when: str
    kind: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class FieldSQL:
    """A field's expressions, in layers; each layer sees the names of those before it.

    Most cells are already written the plain way, which is cheap to tell; only the others are trimmed and
    looked at closely.
    """

    cell: str
    """Over the source's columns; ``_c``."""
    quick: str
    """Over the source's columns: the cell as it would be if written the plain way; ``_k``."""
    plain: str
    """Whether it is, over ``_c`` and ``_k``; ``_p``."""
    text: str
    """Of the others, the trimmed text, null where it means null; ``_t``."""
    value: str
    """The typed value, null where the text is not of the type; ``_v``."""
    fault: str
    """Number, from 1, of the first fault that applies, or 0; ``_f``."""
    faults: Sequence[Fault]
    result: str
    """The value, or the default in place of null."""


@dataclass(frozen=True)
class CleaningSQL:
    """A contract's fields as SQL, by field name."""

    fields: Mapping[str, FieldSQL]

    def select(self, source: str, carry: Mapping[str, str] | None = None) -> str:
        """Write a SELECT over the relation ``source``.

        It gives the columns ``carry`` (names to SQL over the source's columns), every field by its name and
        type, ``_refused``, and for refused rows ``_reasons`` (sentences with the values) and ``_kinds``, both
        VARCHAR[]. Engines compute only what is used of it.
        """
        carry = carry or {}
        fields = list(enumerate(self.fields.values()))
        first = [f"{expression} as {quote(name)}" for name, expression in carry.items()]
        first += [f"{field.cell} as _c{place}, {field.quick} as _k{place}" for place, field in fields]
        query = f"select {', '.join(first)} from {source}"
        for letter, layer in (("p", "plain"), ("t", "text"), ("v", "value"), ("f", "fault")):
            made = ", ".join(f"{getattr(field, layer)} as _{letter}{place}" for place, field in fields)
            query = f"select *, {made} from ({query})"
        last = [quote(name) for name in carry]
        last += [f"{field.result} as {quote(name)}" for name, field in self.fields.items()]
        faulty = " or ".join(f"_f{place} > 0" for place, _ in fields)
        last += [
            f"({faulty}) as {REFUSED}",
            f"{self._list('sentence')} as {REASONS}",
            f"{self._list('kind')} as {KINDS}",
        ]
        return f"select {', '.join(last)} from ({query})"

    def _list(self, part: str) -> str:
        cases = []
        for place, field in enumerate(self.fields.values()):
            whens = [f"when {code} then {getattr(fault, part)}" for code, fault in enumerate(field.faults, 1)]
            cases.append(f"case _f{place} {' '.join(whens)} end" if whens else "cast(null as varchar)")
        return f"list_filter([{', '.join(cases)}], lambda reason: reason is not null)"


def cleaning_query(contract: Contract, columns: Iterable[str], nulls: Sequence[str] = ()) -> CleaningSQL:
    """Turn a contract into SQL for a file or table with these text columns; ``nulls`` are texts meaning null.

    A field without a column is null everywhere. ``relevo.header.check`` finds missing columns.
    """
    found = header.match(contract, columns)
    meaning = _meaning(nulls)
    return CleaningSQL(
        {
            field.name: _field(field, place, found.get(field.name), meaning)
            for place, field in enumerate(contract.fields)
        }
    )


def null_sql(cell: str, nulls: Sequence[str] = ()) -> str:
    """Whether a cell means null; what only looks like a value of the wrong type does not."""
    meaning = ", ".join(literal(null) for null in ("", *_meaning(nulls)))
    return f"({cell} is null or {cell} in ({meaning}) or trim({cell}, {literal(BLANKS)}) in ({meaning}))"


def _meaning(nulls: Sequence[str]) -> list[str]:
    return [null.strip(BLANKS) for null in nulls if null.strip(BLANKS)]


def _field(field: Field, place: int, column: str | None, nulls: Sequence[str]) -> FieldSQL:
    source = "cast(null as varchar)" if column is None else quote(column)
    cell, plainly, quick, text, value = (f"_{letter}{place}" for letter in "cpktv")
    cast, plain = _quick(field, source, cell, quick)
    if nulls and plain != "false":
        plain = f"{plain} and {cell} not in ({', '.join(map(literal, nulls))})"
    faults = _faults(field, f"coalesce({text}, {cell})", value, plainly)
    result = value
    if not field.required and field.default is not None:
        result = f"coalesce({value}, {_typed_literal(field, field.default)})"
    return FieldSQL(
        cell=source,
        quick=cast,
        plain=plain,
        text=f"case when {plainly} then null else {_text(cell, nulls)} end",
        value=f"case when {plainly} then {quick} else {_cast(field, text)} end",
        fault=_number(field, text, value, faults),
        faults=faults,
        result=result,
    )


def _quick(field: Field, source: str, cell: str, quick: str) -> tuple[str, str]:
    """Give the cast of a cell written the plain way, and how to tell that it is.

    A value that, written out, is the cell again was written the plain way; DuckDB's casts alone accept
    far more than a request may hold.
    """
    if field.type in ("timestamp", "date"):
        length = len("2017-01-31 23:30:00") if field.type == "timestamp" else len("2017-01-31")
        again = f"strlen({cell}) = {length} and cast({quick} as varchar) = {cell}"
        return f"try_cast({source} as {SQL_TYPES[field.type]})", again
    if field.type == "integer":
        return f"try_cast({source} as bigint)", f"cast({quick} as varchar) = {cell}"
    if field.type == "text" and field.choices is not None:
        return source, f"{cell} in ({', '.join(literal(str(choice)) for choice in field.choices)})"
    if field.type == "text" and field.pattern is not None and (globs := _globs(field.pattern)):
        return source, "(" + " or ".join(f"{cell} glob {literal(glob)}" for glob in globs) + ")"
    return f"cast(null as {SQL_TYPES[field.type]})", "false"


def _globs(pattern: str) -> list[str]:
    """Write a pattern such as ``^[A-Z0-9]{2,3}$`` as globs, which DuckDB matches three times as fast.

    Gives none for other patterns. A text that one of them matches has no blank at its ends.
    """
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return []
    found, place, end = [""], 1, len(pattern) - 1
    while place < end:
        part = _CODE_PART.match(pattern, place, end)
        if part is None:
            return []
        least = 1 if part[2] is None else int(part[2])
        most = least if part[3] is None else int(part[3])
        if most > LONGEST_GLOB or len(found) * (most - least + 1) > MOST_GLOBS:
            return []
        found = [glob + part[1] * times for glob in found for times in range(least, most + 1)]
        place = part.end()
    return found if all(found) else []


def _number(field: Field, text: str, value: str, faults: Sequence[Fault]) -> str:
    """Write the number of the first fault; faults of nothing but null come first and are told together."""
    needed = field.required and not field.nullable
    rest = faults[needed + (field.type != "text") :]
    whens = [f"when {fault.when} then {code}" for code, fault in enumerate(rest, len(faults) - len(rest) + 1)]
    empty = int(needed)
    absent = (
        str(empty) if field.type == "text" else f"case when {text} is null then {empty} else {empty + 1} end"
    )
    return f"case when {value} is null then {absent} {' '.join(whens)} else 0 end"


def literal(text: str) -> str:
    """Write a SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def _text(cell: str, nulls: Sequence[str]) -> str:
    """Trim a cell; one that begins and ends in plain ASCII is told by looking at its two ends alone."""
    tight = f"{cell} >= '!' and {cell} < '\x7f' and {cell}[-1] between '!' and '~'"
    text = f"case when {tight} then {cell} else nullif(trim({cell}, {literal(BLANKS)}), '') end"
    for null in nulls:
        text = f"nullif({text}, {literal(null)})"
    return text


def _cast(field: Field, text: str) -> str:
    if field.type == "text":
        return text
    return {
        "integer": _integer,
        "double": _double,
        "boolean": _boolean,
        "date": _date,
        "timestamp": _timestamp,
    }[field.type](text)


def _full(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def _integer(text: str) -> str:
    plain = f"replace(regexp_replace({text}, '\\.0+$', ''), '_', '')"
    return f"case when {_full(text, _INTEGER)} then try_cast({plain} as bigint) end"


def _double(text: str) -> str:
    plain = f"replace({text}, '_', '')"
    number = f"try_cast({plain} as double)"
    spaced = f"not contains({text}, '_') or not regexp_matches({text}, '^_|__|_$')"
    return f"case when {_full(plain, _DOUBLE)} and ({spaced}) and isfinite({number}) then {number} end"


def _boolean(text: str) -> str:
    low = f"lower({text})"
    true, false = (", ".join(literal(word) for word in words) for words in (_TRUE, _FALSE))
    return f"case when {low} in ({true}) then true when {low} in ({false}) then false end"


def _date(text: str) -> str:
    day = f"try_cast(left({text}, 10) as date)"
    return f"case when {_full(text, _MIDNIGHT)} and not starts_with({text}, '0000') then {day} end"


def _timestamp(text: str) -> str:
    rest = f"replace(substring({text}, 12, 15), ',', '.')"
    general = f"try_cast(left({text}, 10) || ' ' || if({rest} = '', '00:00', {rest}) as timestamp)"
    return f"case when {_full(text, _ANY_TIME)} and not starts_with({text}, '0000') then {general} end"


def _typed_literal(field: Field, value: object) -> str:
    plain = str(value).lower() if isinstance(value, bool) else str(value)
    return f"cast({literal(plain)} as {SQL_TYPES[field.type]})"


def _faults(field: Field, text: str, value: str, plainly: str) -> list[Fault]:
    """List what can be wrong; null where none is allowed first, then a text that is not of the type."""
    said: list[tuple[str, str, str]] = []
    if field.required and not field.nullable:
        said.append(("", t("empty"), t("is empty, but the contract allows no null")))
    if field.type != "text":
        said.append(("", *_not_of_type(field)))
    if field.choices is not None:
        listed = ", ".join(_typed_literal(field, choice) for choice in field.choices)
        choices = ", ".join(str(choice) for choice in field.choices)
        sentence = t("“{value}” is not one of {choices}", value=_VALUE, choices=choices)
        said.append((f"{value} not in ({listed})", t("not one of {choices}", choices=choices), sentence))
    said += [*_bounds(field, value), *_shapes(field, value, plainly)]
    return [Fault(when, literal(f"{field.alias}: {kind}"), _said(field, text, s)) for when, kind, s in said]


def _said(field: Field, text: str, sentence: str) -> str:
    before, mark, after = sentence.partition(_VALUE)
    start = literal(f"{field.alias}: {before}")
    return f"{start} || left({text}, {SHOWN}) || {literal(after)}" if mark else start


def _not_of_type(field: Field) -> tuple[str, str]:
    if field.type == "integer":
        return t("not a whole number"), t("“{value}” is not a whole number", value=_VALUE)
    if field.type == "double":
        return t("not a finite number"), t("“{value}” is not a finite number", value=_VALUE)
    if field.type == "boolean":
        return t("not true or false"), t("“{value}” is not true or false", value=_VALUE)
    if field.type == "date":
        return t("not a date"), t("“{value}” is not a date such as 2017-01-31", value=_VALUE)
    sentence = t("“{value}” is not a timestamp such as 2017-01-31 23:30:00", value=_VALUE)
    return t("not a timestamp"), sentence


def _bounds(field: Field, value: str) -> Iterator[tuple[str, str, str]]:
    for rule, broken in (("ge", "<"), ("gt", "<="), ("le", ">"), ("lt", ">=")):
        bound = getattr(field, rule)
        if bound is None or field.type in ("text", "boolean"):
            continue
        sign = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}[rule]
        sentence = t("“{value}” is not {sign} {bound}", value=_VALUE, sign=sign, bound=bound)
        yield (
            f"{value} {broken} {_typed_literal(field, bound)}",
            t("not {sign} {bound}", sign=sign, bound=bound),
            sentence,
        )


def _shapes(field: Field, value: str, plainly: str) -> Iterator[tuple[str, str, str]]:
    least, most, pattern = field.min_length, field.max_length, field.pattern
    if least is not None:
        sentence = t("“{value}” is shorter than {length} characters", value=_VALUE, length=least)
        yield f"length({value}) < {least}", t("shorter than {length} characters", length=least), sentence
    if most is not None:
        sentence = t("“{value}” is longer than {length} characters", value=_VALUE, length=most)
        yield f"length({value}) > {most}", t("longer than {length} characters", length=most), sentence
    if pattern is not None:
        sentence = t("“{value}” does not match {pattern}", value=_VALUE, pattern=pattern)
        skip = f"{plainly} is not true and " if _globs(pattern) else ""
        when = f"{skip}not regexp_matches({value}, {literal(re2(pattern))})"
        yield when, t("does not match {pattern}", pattern=pattern), sentence


_UNICODE = {"d": r"\p{Nd}", "w": r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}", "s": r"\s\v\x{85}\p{Z}"}


def re2(pattern: str) -> str:
    r"""Write a request's pattern for DuckDB's engine, where ``\d``, ``\w`` and ``\s`` alone mean ASCII."""
    found, place, inside = [], 0, False
    while place < len(pattern):
        character = pattern[place]
        following = pattern[place + 1 : place + 2]
        if character == "\\" and following:
            classes = _UNICODE.get(following.lower())
            if classes is None or (inside and following.isupper()):
                found.append(character + following)
            elif inside:
                found.append(classes)
            else:
                found.append(f"[{'^' if following.isupper() else ''}{classes}]")
            place += 2
            continue
        if character == "[" and not inside:
            inside = True
            if following in ("]", "^"):
                place += 1
                character += following
        elif character == "]":
            inside = False
        found.append(character)
        place += 1
    return "".join(found)
