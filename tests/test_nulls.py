"""Nulls counted by file and batch, and the columns in which their share differs."""

from __future__ import annotations

import csv
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, Field, create_model

from relevo import contract as contracts
from relevo import nulls
from relevo.nulls import Counts, differing
from relevo.project import Table
from relevo.sources import Batches, Files
from support import provider as providers
from support.ingesting import Place
from support.provider import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.sources import Source


class Visit(BaseModel):
    id: int
    payer: str | None = Field(alias="Payer Code")
    weight: float | None = None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "data").mkdir()
    return Place(tmp_path, Visit)


def count(place: Place, source: Source, missing: Sequence[str] = ("?", "N/A")) -> list[Counts]:
    table = Table("items", place.model, source, nulls=missing)
    return nulls.count(table, place.contract, place.lake, place.ingest(source))


def test_null_is_what_cleaning_makes_null(place: Place) -> None:
    cells = ["?", "", " ? ", "N/A ", "none", "\u00a0", "x?", "0"]
    lines = [f"{n},{cell}" for n, cell in enumerate(cells)]
    (place.root / "data" / "a.csv").write_text("\n".join(["id,PAYER CODE ", *lines, "broken"]))
    source = Files("data/*.csv")
    (found,) = count(place, source)
    assert found == Counts(
        source="data/a.csv", batch="data/a.csv", rows=8, nulls={"id": 0, "payer": 5, "weight": 8}
    )
    place.clean(source, nulls=["?", "N/A"])
    assert place.rows("select count(*) filter (payer is null) from clean.items") == [(5,)]


def test_each_file_is_counted_by_its_own_spelling_of_a_column(place: Place) -> None:
    (place.root / "data" / "a.csv").write_text("id,Payer Code\n1,x\n2,?\n")
    (place.root / "data" / "b.csv").write_text("id,PAYER\n3,x\n4,y\n5,?\n")
    found = count(place, Files("data/*.csv"))
    assert [piece.nulls["payer"] for piece in found] == [1, 1]


def test_pieces_stand_in_the_order_of_the_snapshot_and_copies_once(place: Place) -> None:
    for name, payer in (("b", "?"), ("a", "x"), ("c", "?")):
        (place.root / "data" / f"{name}.csv").write_text(f"id,Payer Code\n1,{payer}\n")
    found = count(place, Files("data/*.csv"))
    assert [(piece.source, piece.nulls["payer"]) for piece in found] == [("data/a.csv", 0), ("data/b.csv", 1)]


def test_only_the_newest_pieces_are_counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nulls, "MOST", 3)
    with providers.provider() as provider:
        for number in range(1, 12):
            provider.hand_out(number, Reply(f"id,Payer Code\n{number},x\n"))
        found = count(place, Batches(provider.url))
    assert [piece.batch for piece in found] == ["9", "10", "11"]


def piece(rows: int, **empty: int) -> Counts:
    return Counts(source="s", batch="b", rows=rows, nulls=empty)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], {}),
        ([piece(1000, a=1000)], {}),
        ([piece(1000, a=100), piece(1000, a=100)], {}),
        ([piece(1000, a=100), piece(1000, a=149)], {}),  # less than five points
        ([piece(1000, a=100, b=7), piece(1000, a=200, b=7)], {"a": [0.1, 0.2]}),
        ([piece(50, a=5), piece(50, a=10)], {}),  # ten points, but chance may do it
        ([piece(5, a=5), piece(5, a=0)], {}),  # too few to say
        ([piece(1000, a=0), piece(1000, a=1000)], {"a": [0.0, 1.0]}),
        ([piece(0, a=0), piece(1000, a=0), piece(1000, a=1000)], {"a": [0.0, 1.0]}),
    ],
)
def test_what_differs_is_both_large_and_beyond_chance(
    pieces: Sequence[Counts], expected: dict[str, list[float]]
) -> None:
    assert differing(pieces) == expected


def test_the_limit_of_chance_is_that_of_the_two_proportion_test() -> None:
    """120 and 180 of 1,000: z = 3.756, two-sided p = 0.00017; one look allows 0.01, a hundred 0.0001."""
    one, other = piece(1000, a=120), piece(1000, a=180)
    assert differing([one, other]) == {"a": [0.12, 0.18]}
    many = {f"c{n}": 0 for n in range(99)}
    assert differing([piece(1000, a=120, **many), piece(1000, a=180, **many)]) == {}


@pytest.mark.skipif("RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA names no folder with data")
def test_the_real_encounters_in_batches_of_15_000(tmp_path: Path) -> None:
    path = Path(os.environ["RELEVO_TEST_DATA"]) / "readmission" / "diabetic_data.csv"
    with path.open(newline="") as file:
        header, *lines = file.readlines()
    names = next(csv.reader([header]))
    fields = {f"f{n}": (str | None, Field(None, alias=name)) for n, name in enumerate(names)}
    place = Place(tmp_path, create_model("Encounter", **fields))  # type: ignore[call-overload]
    with providers.provider() as provider:
        rest = iter(lines)
        for number in range(1, 1 + len(lines) // 15_000):
            provider.hand_out(number, Reply(header + "".join(islice(rest, 15_000))))
        table = Table("items", place.model, Batches(provider.url), nulls=["?"])
        found = nulls.count(table, contracts.read(place.model), place.lake, place.ingest(table.source))
    assert [piece.rows for piece in found] == [15_000] * 6
    shares = differing(found)
    shown = {names[int(name[1:])]: [round(share * 100) for share in of] for name, of in shares.items()}
    assert shown == {
        "payer_code": [100, 79, 29, 29, 12, 8],
        "medical_specialty": [39, 38, 25, 53, 59, 67],
    }
