"""A contract as SQL: texts become typed values, or reasons why not, in one vectorised pass.

Values are accepted as an HTTP request's would be (``relevo.validation``), with what files need besides:
every value is a text, blanks around it do not count, and an empty text is null. A field that is not
required takes its default where it is null, for a file cannot leave a single cell out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
BLANKS = " \t\r\n\v\f\u00a0"
REFUSED = "_refused"
REASONS = "_reasons"
KINDS = "_kinds"
SHOWN = 200
"""Characters of a value that a reason shows at most."""
_VALUE = "\0"  # stands for the value in a translated sentence until the SQL is made
_TRUE = ("1", "true", "t", "yes", "y", "on")
_FALSE = ("0", "false", "f", "no", "n", "off")
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_USUAL_TIME = f"{_DAY}[ T]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_ANY_TIME = f"{_DAY}([ Tt_]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?)?"
_MIDNIGHT = f"{_DAY}([ Tt_]00:00(:00([.,]0+)?)?[Zz]?)?"
_DOUBLE = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_INTEGER = r"[+-]?[0-9]+(_[0-9]+)*(\.0+)?"


@dataclass(frozen=True)
class Fault:
    """Something that can be wrong with a value: when, said of its kind and of one value (as SQL)."""

    when: str
    kind: str
    sentence: str


@dataclass(frozen=True)
class CleaningSQL:
    """The expressions of a contract's fields, in three layers, each over the names of the one before."""

    texts: Mapping[str, str]
    """Over the file's columns: each field's text, trimmed, null where it means null."""
    values: Mapping[str, str]
    """Over ``_t0``, ``_t1``, …: each field's typed value, null where the text is not of the type."""
    faults: Mapping[str, Sequence[Fault]]
    """Over ``_t0``, … and ``_v0``, …: what can be wrong with each field, the first that applies counting."""
    defaults: Mapping[str, str]
    """Typed defaults of the fields that have one other than null."""

    def select(self, source: str, carry: Mapping[str, str] | None = None) -> str:
        """Write a SELECT over the relation ``source``.

        It gives the columns ``carry`` (names to SQL over the source's columns), every field by its name and
        type, ``_refused``, and for refused rows ``_reasons`` (sentences with the values) and ``_kinds``, both
        VARCHAR[]. Engines compute only what is used of it.
        """
        carry = carry or {}
        names = list(self.values)
        kept = "".join(f"{quote(name)}, " for name in carry)
        first = [f"{expression} as {quote(name)}" for name, expression in carry.items()]
        first += [f"{self.texts[name]} as _t{place}" for place, name in enumerate(names)]
        second = ["*", *(f"{self.values[name]} as _v{place}" for place, name in enumerate(names))]
        third = ["*", *(f"{_code(self.faults[name])} as _f{place}" for place, name in enumerate(names))]
        last = [f"{self._value(name, place)} as {quote(name)}" for place, name in enumerate(names)]
        faulty = " or ".join(f"_f{place} > 0" for place in range(len(names)))
        last += [
            f"({faulty}) as {REFUSED}",
            f"{self._list('sentence')} as {REASONS}",
            f"{self._list('kind')} as {KINDS}",
        ]
        return (
            f"select {kept}{', '.join(last)} from (select {', '.join(third)} from (select {', '.join(second)} "
            f"from (select {', '.join(first)} from {source})))"
        )

    def _value(self, name: str, place: int) -> str:
        default = self.defaults.get(name)
        return f"_v{place}" if default is None else f"coalesce(_v{place}, {default})"

    def _list(self, part: str) -> str:
        cases = []
        for place, faults in enumerate(self.faults.values()):
            whens = " ".join(
                f"when {code} then {getattr(fault, part)}" for code, fault in enumerate(faults, 1)
            )
            cases.append(f"case _f{place} {whens} end" if whens else "cast(null as varchar)")
        return f"list_filter([{', '.join(cases)}], lambda reason: reason is not null)"


