"""Contracts read from Pydantic models, carried as JSON, compared for breaking changes."""

from __future__ import annotations

import enum
import json
from datetime import date, datetime
from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from relevo import contract
from relevo.contract import Contract
from relevo.errors import ProjectError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Everything(BaseModel):
    """Each kind of field once."""

    text: str = Field(alias="Te-xt", pattern="^[a-z]+$", min_length=1, max_length=9, description="A text")
    whole: int | None = Field(None, ge=0, lt=10)
    real: float = Field(gt=-60, le=5, examples=[1.5])
    flag: bool = False
    day: date = Field(ge=date(2000, 1, 1))
    at: datetime
    kind: Literal["I", "N"]
    level: Literal[1, 2] | None = None
    colour: Colour


def test_every_kind_of_field_is_read() -> None:
    read = contract.read(Everything)
    assert [(f.name, f.type, f.nullable, f.required) for f in read.fields] == [
        ("text", "text", False, True),
        ("whole", "integer", True, False),
        ("real", "double", False, True),
        ("flag", "boolean", False, False),
        ("day", "date", False, True),
        ("at", "timestamp", False, True),
        ("kind", "text", False, True),
        ("level", "integer", True, False),
        ("colour", "text", False, True),
    ]
    assert read["text"].alias == "Te-xt"
    assert (read["text"].pattern, read["text"].min_length, read["text"].max_length) == ("^[a-z]+$", 1, 9)
    assert (read["whole"].ge, read["whole"].lt) == (0, 10)
    assert read["day"].ge == "2000-01-01"
    assert read["kind"].choices == ("I", "N")
    assert read["level"].choices == (1, 2)
    assert read["colour"].choices == ("red", "blue")


def test_json_carries_a_contract_unchanged() -> None:
    read = contract.read(Everything)
    assert Contract.from_json(json.loads(json.dumps(read.to_json()))) == read


def test_all_unsupported_fields_are_told_at_once() -> None:
    class Wrong(BaseModel):
        items: list[int]
        either: int | str
        made: float = Field(default_factory=float)
        mixed: Literal["a", 1]
        ratio: float = Field(multiple_of=0.5)

        @field_validator("items")
        @classmethod
        def check(cls, value: list[int]) -> list[int]:
            return value

    with pytest.raises(ProjectError) as caught:
        contract.read(Wrong)
    told = {mistake.field: mistake for mistake in caught.value.mistakes}
    assert set(told) == {
        "Wrong.items",
        "Wrong.either",
        "Wrong.made",
        "Wrong.mixed",
        "Wrong.ratio",
        "Wrong.check",
    }
    assert "MultipleOf" in told["Wrong.ratio"].problem
    assert all(mistake.remedy for mistake in told.values())


def test_aliases_that_clash_are_named() -> None:
    class Clash(BaseModel):
        one: str = Field(alias="Two")
        two: str

    with pytest.raises(ProjectError, match="clashes with the field one"):
        contract.read(Clash)


def _one(**rules: object) -> Contract:
    base = {"name": "x", "alias": "x", "type": "integer"}
    return Contract("C", (contract.Field(**(base | rules)),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ({}, {}, False),
        ({}, {"type": "double"}, False),
        ({"type": "double"}, {}, True),
        ({"nullable": True}, {}, True),
        ({}, {"nullable": True}, False),
        ({"required": False}, {}, True),
        ({}, {"ge": 0}, True),
        ({"ge": 0}, {"ge": -1}, False),
        ({"ge": 0}, {"ge": 1}, True),
        ({"le": 5}, {"le": 6}, False),
        ({"le": 5}, {"le": 4}, True),
        ({"choices": (1, 2)}, {"choices": (1, 2, 3)}, False),
        ({"choices": (1, 2)}, {"choices": (1,)}, True),
        ({"alias": "y"}, {}, True),
        ({"alias": "y"}, {"required": False}, False),
    ],
)
def test_what_breaks_callers(old: dict[str, object], new: dict[str, object], broken: bool) -> None:
    assert bool(contract.breaking_changes(_one(**old), _one(**new))) is broken


def test_a_field_removed_breaks_only_when_unknown_fields_are_refused() -> None:
    empty = Contract("C", ())
    assert not contract.breaking_changes(_one(), empty)
    assert contract.breaking_changes(_one(), Contract("C", (), forbid_unknown=True))


class Trip(BaseModel):
    """A number with a unit, and one whose extra says something else."""

    distance: float = Field(json_schema_extra={"unit": "km"})
    price: float = Field(json_schema_extra={"x-colour": "red"})


def test_a_unit_is_carried() -> None:
    read = contract.read(Trip)
    assert [field.unit for field in read.fields] == ["km", ""]
    assert Contract.from_json(json.loads(json.dumps(read.to_json()))) == read
    assert "unit" not in read.to_json()["fields"][1]


@pytest.mark.parametrize("unit", [7, "k" * 41, "a\nb", None])
def test_a_unit_is_a_short_text(unit: object) -> None:
    class Odd(BaseModel):
        distance: float = Field(json_schema_extra={"unit": unit})  # type: ignore[dict-item]

    with pytest.raises(ProjectError, match=r"Odd\.distance.*unit"):
        contract.read(Odd)
