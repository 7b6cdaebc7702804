"""Raw rows become clean ones or go to quarantine with all their reasons."""

from __future__ import annotations

import json
import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from pydantic import BaseModel, Field

from relevo import contract as contracts
from relevo.clean import clean
from relevo.errors import DataError
from relevo.ingest import ingest
from relevo.lake import Lake
from relevo.project import Table
from relevo.sources import Files

if TYPE_CHECKING:
    from relevo.records import Snapshot


class Flight(BaseModel):
    at: datetime = Field(alias="Fecha-I")
    airline: str = Field(alias="Emp-I", pattern="^[A-Z]{3}$")
    kind: Literal["I", "N"] = Field(alias="TIPOVUELO")
    seats: int | None = Field(None, alias="Asientos", ge=1)


HEADER = "Fecha-I,Emp-I,TIPOVUELO,Asientos\n"
GOOD = "2017-01-01 23:30:00,AAL,I,100\n2017-01-02 23:30:00, LAN ,N,\n"
FAULTY = "31/02/2017,aal,O,0\n"


class Place:
    """A project folder, its lake, and one table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = Lake(root / "lake", memory_limit="200MB", threads=2, scratch=root / "scratch")

    def write(self, content: str, name: str = "a.csv") -> None:
        path = self.root / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def clean(
        self,
        model: type[BaseModel] = Flight,
        *,
        limit: float = 0.5,
        where: str | None = None,
        **options: Any,
    ) -> Snapshot:
        table = Table("flights", model, Files("data/*"), where=where, **options)
        contract = contracts.read(model)
        raw = ingest(table, contract, self.lake, self.root, None)
        return clean(table, contract, self.lake, raw, limit=limit, where_sql=where)

    def rows(
        self, query: str = "select * exclude (_id) from clean.flights order by _id"
    ) -> list[tuple[Any, ...]]:
        with self.lake.connect() as connection:
            self.lake.bind_all(connection)
            return connection.execute(query).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_good_rows_come_out_typed_with_an_id(place: Place) -> None:
    place.write(HEADER + GOOD)
    found = place.clean()
    assert (found.table, found.rows, found.quarantined, found.reasons) == ("clean/flights", 2, 0, {})
    assert place.rows() == [
        (datetime(2017, 1, 1, 23, 30), "AAL", "I", 100),
        (datetime(2017, 1, 2, 23, 30), "LAN", "N", None),
    ]
    ((first, digest),) = place.rows(
        "select min(_id), any_value(left(_file, 16)) from clean.flights, raw.flights"
    )
    assert first == f"{digest}:1"
    assert place.rows("describe clean.flights")[0][:2] == ("_id", "VARCHAR")


def test_a_refused_row_is_in_quarantine_with_all_its_reasons(place: Place) -> None:
    place.write(HEADER + GOOD + FAULTY + ",AAL,I,\n")
    found = place.clean()
    assert (found.rows, found.quarantined) == (2, 2)
    assert found.reasons == {
        "Asientos: not ≥ 1": 1,
        "Emp-I: does not match ^[A-Z]{3}$": 1,
        "Fecha-I: empty": 1,
        "Fecha-I: not a timestamp": 1,
        "TIPOVUELO: not one of I, N": 1,
    }
    query = (
        "select _row, _source, reasons, \"row\"->>'Fecha-I', snapshot from quarantine.flights order by _row"
    )
    assert place.rows(query)[0] == (
        3,
        "data/a.csv",
        [
            "Fecha-I: “31/02/2017” is not a timestamp such as 2017-01-31 23:30:00",
            "Emp-I: “aal” does not match ^[A-Z]{3}$",
            "TIPOVUELO: “O” is not one of I, N",
            "Asientos: “0” is not ≥ 1",
        ],
        "31/02/2017",
        found.id,
    )


def test_a_damaged_row_is_in_quarantine_with_its_text(place: Place) -> None:
    place.write(HEADER + GOOD + "2017-01-01\n")
    assert place.clean().reasons == {"damaged row": 1}
    found = place.rows("select reasons, \"row\"->>'_line' from quarantine.flights")
    assert found == [(["damaged row: 1 fields, the header has 4"], "2017-01-01")]


def test_the_same_again_changes_nothing(place: Place) -> None:
    place.write(HEADER + GOOD + FAULTY)
    first, second = place.clean(), place.clean()
    assert (first.changed, second.changed) == (True, False)
    assert (second.id, second.version, second.rows) == (first.id, first.version, first.rows)
    assert (second.quarantined, second.reasons) == (first.quarantined, first.reasons)


def test_a_new_contract_replays_the_quarantine_and_an_old_one_comes_back(place: Place) -> None:
    class Wider(Flight):
        at: str = Field(alias="Fecha-I")  # type: ignore[assignment]
        airline: str = Field(alias="Emp-I")
        kind: str = Field(alias="TIPOVUELO")  # type: ignore[assignment]
        seats: int | None = Field(None, alias="Asientos")

    place.write(HEADER + GOOD + FAULTY)
    first = place.clean()
    assert place.clean(Wider).quarantined == 0
    assert place.rows("select count(*) from quarantine.flights") == [(0,)]
    again = place.clean()
    assert (again.version, again.quarantined, again.reasons) == (first.version, 1, first.reasons)


def test_too_many_refused_rows_stop_with_the_leading_reasons_and_samples(place: Place) -> None:
    place.write(HEADER + GOOD + FAULTY * 4)
    with pytest.raises(DataError) as caught:
        place.clean(limit=0.05)
    message = str(caught.value)
    for part in (
        "flights: 4 of 6 rows (66.7%) break the contract, and only 5.0% may.",
        "Fecha-I: not a timestamp (4)",
        "data/a.csv, row 3: Fecha-I: “31/02/2017” is not a timestamp",
        "row 5",
        "relevo sql",
        "max_quarantined",
    ):
        assert part in message
    assert place.rows("select count(*) from quarantine.flights") == [(4,)]
    assert not place.lake.exists("clean/flights")
    assert place.clean(limit=0.7).rows == 2
    with pytest.raises(DataError, match=r"66\.7%"):
        place.clean(limit=0.1)


def test_all_rows_refused_stop_whatever_the_limit(place: Place) -> None:
    place.write(HEADER + FAULTY * 3)
    with pytest.raises(DataError, match=r"3 of 3 rows \(100\.0%\)"):
        place.clean(limit=1.0)


def test_rows_that_do_not_meet_the_condition_are_left_out(place: Place) -> None:
    place.write(HEADER + GOOD + FAULTY)
    found = place.clean(where="\"kind\" = 'N'")
    assert (found.rows, found.quarantined) == (1, 1)
    with pytest.raises(DataError, match=r"no row is left.*kind"):
        place.clean(where="\"kind\" = 'X'")
    assert place.clean(where='"seats" > 1').rows == 1


@pytest.mark.parametrize("unique", [[], ["at"]])
def test_a_condition_that_stops_at_a_row_is_named_with_its_table(place: Place, unique: list[str]) -> None:
    """Rows enough that the first are looked at before the one at fault."""
    place.write(HEADER + GOOD * 3000 + GOOD.replace("100", "200"))
    where = 'case when "seats" = 200 then cast("airline" as bigint) else 1 end > 0'
    with pytest.raises(DataError) as caught:
        place.clean(where=where, unique=unique)
    told = str(caught.value)
    assert told.startswith(f"the condition “{where}” of the table flights cannot be computed for every row: ")
    assert "AAL" in told
    assert place.rows("select count(*) from raw.flights") == [(6002,)]


def test_texts_that_mean_null_and_defaults(place: Place) -> None:
    class Kept(BaseModel):
        name: str | None
        weight: float = 1.5
        code: int = 7

    place.write("name,weight\n?,2\nNone,\nñ,?\n")
    place.clean(Kept, nulls=["?"])
    assert place.rows() == [(None, 2.0, 7), ("None", 1.5, 7), ("ñ", 1.5, 7)]


def test_of_rows_alike_in_unique_columns_the_first_stays(place: Place) -> None:
    lines = ["2017-01-01,AAL,I,1", "2017-01-01,AAL,N,2", "2017-01-01,AAL,I,", "2017-01-01,AAL,I,"]
    place.write(HEADER + "\n".join(["bad,AAL,I,1", *lines]) + "\n")
    place.write(HEADER + "2017-01-01,AAL,I,2\n2017-01-03,AAL,I,\n", "b.csv")
    found = place.clean(unique=["at", "airline", "seats"])
    kind = "Fecha-I, Emp-I, Asientos: the same as in an earlier row"
    assert found.reasons == {"Fecha-I: not a timestamp": 1, kind: 1}
    assert found.rows == 5
    query = "select _source, _row, reasons from quarantine.flights order by _source desc limit 1"
    assert place.rows(query) == [
        ("data/b.csv", 1, ["Fecha-I, Emp-I, Asientos: the same as in data/a.csv, row 3"])
    ]


def test_keys_of_a_look_up_are_unique_and_not_null(place: Place) -> None:
    class Holiday(BaseModel):
        day: date | None
        name: str

    place.write("day,name\n2017-01-01,a\n2017-01-02,b\n2017-01-01,c\n,d\n2017-01-03,b\n")
    found = place.clean(Holiday, key="day", unique=["name"], limit=0.9)
    assert found.rows == 2
    assert found.reasons == {
        "day: empty, but part of the key": 1,
        "day: the same as in an earlier row": 1,
        "name: the same as in an earlier row": 1,
    }
    assert place.rows("select name from clean.flights order by name") == [("a",), ("b",)]


def test_a_field_without_a_column_in_raw_is_named(place: Place) -> None:
    class More(Flight):
        gate: str

    place.write(HEADER + GOOD)
    table = Table("flights", More, Files("data/*"))
    raw = ingest(table, contracts.read(Flight), place.lake, place.root, None)
    with pytest.raises(DataError, match="raw/flights: there is no column “gate”"):
        clean(table, contracts.read(More), place.lake, raw, limit=0.1)


def test_each_file_is_read_by_its_own_spelling_of_a_column(place: Place) -> None:
    place.write(HEADER + GOOD)
    place.write("scheduled,AIRLINE,TIPOVUELO,Emp-I,Fecha-I\nx,LAN,I,SKU,2017-01-03 00:30:00\n", "b.csv")
    place.write("kind,Airline,At,SEATS\nN,TAM,2017-01-04 00:30:00,7\nN,tam,2017-01-05 00:30:00,7\n", "c.csv")
    place.clean()
    query = 'select airline, kind, seats, day("at") from clean.flights order by "at"'
    assert place.rows(query) == [
        ("AAL", "I", 100, 1),
        ("LAN", "N", None, 2),
        ("SKU", "I", None, 3),
        ("TAM", "N", 7, 4),
    ]
    ((reasons, row),) = place.rows("select reasons, row from quarantine.flights")
    assert reasons == ["Emp-I: “tam” does not match ^[A-Z]{3}$"]
    assert {name: cell for name, cell in json.loads(row).items() if cell is not None} == {
        "kind": "N",
        "AIRLINE": "tam",
        "At": "2017-01-05 00:30:00",
        "SEATS": "7",
    }


def test_a_null_under_the_alias_is_not_filled_from_a_column_of_the_name(place: Place) -> None:
    def lines(*rows: tuple[int | None, int | None]) -> str:
        base = {"at": "2017-01-01 00:30:00", "airline": "LAN", "kind": "N"}
        return "".join(json.dumps(base | {"Asientos": alias, "seats": name}) + "\n" for alias, name in rows)

    place.write(lines((None, 5), (6, 7)), "a.jsonl")
    place.clean()
    assert place.rows("select seats from clean.flights order by seats nulls first") == [(None,), (6,)]


def test_only_files_in_force_count(place: Place) -> None:
    place.write(HEADER + GOOD + FAULTY)
    assert place.clean().quarantined == 1
    place.write(HEADER + GOOD)
    found = place.clean()
    assert (found.rows, found.quarantined) == (2, 0)


def test_a_pattern_that_tables_cannot_check_is_named(place: Place) -> None:
    class Odd(BaseModel):
        at: str = Field(alias="Fecha-I", pattern=r"^[a-z&&[^aeiou]]+$")

    place.write(HEADER + GOOD)
    table = Table("flights", Odd, Files("data/*"))
    contract = contracts.Contract(
        "Odd", (contracts.Field(name="at", alias="Fecha-I", type="text", pattern=r"\p{Nope}"),)
    )
    raw = ingest(table, contract, place.lake, place.root, None)
    with pytest.raises(DataError, match=r"Odd\.at.*\\p\{Nope\}"):
        clean(table, contract, place.lake, raw, limit=0.1)


def test_an_id_depends_on_the_data_and_the_contract_only(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name)
        place.write(HEADER + GOOD)
        found.append(place.clean().id)
        found.append(place.clean(nulls=["?"]).id)
    assert (found[0], found[1]) == (found[2], found[3])
    assert found[0] != found[1]


@pytest.mark.skipif("RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA names no folder with data")
def test_the_real_departures_are_clean(place: Place) -> None:
    class Departure(BaseModel):
        scheduled_at: datetime = Field(alias="Fecha-I")
        flight: str | None = Field(None, alias="Vlo-I")
        destination: str = Field(alias="Des-I", pattern="^[A-Z]{4}$")
        kind: Literal["I", "N"] = Field(alias="TIPOVUELO")
        departed_at: datetime = Field(alias="Fecha-O")

    source = Path(os.environ["RELEVO_TEST_DATA"]) / "flights" / "dataset_SCL.csv"
    table = Table("flights", Departure, Files(str(source)))
    contract = contracts.read(Departure)
    raw = ingest(table, contract, place.lake, place.root, None)
    found = clean(table, contract, place.lake, raw, limit=0.0)
    assert (found.rows, found.quarantined) == (61_849, 0)
    late = "select count(*) from clean.flights where date_diff('minute', scheduled_at, departed_at) > 15"
    assert place.rows(late)[0][0] == 10_999
