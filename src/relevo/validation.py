"""Validators for requests, built from a contract's data with pydantic-core.

One validator serves HTTP bodies, cases and golden rows. It is stricter than Pydantic's defaults where
files are: NaN and infinity are refused, and a date is a text such as ``2017-01-01 23:30:00`` without a
time zone, never a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError, core_schema

from relevo import defects
from relevo.errors import RequestError

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

    from relevo.contract import Contract, Field

_DASH = 4  # the place of the first dash in an ISO 8601 date


def _dated(value: Any) -> Any:
    if (value[_DASH : _DASH + 1] == "-") if type(value) is str else isinstance(value, date):
        return value
    raise PydanticCustomError("date_text", "Input should be a text such as 2017-01-31 23:30:00")


def _schema(field: Field) -> CoreSchema:
    rules = {name: getattr(field, name) for name in ("ge", "gt", "le", "lt")}
    rules = {name: value for name, value in rules.items() if value is not None}
    lengths = {name: getattr(field, name) for name in ("min_length", "max_length", "pattern")}
    lengths = {name: value for name, value in lengths.items() if value is not None}
    schema: CoreSchema
    if field.choices is not None:
        schema = core_schema.literal_schema(list(field.choices))
        if field.type == "integer":  # a text or a float that is a whole number is one here as it is elsewhere
            schema = core_schema.chain_schema([core_schema.int_schema(), schema])
    elif field.type == "text":
        schema = core_schema.str_schema(**lengths)
    elif field.type == "integer":
        bounds = {"ge": -(2**63), "le": 2**63 - 1} | rules
        schema = core_schema.int_schema(**bounds)
    elif field.type == "double":
        schema = core_schema.float_schema(allow_inf_nan=False, **rules)
    elif field.type == "boolean":
        schema = core_schema.bool_schema()
    elif field.type == "date":
        schema = core_schema.date_schema(**_times(field, rules))
        schema = core_schema.no_info_before_validator_function(_dated, schema)
    else:
        schema = core_schema.datetime_schema(tz_constraint="naive", **_times(field, rules))
        schema = core_schema.no_info_before_validator_function(_dated, schema)
    return core_schema.nullable_schema(schema) if field.nullable else schema


def _times(field: Field, rules: dict[str, Any]) -> dict[str, Any]:
    parse = date.fromisoformat if field.type == "date" else datetime.fromisoformat
    return {name: parse(value) for name, value in rules.items()}


def _default(field: Field) -> Any:
    if field.default is None or field.type not in ("date", "timestamp"):
        return field.default
    return _times(field, {"default": field.default})["default"]


def row_schema(contract: Contract) -> CoreSchema:
    """Build the core schema of one row: a dictionary by field names, unknown fields kept so they can be counted."""
    entries = {}
    for field in contract.fields:
        schema = _schema(field)
        if not field.required:
            schema = core_schema.with_default_schema(schema, default=_default(field))
        spellings: list[list[str | int]] = [[field.alias], [field.name]]
        entries[field.name] = core_schema.typed_dict_field(
            schema,
            required=field.required,
            validation_alias=spellings if field.alias != field.name else field.alias,
        )
    return core_schema.typed_dict_schema(
        entries,
        extra_behavior="forbid" if contract.forbid_unknown else "allow",
        config=core_schema.CoreConfig(coerce_numbers_to_str=contract.numbers_as_text),
    )


@dataclass(frozen=True)
class Validators:
    """``one`` takes an object, ``many`` a list of objects, of at most ``max_rows``."""

    one: SchemaValidator
    many: SchemaValidator
    contract: Contract


def build(contract: Contract, *, max_rows: int = 10_000) -> Validators:
    """Build the validators of a contract."""
    row = row_schema(contract)
    return Validators(
        SchemaValidator(row),
        SchemaValidator(core_schema.list_schema(row, min_length=1, max_length=max_rows)),
        contract,
    )


def problems(error: ValidationError, contract: Contract) -> list[dict[str, object]]:
    """Turn a validation error into one entry per field: ``field``, ``row`` (from 0, in lists), ``problem``."""
    return [defects.entry(defect, contract) for defect in defects.of(error)]


def validate(validators: Validators, value: object) -> dict[str, Any]:
    """Validate one row given as Python values; raises ``RequestError``."""
    try:
        row: dict[str, Any] = validators.one.validate_python(value)
    except ValidationError as error:
        raise RequestError(problems(error, validators.contract)) from error
    return row
