"""What can be wrong with a request: facts of pydantic's made into sentences that quote nothing of it.

The command line, the cases and the service tell a broken contract in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ValidationError

    from relevo.contract import Contract, Field

SHOWN = 100
"""The most defects that are told of one request."""
_NAME = 100


class Defect(NamedTuple):
    """One thing wrong with one field: pydantic's name for it and the limits that were broken."""

    row: int | None
    field: str
    kind: str
    limits: Mapping[str, Any]


def of(error: ValidationError, row: int | None = None) -> list[Defect]:
    """Read a validation error's defects; ``row`` is the place in a list whose rows were validated one by one."""
    found = []
    for item in error.errors(include_url=False, include_input=False)[:SHOWN]:
        place = item["loc"]
        first = place[0] if place else None
        number, place = (first, place[1:]) if isinstance(first, int) else (row, place)
        field = str(place[0]) if place else "body"
        found.append(Defect(number, field, item["type"], item.get("ctx", {})))
    return found


def entry(defect: Defect, contract: Contract | None) -> dict[str, Any]:
    """Say what is wrong with one field, by its alias, in the language in force."""
    rules = None
    if contract is not None:
        rules = next((f for f in contract.fields if defect.field in (f.alias, f.name)), None)
    make = _SENTENCES.get(defect.kind, _other)
    said: dict[str, Any] = {} if defect.row is None else {"row": defect.row}
    said["field"] = (rules.alias if rules else defect.field)[:_NAME]
    said["problem"] = make(rules, defect.limits)
    return said


def _other(rules: Field | None, _: Mapping[str, Any]) -> str:
    return t("must be {type}.", type=_type_name(rules.type if rules else "text"))


def _type_name(kind: str) -> str:
    names = {
        "text": t("a text"),
        "integer": t("a whole number"),
        "double": t("a number"),
        "boolean": t("true or false"),
        "date": t("a date such as 2017-01-31"),
        "timestamp": t("a date and time such as 2017-01-31 23:30:00"),
    }
    return names[kind]


def _choices(rules: Field | None, limits: Mapping[str, Any]) -> str:
    known = ", ".join(map(str, rules.choices)) if rules and rules.choices else limits.get("expected", "")
    return t("must be one of: {choices}.", choices=known)


def _bound(text: Callable[[Mapping[str, Any]], str]) -> Callable[[Field | None, Mapping[str, Any]], str]:
    """Name the whole range where a field has one: a value beyond one end is often another field's."""

    def said(rules: Field | None, limits: Mapping[str, Any]) -> str:
        if rules is not None and rules.ge is not None and rules.le is not None:
            return t("must be from {low} to {high}.", low=rules.ge, high=rules.le)
        return text(limits)

    return said


_SENTENCES: dict[str, Callable[[Field | None, Mapping[str, Any]], str]] = {
    "json_invalid": lambda _, __: t("is not JSON."),
    "list_type": lambda _, __: t("must be an object or a list of at least one object."),
    "too_short": lambda _, __: t("must be an object or a list of at least one object."),
    "too_long_query": lambda _, __: t("is too long."),
    "too_long": lambda _, c: t("must have at most {max_length} rows.", **c),
    "missing": lambda _, __: t("is required and absent."),
    "extra_forbidden": lambda _, __: t("is not a field of the contract, which allows no others."),
    "dict_type": lambda _, __: t("must be an object with the contract's fields."),
    "empty": lambda _, __: t("must be an object or a list of at least one object."),
    "literal_error": _choices,
    "string_too_short": lambda _, c: t("must have at least {min_length} characters.", **c),
    "string_too_long": lambda _, c: t("must have at most {max_length} characters.", **c),
    "string_pattern_mismatch": lambda _, c: t("must match the pattern {pattern}.", **c),
    "greater_than": lambda _, c: t("must be greater than {gt}.", **c),
    "greater_than_equal": _bound(lambda c: t("must be at least {ge}.", **c)),
    "less_than": lambda _, c: t("must be less than {lt}.", **c),
    "less_than_equal": _bound(lambda c: t("must be at most {le}.", **c)),
    "int_parsing_size": lambda _, __: t("must fit in 64 bits."),
    "whole_number": lambda _, __: t("must be {type}.", type=_type_name("integer")),
    "label_object": lambda _, __: t("must be an object: id, or key and time, and outcome."),
    "label_field": lambda _, __: t("is not a field of a label; these are id, key, time, outcome and at."),
    "label_of": lambda _, __: t("is needed, or key and time in its place: of which prediction is this?"),
    "label_id": lambda _, __: t("must be a prediction's id, as it was answered."),
    "label_key": lambda _, __: t("must be an object with some of the request's fields."),
    "label_twice": lambda _, __: t("is given twice, by its name and by its alias."),
    "label_outcome": lambda _, c: t("must be true, false, “{positive}” or “{negative}”.", **c),
    "label_moment": lambda _, __: t("must be a moment with its time zone, such as 2026-01-31T23:30:00Z."),
    "label_future": lambda _, __: t("must not be in the future."),
    "finite_number": lambda _, __: t("must be a finite number."),
    "timezone_naive": lambda _, __: t("must be a local time, without a time zone."),
    "truth": lambda _, __: t("must be {type}.", type=_type_name("boolean")),
    "feature": lambda _, __: t("this feature has no value for the request: something in it is out of range."),
    "probability": lambda _, __: t(
        "the model has no probability for this request: a number is out of all range."
    ),
}
