"""Contracts: what a row must look like, read once from a Pydantic model and then carried as data.

A contract is a tuple of fields, each with a type of ours, its name in Python and SQL (``name``), its
name in files and requests (``alias``) and its rules. It goes into the package as JSON; the server
builds its validator from that, so serving needs none of the project's code.
"""

from __future__ import annotations

import enum
import types
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from relevo.errors import Mistake, ProjectError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "double",
    str: "text",
    datetime: "timestamp",
    date: "date",
}
"""Python types a field may have, and what we call them; SQL: BOOLEAN, BIGINT, DOUBLE, VARCHAR, TIMESTAMP, DATE."""
LONGEST_UNIT = 40


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a contract. ``default`` counts only when ``required`` is false."""

    name: str
    alias: str
    type: str
    nullable: bool = False
    required: bool = True
    default: str | int | float | bool | None = None
    choices: tuple[str | int, ...] | None = None
    pattern: str | None = None
    ge: float | str | None = None
    gt: float | str | None = None
    le: float | str | None = None
    lt: float | str | None = None
    min_length: int | None = None
    max_length: int | None = None
    description: str = ""
    unit: str = ""
    """What the number counts, such as km, as ``Field(json_schema_extra={"unit": "km"})`` says."""
    examples: tuple[str | int | float | bool | None, ...] = ()


@dataclass(frozen=True)
class Contract:
    """An ordered set of fields. ``forbid_unknown`` refuses rows with other fields; else they are counted."""

    name: str
    fields: tuple[Field, ...]
    forbid_unknown: bool = False
    numbers_as_text: bool = False

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    def __contains__(self, name: str) -> bool:
        return any(field.name == name for field in self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """Field names, in order."""
        return tuple(field.name for field in self.fields)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without the values that are defaults."""
        defaults = {f.name: f.default for f in fields(Field)}
        rows = [
            {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(field).items() if v != defaults[k]}
            for field in self.fields
        ]
        return {
            "name": self.name,
            "fields": rows,
            "forbid_unknown": self.forbid_unknown,
            "numbers_as_text": self.numbers_as_text,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contract:
        """Read ``to_json`` back; raises ``TypeError`` or ``KeyError`` on anything else."""
        rows = []
        for row in data["fields"]:
            values = dict(row)
            for name in ("choices", "examples"):
                if values.get(name) is not None:
                    values[name] = tuple(values[name])
            rows.append(Field(**values))
        return cls(
            str(data["name"]), tuple(rows), bool(data["forbid_unknown"]), bool(data["numbers_as_text"])
        )


def read(model: type[BaseModel], *, file: str = "project.py") -> Contract:
    """Read a Pydantic model; raises ``ProjectError`` with every field that data cannot carry."""
    mistakes: list[Mistake] = []
    rows: list[Field] = []
    for name, info in model.model_fields.items():
        try:
            rows.append(_field(name, info))
        except ValueError as error:
            problem, _, remedy = str(error).partition("|")
            mistakes.append(Mistake(file, f"{model.__name__}.{name}", problem, remedy))
    mistakes += _validators(model, file) + _clashes(model.__name__, rows, file)
    if mistakes:
        raise ProjectError(mistakes)
    config = model.model_config
    return Contract(
        model.__name__,
        tuple(rows),
        forbid_unknown=config.get("extra") == "forbid",
        numbers_as_text=bool(config.get("coerce_numbers_to_str")),
    )


def _clashes(model: str, rows: list[Field], file: str) -> list[Mistake]:
    seen: dict[str, str] = {}
    mistakes = []
    for row in rows:
        for spelling in {row.alias.lower(), row.name.lower()}:
            other = seen.setdefault(spelling, row.name)
            if other != row.name:
                problem = t(
                    "the alias “{alias}” clashes with the field {other}.", alias=row.alias, other=other
                )
                remedy = t("Give each field its own name and alias; capitals do not tell them apart.")
                mistakes.append(Mistake(file, f"{model}.{row.name}", problem, remedy))
    return mistakes


def _validators(model: type[BaseModel], file: str) -> list[Mistake]:
    decorators = model.__pydantic_decorators__
    named = {**decorators.field_validators, **decorators.validators}
    named_model = {**decorators.model_validators, **decorators.root_validators}
    remedy = t(
        "Use ge, gt, le, lt, pattern, min_length, max_length or Literal, or derive it in features.sql."
    )
    problem = t("a validator is code, and a package carries data only.")
    return [Mistake(file, f"{model.__name__}.{name}", problem, remedy) for name in (*named, *named_model)]


def _field(name: str, info: FieldInfo) -> Field:
    kind, nullable, choices = _type(info.annotation)
    values: dict[str, Any] = {"choices": choices, "nullable": nullable}
    for rule in info.metadata:
        values |= _rule(rule)
    if not info.is_required():
        if info.default_factory is not None:
            raise ValueError(t("a default made by code cannot be carried as data.|Write the default itself."))
        values |= {"required": False, "default": _plain(info.default)}
        if info.default is None and not nullable:
            raise ValueError(t("the default is None but the type does not allow it.|Write `… | None`."))
    alias = info.validation_alias or info.alias or name
    if not isinstance(alias, str):
        raise ValueError(t('only one alias, a text, is supported.|Write Field(alias="…").'))  # noqa: TRY004
    examples = tuple(_plain(example) for example in info.examples or ())
    return Field(
        name=name,
        alias=alias,
        type=kind,
        description=info.description or "",
        unit=_unit(info.json_schema_extra),
        examples=examples,
        **values,
    )


def _unit(extra: Any) -> str:
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    if not isinstance(unit, str) or len(unit) > LONGEST_UNIT or not unit.isprintable():
        raise ValueError(
            t(
                "its unit is not a text of at most {most} characters.|Write for example {example}.",
                most=LONGEST_UNIT,
                example='Field(json_schema_extra={"unit": "km"})',
            )
        )
    return unit


def _type(annotation: Any) -> tuple[str, bool, tuple[str | int, ...] | None]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1 and len(get_args(annotation)) > 1:
            kind, _, choices = _type(members[0])
            return kind, True, choices
    if origin is Literal:
        return _choices(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _choices(tuple(member.value for member in annotation))
    if annotation in TYPES:
        return TYPES[annotation], False, None
    shown = getattr(annotation, "__name__", str(annotation))
    raise ValueError(
        t(
            "the type {type} is not supported.|Use str, int, float, bool, date, datetime, Literal or `… | None`.",
            type=shown,
        )
    )


def _choices(values: tuple[Any, ...]) -> tuple[str, bool, tuple[str | int, ...]]:
    nullable = None in values
    kept = tuple(value for value in values if value is not None)
    kinds = {type(value) for value in kept}
    if kinds == {str}:
        return "text", nullable, kept
    if kinds == {int}:
        return "integer", nullable, kept
    raise ValueError(t("its choices mix types.|Write all of them as text or all as whole numbers."))


_RULES = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")


def _rule(rule: Any) -> dict[str, Any]:
    found = {name: getattr(rule, name) for name in _RULES if getattr(rule, name, None) is not None}
    for name, value in found.items():
        found[name] = getattr(value, "pattern", value) if name == "pattern" else _plain(value)
    known_others = {"strict", "allow_inf_nan", "coerce_numbers_to_str"}
    if not found and not any(getattr(rule, name, None) is not None for name in known_others):
        shown = type(rule).__name__
        raise ValueError(
            t(
                "the rule {rule} is not supported.|Use ge, gt, le, lt, pattern, min_length, max_length or Literal.",
                rule=shown,
            )
        )
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else value


def breaking_changes(old: Contract, new: Contract) -> list[str]:
    """List what makes a request that ``old`` accepts fail under ``new``; empty when compatible."""
    found = []
    for field in new.fields:
        before = next((f for f in old.fields if f.alias == field.alias), None)
        if before is None:
            if field.required:
                found.append(t("the field “{field}” is new and required", field=field.alias))
            continue
        if before.type != field.type and (before.type, field.type) != ("integer", "double"):
            found.append(
                t("“{field}” was {old} and is now {new}", field=field.alias, old=before.type, new=field.type)
            )
        if before.nullable and not field.nullable:
            found.append(t("“{field}” may no longer be null", field=field.alias))
        if not before.required and field.required:
            found.append(t("“{field}” is now required", field=field.alias))
        if _narrower(before, field):
            found.append(t("“{field}” accepts fewer values", field=field.alias))
    if new.forbid_unknown:
        kept = {field.alias for field in new.fields}
        gone = [field.alias for field in old.fields if field.alias not in kept]
        found += [t("“{field}” is gone and unknown fields are refused", field=alias) for alias in gone]
        if not old.forbid_unknown:
            found.append(t("unknown fields are now refused"))
    return found


def _narrower(old: Field, new: Field) -> bool:
    if new.choices is not None and (old.choices is None or not set(old.choices) <= set(new.choices)):
        return True
    if new.pattern is not None and new.pattern != old.pattern:
        return True
    for name, sign in (("ge", 1), ("gt", 1), ("min_length", 1), ("le", -1), ("lt", -1), ("max_length", -1)):
        before, after = getattr(old, name), getattr(new, name)
        if after is None or after == before:
            continue
        if before is None or (after > before) == (sign > 0):
            return True
    return False
