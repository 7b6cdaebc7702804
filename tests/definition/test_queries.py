"""Queries over the clean tables: typed without a row, and every mistake named at load."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from relevo import load
from relevo.errors import ProjectError
from support import shop

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition


def made(folder: Path, changes: tuple[tuple[str, str], ...] = (), **files: Any) -> Definition:
    """Load the shop with parts of its project.py or its SQL files replaced."""
    rng = random.Random(1)
    shop.write(folder, shop.stream(rng, 5), shop.tiers(rng), **files)
    path = folder / "project.py"
    text = path.read_text()
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text)
    return load(folder)


def test_types_are_found_and_stamps_are_moments(tmp_path: Path) -> None:
    definition = made(
        tmp_path,
        history="select customer, cast(recorded_at as date) as known_at, count(*)::hugeint as receipts,"
        " sum(amount)::decimal(9,2) as total, 1::decimal(9,0) as last_amount from receipts group by all",
    )
    spending = next(history for history in definition.histories if history.name == "spending")
    assert [(column.name, column.type) for column in spending.relation.columns] == [
        ("customer", "integer"),
        ("known_at", "timestamp"),
        ("receipts", "integer"),
        ("total", "double"),
        ("last_amount", "integer"),
    ]
    assert definition.examples.event_time == "day"
    assert definition.examples.contract["buys"].type == "boolean"


def test_a_query_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    file = next(h for h in made(tmp_path).histories if h.name == "spending").relation.file
    path = tmp_path / file
    path.write_bytes(path.read_bytes() + "\n-- años\n".encode("cp1252"))
    with pytest.raises(ProjectError, match=rf"^{file}: line \d+: it is not UTF-8\. Save it as UTF-8\.$"):
        load(tmp_path)


def test_a_look_up_with_a_date_is_known_when_its_day_is_over(tmp_path: Path) -> None:
    definition = made(
        tmp_path, (("entered_at: datetime", "entered_at: date"), ("import datetime", "import date, datetime"))
    )
    tiers = next(history for history in definition.histories if history.name == "tiers")
    assert "interval 1 day" in tiers.relation.sql


def test_the_join_is_as_of_the_time_of_asking(tmp_path: Path) -> None:
    sql = made(tmp_path).plan.sql
    assert 'ASOF LEFT JOIN "spending" AS "s"' in sql
    assert 'request."_time" >= "s"."known_at"' in sql


def test_comments_and_a_semicolon_at_the_end_do_no_harm(tmp_path: Path) -> None:
    """The shop's own query ends with a semicolon and a comment."""
    bare = shop.HISTORY.rpartition(";")[0]
    texts = (bare, shop.HISTORY, shop.HISTORY.strip() + "\n-- the end\n/* indeed */ ")
    relations = [made(tmp_path / str(n), history=text).histories[0].relation for n, text in enumerate(texts)]
    assert relations[0].columns == relations[1].columns == relations[2].columns
    with duckdb.connect() as connection:
        connection.execute(
            """create table receipts as from (values (1, 7, timestamp '2024-01-01', timestamp '2024-01-02', 2.5),
            (2, 7, timestamp '2024-01-03', timestamp '2024-01-03', 0.5))
            t(number, customer, bought_at, recorded_at, amount)"""
        )
        rows = [connection.execute(f"from ({one.sql}) order by all").fetchall() for one in relations]
    assert [(customer, receipts) for customer, _, receipts, *_ in rows[0]] == [(7, 1), (7, 2)]
    assert rows[0] == rows[1] == rows[2]


def test_shape_tells_what_a_history_means(tmp_path: Path) -> None:
    first = made(tmp_path / "a").histories[0].shape
    assert made(tmp_path / "b").histories[0].shape == first
    condition = (('known_at="recorded_at")', 'known_at="recorded_at", where="amount > 1")'),)
    assert made(tmp_path / "c", condition).histories[0].shape != first


