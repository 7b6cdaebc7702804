"""Requests validated from a contract's data alone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relevo import contract, validation
from relevo.errors import RequestError


class Flight(BaseModel):
    at: datetime = Field(alias="Fecha-I", ge=datetime(2000, 1, 1))
    airline: str = Field(alias="Emp-I", pattern="^[A-Z]{3}$")
    seats: int | None = Field(None, ge=0)
    load: float = Field(0.5, le=1)
    kind: Literal["I", "N"] = "N"
    day: date | None = None
    level: Literal[1, 2] | None = None


VALIDATORS = validation.build(contract.read(Flight))
GOOD: dict[str, Any] = {"Fecha-I": "2017-01-01 23:30:00", "Emp-I": "AAL"}


def test_defaults_and_aliases() -> None:
    assert validation.validate(VALIDATORS, GOOD) == {
        "at": datetime(2017, 1, 1, 23, 30),
        "airline": "AAL",
        "seats": None,
        "load": 0.5,
        "kind": "N",
        "day": None,
        "level": None,
    }


@pytest.mark.parametrize("value", [2, "2", 2.0])
def test_a_choice_of_numbers_takes_what_other_whole_numbers_take(value: object) -> None:
    assert validation.validate(VALIDATORS, GOOD | {"level": value})["level"] == 2


@pytest.mark.parametrize("value", [3, "3", "two", 2.5])
def test_another_number_is_none_of_the_choices(value: object) -> None:
    with pytest.raises(RequestError, match="level"):
        validation.validate(VALIDATORS, GOOD | {"level": value})


def test_a_field_may_be_given_by_its_name() -> None:
    assert validation.validate(VALIDATORS, {"at": "2017-01-01T23:30", "airline": "AAL"})["airline"] == "AAL"


def test_unknown_fields_are_kept_to_be_counted() -> None:
    assert validation.validate(VALIDATORS, GOOD | {"gate": "7"})["gate"] == "7"


def test_unknown_fields_are_refused_where_the_model_forbids_them() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        x: int

    validators = validation.build(contract.read(Strict))
    with pytest.raises(RequestError, match="gate"):
        validation.validate(validators, {"x": 1, "gate": "7"})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"Fecha-I": 1483313400}, "Fecha-I"),
        ({"Fecha-I": "1483313400"}, "Fecha-I"),
        ({"Fecha-I": "2017-13-01 00:00:00"}, "Fecha-I"),
        ({"Fecha-I": "2017-02-31 00:00:00"}, "Fecha-I"),
        ({"Fecha-I": "31/02/2017"}, "Fecha-I"),
        ({"Fecha-I": "2017-02-01T00:00:00Z"}, "Fecha-I"),
        ({"Fecha-I": "1999-12-31 23:59:59"}, "Fecha-I"),
        ({"Fecha-I": None}, "Fecha-I"),
        ({"Emp-I": "AALL"}, "Emp-I"),
        ({"Emp-I": 12}, "Emp-I"),
        ({"seats": -1}, "seats"),
        ({"seats": 1.5}, "seats"),
        ({"seats": 2**63}, "seats"),
        ({"load": float("nan")}, "load"),
        ({"load": float("inf")}, "load"),
        ({"kind": "O"}, "kind"),
        ({"day": "2017-1-1"}, "day"),
    ],
)
def test_what_breaks_the_contract_is_named_by_alias(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        validation.validate(VALIDATORS, GOOD | change)
    assert [problem["field"] for problem in caught.value.problems] == [field]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_json_numbers_that_are_not_finite_are_refused(number: str) -> None:
    body = f'{{"Fecha-I": "2017-01-01 00:00:00", "Emp-I": "AAL", "load": {number}}}'
    with pytest.raises(ValidationError) as caught:
        VALIDATORS.one.validate_json(body)
    assert validation.problems(caught.value, VALIDATORS.contract)[0]["field"] in ("load", "body")


def test_problems_in_a_list_say_the_row() -> None:
    with pytest.raises(ValidationError) as caught:
        VALIDATORS.many.validate_python([GOOD, GOOD | {"kind": "O"}])
    (problem,) = validation.problems(caught.value, VALIDATORS.contract)
    assert (problem["row"], problem["field"]) == (1, "kind")


def test_lists_are_neither_empty_nor_too_long() -> None:
    short = validation.build(contract.read(Flight), max_rows=2)
    for rows in ([], [GOOD] * 3):
        with pytest.raises(ValidationError):
            short.many.validate_python(rows)


def test_a_range_is_named_whole() -> None:
    """A value beyond one end is often meant for another field, so both ends help; one bound alone stands alone."""

    class Song(BaseModel):
        loudness: float = Field(ge=-60, le=5)
        plays: int = Field(ge=0)

    validators = validation.build(contract.read(Song))
    for loudness in (125.513, -61):
        with pytest.raises(RequestError, match=r"loudness: must be from -60(\.0)? to 5(\.0)?\."):
            validation.validate(validators, {"loudness": loudness, "plays": 1})
    with pytest.raises(RequestError, match=r"plays: must be at least 0\."):
        validation.validate(validators, {"loudness": 0, "plays": -1})