def cleaning_query(contract: Contract, columns: Iterable[str], nulls: Sequence[str] = ()) -> CleaningSQL:
    """Turn a contract into SQL for a file or table with these text columns; ``nulls`` are texts meaning null.

    A field without a column is null everywhere. ``relevo.header.check`` finds missing columns.
    """
    found = header.match(contract, columns)
    texts, values, faults, defaults = {}, {}, {}, {}
    for place, field in enumerate(contract.fields):
        text, value = f"_t{place}", f"_v{place}"
        texts[field.name] = _text(found.get(field.name), nulls)
        values[field.name] = _cast(field, text)
        faults[field.name] = _faults(field, text, value)
        if not field.required and field.default is not None:
            defaults[field.name] = _typed_literal(field, field.default)
    return CleaningSQL(texts, values, faults, defaults)


def request_columns(contract: Contract) -> str:
    """Write the fields' names and SQL types as a table's columns."""
    return ", ".join(f"{quote(field.name)} {SQL_TYPES[field.type]}" for field in contract.fields)


def literal(text: str) -> str:
    """Write a SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def _text(column: str | None, nulls: Sequence[str]) -> str:
    if column is None:
        return "cast(null as varchar)"
    trimmed = f"nullif(trim({quote(column)}, {literal(BLANKS)}), '')"
    meaning = [literal(null.strip(BLANKS)) for null in nulls if null.strip(BLANKS)]
    if not meaning:
        return trimmed
    return f"case when {trimmed} in ({', '.join(meaning)}) then null else {trimmed} end"


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
    return (
        f"case when {_full(text, '-?[0-9]{1,18}')} then try_cast({text} as bigint) "
        f"when {_full(text, _INTEGER)} then try_cast({plain} as bigint) end"
    )


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
    real = f"not starts_with({text}, '0000')"
    return (
        f"case when {_full(text, _USUAL_TIME)} and {real} then try_cast({text} as timestamp) "
        f"when {_full(text, _ANY_TIME)} and {real} then {general} end"
    )


def _typed_literal(field: Field, value: object) -> str:
    plain = str(value).lower() if isinstance(value, bool) else str(value)
    return f"cast({literal(plain)} as {SQL_TYPES[field.type]})"


def _code(faults: Sequence[Fault]) -> str:
    whens = " ".join(f"when {fault.when} then {code}" for code, fault in enumerate(faults, 1))
    return f"case {whens} else 0 end" if whens else "0"


def _faults(field: Field, text: str, value: str) -> list[Fault]:
    """List what can be wrong, the more basic first."""
    said: list[tuple[str, str, str]] = []
    if field.required and not field.nullable:
        said.append((f"{text} is null", t("empty"), t("is empty, but the contract allows no null")))
    if field.type != "text":
        said.append((f"{text} is not null and {value} is null", *_not_of_type(field)))
    if field.choices is not None:
        listed = ", ".join(_typed_literal(field, choice) for choice in field.choices)
        choices = ", ".join(str(choice) for choice in field.choices)
        sentence = t("“{value}” is not one of {choices}", value=_VALUE, choices=choices)
        said.append((f"{value} not in ({listed})", t("not one of {choices}", choices=choices), sentence))
    said += [*_bounds(field, value), *_shapes(field, text)]
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


def _shapes(field: Field, text: str) -> Iterator[tuple[str, str, str]]:
    least, most, pattern = field.min_length, field.max_length, field.pattern
    if least is not None:
        sentence = t("“{value}” is shorter than {length} characters", value=_VALUE, length=least)
        yield f"length({text}) < {least}", t("shorter than {length} characters", length=least), sentence
    if most is not None:
        sentence = t("“{value}” is longer than {length} characters", value=_VALUE, length=most)
        yield f"length({text}) > {most}", t("longer than {length} characters", length=most), sentence
    if pattern is not None:
        sentence = t("“{value}” does not match {pattern}", value=_VALUE, pattern=pattern)
        when = f"not regexp_matches({text}, {literal(re2(pattern))})"
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