MISTAKES = {
    "a table that is not there": ({"history": "select 1 as customer from sales"}, "history.sql", "sales"),
    "two statements": ({"history": "select 1; select 2"}, "history.sql", "not one SELECT"),
    "not a SELECT": ({"history": "create table x as select 1"}, "history.sql", "not one SELECT"),
    "broken SQL": ({"history": "select customer from from receipts"}, "history.sql", "syntax error"),
    "no key": ({"history": "select recorded_at as known_at from receipts"}, "history.sql", "no column “customer”"),
    "no stamp": ({"history": "select customer, 1 as receipts from receipts"}, "history.sql", "no column “known_at”"),
    "a stamp that is no time": (
        {"history": "select customer, 1 as known_at from receipts"}, "history.sql", "“known_at” is integer",
    ),
    "a foreign type": (
        {"history": "select customer, recorded_at as known_at, [1] as receipts from receipts"}, "history.sql",
        "INTEGER[] is not a type",
    ),
    "examples without the request": ({"examples": "select now()::timestamp as day"}, "examples.sql", "“customer”"),
    "examples without a time": ({"examples": "select 1 as customer"}, "examples.sql", "no column “day”"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_names_its_file(tmp_path: Path, kind: str) -> None:
    files, file, words = MISTAKES[kind]
    with pytest.raises(ProjectError) as refused:
        made(tmp_path, (), **files)
    assert refused.value.mistakes[0].file == file
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('Target("buys", known_at="known_at")', 'Target("buys")'),
            "must have a time from which it was known",
        ),
        (('History("spending"', 'History("tiers"'), "reserved, used twice"),
        (('key="customer")]', "key=())]"), "it has no key"),
        (('Target("buys"', 'Target("bought"'), "bought"),
    ],
)
def test_a_mistake_in_the_project_is_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        made(tmp_path, (change,))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"sums\.sql: -: there is no such file"):
        made(tmp_path, (('History("spending"', 'History("spending", sql="sums.sql"'),))


SCORED = (
    (
        "    split=TimeSplit",
        '    population=Population(time="day", naive="loyal", segments=["tier"]),\n    split=TimeSplit',
    ),
    ("Examples, Files", "Examples, Files, Population, Recommend"),
)


def test_a_population_is_checked_against_request_and_features(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "population.sql").write_text("select customer, now()::timestamp as day, tier from tiers")
    definition = made(tmp_path, SCORED)
    assert definition.population is not None
    assert definition.naive_sql is not None
    (tmp_path / "population.sql").write_text("select customer from tiers")
    with pytest.raises(ProjectError, match=r"population\.sql: day.*population\.sql: tier|(?s:day.*tier)"):
        load(tmp_path)
    (tmp_path / "population.sql").write_text("select customer, now()::timestamp as day, tier from tiers")
    with pytest.raises(ProjectError, match="is integer, not boolean"):
        made(tmp_path, (*SCORED, ('naive="loyal"', 'naive="receipts"')))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('Recommend(by="client", item="customer", among="tiers")', "no field “client”"),
        ('Recommend(by="customer", item="customer", among="tiers")', "not a look-up table with one key"),
    ],
)
def test_what_is_recommended_must_be_there(tmp_path: Path, written: str, words: str) -> None:
    change = ("    split=TimeSplit", f"    recommend={written},\n    split=TimeSplit")
    with pytest.raises(ProjectError, match=words):
        made(tmp_path, (change, ("Examples, Files", "Examples, Files, Recommend")))


@pytest.mark.parametrize(
    ("place", "alias"),
    [
        *(("item", name) for name in ("id", "probability", "decision", "label")),
        *(("by", name) for name in ("version", "recommendations")),
    ],
)
def test_what_is_recommended_is_named_apart_from_the_answer_s_own(
    tmp_path: Path, place: str, alias: str
) -> None:
    """Else the answer would have a name twice, and its reader only one of both."""
    fields = {"by": "shopper", "item": "customer"} if place == "by" else {"by": "customer", "item": "shopper"}
    examples = shop.EXAMPLES.replace("select customer, day", "select customer, customer as shopper, day")
    wanted = f"Recommend(by={fields['by']!r}, item={fields['item']!r}, among='tiers')"
    changes = (
        (
            "class Visit(BaseModel):\n",
            f'class Visit(BaseModel):\n    shopper: int | None = Field(None, alias="{alias}")\n',
        ),
        ("import BaseModel", "import BaseModel, Field"),
        ("Examples, Files", "Examples, Files, Recommend"),
        ("    split=TimeSplit", f"    recommend={wanted},\n    split=TimeSplit"),
    )
    with pytest.raises(ProjectError) as refused:
        made(tmp_path, changes, examples=examples)
    told = [one for one in refused.value.mistakes if one.field == f"Recommend.{place}"]
    assert [one.problem for one in told] == [f"the alias “{alias}” is a name of the answer's own."]
    assert alias in told[0].remedy
