"""Columns found by alias or name."""

from __future__ import annotations

import pytest

from relevo import header
from relevo.contract import Contract, Field
from relevo.errors import DataError

CONTRACT = Contract(
    "Flight",
    (
        Field(name="scheduled_at", alias="Fecha-I", type="timestamp"),
        Field(name="seats", alias="Asientos", type="integer", required=False),
    ),
)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["Fecha-I", "x"], {"scheduled_at": "Fecha-I"}),
        ([" FECHA-i ", "asientos"], {"scheduled_at": " FECHA-i ", "seats": "asientos"}),
        (["SCHEDULED_AT"], {"scheduled_at": "SCHEDULED_AT"}),
        (["scheduled_at", "Fecha-I"], {"scheduled_at": "Fecha-I"}),
    ],
)
def test_capitals_and_blanks_do_not_matter_and_the_alias_comes_first(
    columns: list[str], found: dict[str, str]
) -> None:
    assert header.check(CONTRACT, columns, place="a.csv") == found


def test_a_missing_column_is_named_with_what_there_is_and_the_nearest_name() -> None:
    with pytest.raises(DataError) as caught:
        header.check(CONTRACT, ["Fecha_I", "Asientos"], place="data/a.csv")
    message = str(caught.value)
    for part in (
        "data/a.csv",
        "“Fecha-I”",
        "Fecha_I, Asientos",
        "Is “Fecha_I” meant for “Fecha-I”?",
        "alias",
    ):
        assert part in message


def test_other_columns_are_refused_where_the_contract_forbids_them() -> None:
    strict = Contract("Strict", CONTRACT.fields, forbid_unknown=True)
    with pytest.raises(DataError, match="gate"):
        header.check(strict, ["Fecha-I", "gate"], place="a.csv")
    assert header.check(strict, ["Fecha-I", "gate"], place="raw/a", forbid=False)
