"""What comes again: a patient, a song twice in the file, a row whose outcome became known late."""

from __future__ import annotations

import os
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import Field

from relevo import GroupSplit, RepeatedStratifiedSplit, StratifiedSplit, Target, TimeSplit, examples
from relevo.errors import DataError
from support import bare

if TYPE_CHECKING:
    from relevo.definition import Definition
    from relevo.split import Split

REAL = pytest.mark.skipif(
    "RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA names no folder with data"
)
SAID = "compared with public figures on random splits"
CHANCE = [StratifiedSplit(), RepeatedStratifiedSplit(repeats=2)]


def visits(folder: Path, rows: int = 1200, *, per_patient: float = 2.0) -> Path:
    """Visits of patients, of whom each comes ``per_patient`` times on average."""
    draw = random.Random(0)
    path = folder / "visits.csv"
    lines = ["patient,visit,age,back"]
    for visit in range(rows):
        patient = draw.randrange(int(rows / per_patient)) if per_patient > 1 else visit
        lines.append(f"{patient},{visit},{draw.randrange(20, 90)},{draw.choice('nnny')}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def made(folder: Path, source: Path, split: Split, *, patient: Any = (int, ...)) -> Definition:
    return bare.definition(
        folder,
        source,
        split,
        asked={"age": (int, ...)},
        known={"patient": patient, "visit": (int, ...), "back": (str, ...)},
        target=Target("back = 'y'"),
    )


@pytest.mark.parametrize("split", CHANCE)
def test_a_patient_who_comes_again_is_not_drawn_by_chance(tmp_path: Path, split: Split) -> None:
    """The column is named with the remedy; the unique one beside it is not."""
    definition = made(tmp_path, visits(tmp_path), split)
    lake, clean = bare.cleaned(definition, tmp_path)
    with pytest.raises(DataError, match=r"“patient” looks like an id .* GroupSplit\(by=\"patient\"\)"):
        examples.make(definition, lake, clean)


@pytest.mark.parametrize(
    "split", [StratifiedSplit(because=SAID), RepeatedStratifiedSplit(because=SAID), GroupSplit(by="patient")]
)
def test_unless_it_was_asked_for_in_words(tmp_path: Path, split: Split) -> None:
    definition = made(tmp_path, visits(tmp_path), split)
    lake, clean = bare.cleaned(definition, tmp_path)
    assert examples.make(definition, lake, clean).rows == 1200


@pytest.mark.parametrize("because", ["yes", "  because yes "])
def test_a_word_or_two_say_nothing(tmp_path: Path, because: str) -> None:
    definition = made(tmp_path, visits(tmp_path), StratifiedSplit(because=because))
    lake, clean = bare.cleaned(definition, tmp_path)
    with pytest.raises(DataError, match="“patient”"):
        examples.make(definition, lake, clean)


def test_patients_who_come_once_may_be_drawn(tmp_path: Path) -> None:
    definition = made(tmp_path, visits(tmp_path, per_patient=1), StratifiedSplit())
    lake, clean = bare.cleaned(definition, tmp_path)
    assert examples.make(definition, lake, clean).rows == 1200


def test_copies_of_a_row_are_no_patient_who_comes_again(tmp_path: Path) -> None:
    source = visits(tmp_path, 600, per_patient=1)
    head, *rows = source.read_text(encoding="utf-8").splitlines()
    source.write_text("\n".join([head, *rows, *rows[:100]]), encoding="utf-8")
    definition = made(tmp_path, source, StratifiedSplit())
    lake, clean = bare.cleaned(definition, tmp_path)
    assert examples.make(definition, lake, clean).rows == 700


@pytest.mark.parametrize("patient", [(float, ...), (int, Field(ge=0, le=10_000))])
def test_what_measures_something_is_no_id(tmp_path: Path, patient: Any) -> None:
    """A double is a measurement, and so is a whole number between two bounds."""
    definition = made(tmp_path, visits(tmp_path), StratifiedSplit(), patient=patient)
    lake, clean = bare.cleaned(definition, tmp_path)
    assert examples.make(definition, lake, clean).rows == 1200


def test_an_outcome_known_too_late_is_not_learned_from(tmp_path: Path) -> None:
    """Orders of 100 days, each known 1 to 20 days later: those known after the test part began teach nothing."""
    start, draw = datetime(2024, 1, 1), random.Random(1)
    lines = ["ordered,known,size,late"]
    for row in range(1000):
        ordered = start + timedelta(hours=2.4 * row)
        known = ordered + timedelta(days=draw.randrange(1, 20))
        lines.append(f"{ordered},{known},{draw.randrange(9)},{draw.choice('ny')}")
    source = tmp_path / "orders.csv"
    source.write_text("\n".join(lines), encoding="utf-8")
    definition = bare.definition(
        tmp_path,
        source,
        TimeSplit(test="20d", folds=2),
        asked={"ordered": (datetime, ...), "size": (int, ...)},
        known={"known": (datetime, ...), "late": (str, ...)},
        target=Target("late = 'y'", known_at="known"),
        event_time="ordered",
        features="select size from request",
    )
    lake, clean = bare.cleaned(definition, tmp_path)
    snapshot = examples.make(definition, lake, clean)
    connection = lake.connect()
    lake.bind(connection, snapshot.table, as_="e", version=snapshot.version)
    lake.bind(connection, clean["rows"].table, as_="c", version=clean["rows"].version)
    found = connection.execute(
        """select _part, count(*), max(known), min(_time), max(_time) from e join c using (_id)
        group by _part order by _part"""
    ).fetchall()
    connection.close()
    parts = {row[0]: row[1:] for row in found}
    assert set(parts) == {"train", "gap", "test"}
    begins = parts["test"][2]
    assert parts["train"][1] <= begins
    assert parts["gap"][3] < begins
    assert parts["gap"][0] > 50
    assert parts["test"][0] == 200


@REAL
@pytest.mark.parametrize("split", [GroupSplit(by="patient_nbr"), StratifiedSplit()])
def test_real_patients_stand_on_one_side(tmp_path: Path, split: Split) -> None:
    """64,094 patients, of whom many come again: drawn by group, or not at all."""
    definition = bare.definition(
        tmp_path,
        Path(os.environ["RELEVO_TEST_DATA"]) / "readmission" / "diabetic_data.csv",
        split,
        asked={"time_in_hospital": (int, ...), "age": (str, ...), "number_inpatient": (int, ...)},
        known={"encounter_id": (int, ...), "patient_nbr": (int, ...), "readmitted": (str, ...)},
        target=Target("readmitted = '<30'"),
        nulls=["?"],
    )
    lake, clean = bare.cleaned(definition, tmp_path)
    if isinstance(split, StratifiedSplit):
        with pytest.raises(DataError, match="“patient_nbr” looks like an id"):
            examples.make(definition, lake, clean)
        return
    snapshot = examples.make(definition, lake, clean)
    connection = lake.connect()
    lake.bind(connection, snapshot.table, as_="e", version=snapshot.version)
    ((patients, torn),) = connection.execute(
        """select count(*), count(*) filter (sides > 1) from (
            select count(distinct (_part, _fold)) as sides from e group by _group)"""
    ).fetchall()
    shares = dict(
        connection.execute("select _part, avg(cast(_target as int)) from e group by _part").fetchall()
    )
    connection.close()
    assert (patients, torn) == (64_094, 0)
    assert shares["train"] == pytest.approx(shares["test"], abs=0.005)


@REAL
def test_real_flight_numbers_are_no_ids(tmp_path: Path) -> None:
    """A flight number flies every day: it is a category, and a random split of flights needs but the word."""
    definition = bare.definition(
        tmp_path,
        Path(os.environ["RELEVO_TEST_DATA"]) / "flights" / "dataset_SCL.csv",
        StratifiedSplit(test=0.1),
        asked={
            "flight": (str | None, Field(None, alias="Vlo-I")),
            "destination": (str, Field(alias="Des-I")),
        },
        known={"day": (int, Field(alias="DIA")), "kind": (str, Field(alias="TIPOVUELO"))},
        target=Target("kind = 'I'"),
    )
    lake, clean = bare.cleaned(definition, tmp_path)
    assert examples.make(definition, lake, clean).rows > 61_000
