"""Project folders loaded and cross-checked: every mistake told, with file, field and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from relevo.definition import load
from relevo.errors import Mistake, ProjectError
from relevo.sources import Files

FLIGHTS = Path(__file__).parents[1] / "support" / "flights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the flights project to spoil."""
    copy = tmp_path / "flights"
    shutil.copytree(FLIGHTS, copy, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    return copy


def change(folder: Path, file: str, before: str, after: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")


def mistakes(folder: Path, **sets: str) -> list[Mistake]:
    with pytest.raises(ProjectError) as caught:
        load(folder, sets=sets)
    return list(caught.value.mistakes)


def test_the_flights_project_has_no_mistake(folder: Path) -> None:
    definition = load(folder)
    assert definition.name == "flights"
    assert {column.type for column in definition.plan.features} == {"text", "boolean", "integer"}
    assert [case.expected for case in definition.cases] == [False, False, True]
    assert definition.project.root == folder.resolve()


def test_the_digest_changes_with_the_definition_only(folder: Path) -> None:
    first = load(folder).digest
    assert load(folder).digest == first
    change(folder, "features.sql", "isodow(scheduled_at) as weekday", "dayofweek(scheduled_at) as weekday")
    assert load(folder).digest != first


SPOILED = [
    ("features.sql", "    airline,\n", "    airlin,\n", "features.sql", "airlin", "airline"),
    (
        "features.sql",
        "    airline,\n",
        "    departed_at,\n",
        "features.sql",
        "departed_at",
        "known only afterwards",
    ),
    ("features.sql", "h.day is not null", "h.nosuch is not null", "features.sql", "holiday", "nosuch"),
    ("features.sql", "join holidays h", "join vacations h", "features.sql", "", "vacations"),
    ("features.sql", "from request", "from request where airline = 'LAN'", "features.sql", "", "WHERE"),
    ("features.sql", "isodow(", "regexp_extract(", "features.sql", "", "regexp_extract"),
    ("features.sql", "select", "selec", "features.sql", "", ""),
    ("project.py", 'key="day"', 'key="date"', "project.py", "Table holidays.key", "day"),
    (
        "project.py",
        'event_time="scheduled_at"',
        'event_time="airline"',
        "project.py",
        "event_time",
        "timestamp",
    ),
    ("project.py", ', event_time="scheduled_at"', "", "project.py", "TimeSplit", "event_time"),
    ("project.py", 'test="60d"', 'test="60 days"', "project.py", "TimeSplit.test", "60d"),
    (
        "project.py",
        'TimeSplit(test="60d")',
        '__import__("relevo").GroupSplit(by="pilot")',
        "project.py",
        "GroupSplit.by",
        "pilot",
    ),
    (
        "project.py",
        'TimeSplit(test="60d")',
        '__import__("relevo").StratifiedSplit(because="why not")',
        "project.py",
        "StratifiedSplit",
        "TimeSplit(…)",
    ),
    (
        "project.py",
        'TimeSplit(test="60d")',
        '__import__("relevo").RepeatedStratifiedSplit(folds=2)',
        "project.py",
        "RepeatedStratifiedSplit.folds",
        "folds=3",
    ),
    (
        "project.py",
        'TimeSplit(test="60d")',
        '__import__("relevo").RepeatedStratifiedSplit(repeats=0)',
        "project.py",
        "RepeatedStratifiedSplit.repeats",
        "one repeat",
    ),
    (
        "project.py",
        'known_at="departed_at"',
        'known_at="departed"',
        "project.py",
        "Target.known_at",
        "departed_at",
    ),
    ("project.py", "departed_at) > 15", "left_at) > 15", "project.py", "Target", "left_at"),
    ("project.py", "departed_at) > 15", "departed_at)", "project.py", "Target", "boolean"),
    ("project.py", 'alias="Emp-I"', 'alias="Des-I"', "project.py", "airline", "clashes"),
    ("project.py", 'metric="f1"', 'metric="f2"', "project.py", "Project.metric", "f1"),
    ("project.py", '"roc_auc": 0.6', '"auc": 0.6', "project.py", "Gate.minimum", "auc"),
    ("project.py", 'name="flights"', 'name="Vuelos!"', "project.py", "Project.name", "Vuelos!"),
    ("project.py", 'Table("holidays"', 'Table("request"', "project.py", "Table request", "reserved"),
    ("project.py", "[logistic(), lightgbm(), xgboost()]", "[]", "project.py", "Project.candidates", ""),
    ("project.py", "xgboost()]", "lightgbm()]", "project.py", "Project.candidates", "lightgbm"),
    ("project.py", 'positive="late"', 'positive="on time"', "project.py", "Target", "on time"),
    ("project.py", 'cases="cases.csv"', 'cases="case.csv"', "project.py", "Project.cases", "case.csv"),
    ("project.py", 'features="features.sql"', 'features="feature.sql"', "feature.sql", "-", ""),
    (
        "project.py",
        'metric="f1"',
        'metric="f1", decision=__import__("relevo").TopK(0, "airline")',
        "project.py",
        "TopK.k",
        "0",
    ),
    (
        "project.py",
        'metric="f1"',
        'metric="f1", decision=__import__("relevo").TopK(3, "pilot")',
        "project.py",
        "TopK.by",
        "pilot",
    ),
    (
        "project.py",
        'metric="f1"',
        'metric="f1", decision=__import__("relevo").Costs(false_positive=1, false_negative=-2)',
        "project.py",
        "Costs.false_negative",
        "-2",
    ),
    (
        "project.py",
        'metric="f1"',
        'metric="f1", decision=__import__("relevo").Costs(false_positive=0, false_negative=2)',
        "project.py",
        "Costs.false_positive",
        "0",
    ),
    ("project.py", "project = Project(", "flights = Project(", "project.py", "project", "Project"),
    ("project.py", "from relevo import", "from relevvo import", "project.py", "line 8", "relevvo"),
    ("project.py", "class Flight(BaseModel):", "class Flight(BaseModel)", "project.py", "line 11", ""),
    ("cases.csv", ",expected", ",wanted", "cases.csv", "expected", "late"),
    ("cases.csv", "LAN,N,on time", "LAN,N,punctual", "cases.csv", "line 3, expected", "punctual"),
    ("cases.csv", "LAN,N,on time", "LAN,O,on time", "cases.csv", "line 3, TIPOVUELO", "one of: I, N"),
    ("cases.csv", "2017-05-17 05:10:00", "2017-05-37 05:10:00", "cases.csv", "line 3, Fecha-I", ""),
]


GATES = [
    *(("confidence", value, "0.95") for value in ("95", "0", "1", "-0.5", 'float("nan")')),
    *(("margin", value, "0.02") for value in ("-0.01", "2", 'float("inf")', 'float("nan")')),
    *(("minimum", value, "share") for value in ('{"f1": 60}', '{"brier": -0.1}', '{"f1": float("nan")}')),
    *(("minimum", value, "finite") for value in ('{"log_loss": -1}', '{"log_loss": float("inf")}')),
    *(("minimum_rows", value, "one row") for value in ("0", "-50", 'float("nan")')),
    ("minimum_positives", "0", "one row"),
]


@pytest.mark.parametrize(("field", "value", "told"), GATES)
def test_a_gate_that_says_nothing_is_refused(folder: Path, field: str, value: str, told: str) -> None:
    """None could pass it, or every model could."""
    change(folder, "project.py", 'Gate(minimum={"roc_auc": 0.6})', f"Gate({field}={value})")
    (found,) = mistakes(folder)
    assert found.field.startswith(f"Gate.{field}")
    assert told in f"{found.problem} {found.remedy}"


def test_a_gate_at_its_ends_is_taken(folder: Path) -> None:
    gate = 'Gate(minimum={"roc_auc": 1, "brier": 0, "log_loss": 2.5}, margin=0, minimum_rows=1, minimum_positives=1)'
    change(folder, "project.py", 'Gate(minimum={"roc_auc": 0.6})', gate)
    assert load(folder).project.gate.margin == 0


def test_the_margin_of_a_loss_may_exceed_one(folder: Path) -> None:
    change(folder, "project.py", 'Gate(minimum={"roc_auc": 0.6})', "Gate(margin=1.5)")
    change(folder, "project.py", 'metric="f1"', 'metric="log_loss"')
    assert load(folder).project.gate.margin == 1.5


@pytest.mark.parametrize(("file", "before", "after", "where", "field", "told"), SPOILED)
def test_a_mistake_is_named(
    folder: Path, file: str, before: str, after: str, where: str, field: str, told: str
) -> None:
    change(folder, file, before, after)
    found = mistakes(folder)
    assert any(m.file == where and field in m.field and told in f"{m.problem} {m.remedy}" for m in found), (
        found
    )


def test_files_that_are_not_utf_8_are_told_with_the_rest(folder: Path) -> None:
    """As Excel and editors on Windows save them."""
    change(folder, "cases.csv", "quiet March morning", "mañana tranquila")
    (folder / "features.sql").write_text("-- mañana\nselect airline from request\n", encoding="utf-8")
    change(folder, "project.py", 'test="60d"', 'test="soon"')
    for file in ("cases.csv", "features.sql"):
        text = (folder / file).read_text(encoding="utf-8")
        (folder / file).write_text(text, encoding="cp1252")
    found = mistakes(folder)
    for file, line in (("cases.csv", "line 2"), ("features.sql", "line 1")):
        assert Mistake(file, line, "it is not UTF-8.", "Save it as UTF-8.") in found
    assert any(mistake.file == "project.py" for mistake in found)


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    change(folder, "features.sql", "    airline,\n", "    departed_at,\n    nosuch,\n")
    change(folder, "project.py", 'key="day"', 'key="date"')
    change(folder, "project.py", 'test="60d"', 'test="soon"')
    change(folder, "cases.csv", "LAN,N,on time", "LAN,O,punctual")
    told = {(m.file, m.field) for m in mistakes(folder)}
    assert {file for file, _ in told} == {"features.sql", "project.py", "cases.csv"}
    assert len(told) >= 6


def test_a_request_field_the_table_lacks_is_named(folder: Path) -> None:
    change(folder, "project.py", "class Departure(Flight):", "class Departure(BaseModel):")
    fields = {m.field for m in mistakes(folder)}
    assert {"Flight.airline", "Flight.destination", "Target"} <= fields | {"Target"}
    assert "Flight.airline" in fields


def test_a_validator_in_the_request_is_refused(folder: Path) -> None:
    change(
        folder,
        "project.py",
        "class Departure(Flight):",
        "    @field_validator('airline')\n    @classmethod\n    def upper(cls, v):\n        return v.upper()\n\n\n"
        "class Departure(Flight):",
    )
    change(folder, "project.py", "import BaseModel, Field", "import BaseModel, Field, field_validator")
    assert any("data only" in m.problem for m in mistakes(folder))


@pytest.mark.parametrize("kind", ["StratifiedSplit", "RepeatedStratifiedSplit"])
def test_a_random_split_of_rows_with_a_time_is_asked_for_in_words(folder: Path, kind: str) -> None:
    cut = f'__import__("relevo").{kind}(because="compared with public figures")'
    change(folder, "project.py", 'TimeSplit(test="60d")', cut)
    assert type(load(folder).project.split).__name__ == kind


def test_no_project_file(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path)
    assert found.file == "project.py"


def test_tables_can_be_read_from_elsewhere(folder: Path) -> None:
    definition = load(folder, sets={"departures": "/elsewhere/other.csv"})
    assert definition.project.main_table.source == Files("/elsewhere/other.csv")


def test_an_unknown_table_to_set_is_named(folder: Path) -> None:
    (found,) = mistakes(folder, flights="x.csv")
    assert found.file == "--set"
    assert "departures, holidays" in found.remedy


def test_no_bytecode_is_left_in_the_project(folder: Path) -> None:
    load(folder)
    assert not list(folder.rglob("*.pyc"))
