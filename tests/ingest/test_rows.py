"""A Python function's rows: everything it gives, or what comes behind its own cursor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from arro3.core import RecordBatch, Table

from relevo import reading
from relevo.errors import DataError
from relevo.sources import Rows
from support.ingesting import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


COLUMNS = {"id": [1, 2], "name": ["a", None]}


class OnlyArray:
    """What has ``__arrow_c_array__`` alone."""

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return pa.record_batch(COLUMNS).__arrow_c_array__(requested_schema)


class Polars:
    """What has ``__arrow_c_stream__`` and texts as views, as Polars gives them."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        table = pa.table({"id": COLUMNS["id"], "name": pa.array(COLUMNS["name"], pa.string_view())})
        return table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "given",
    [
        pa.table(COLUMNS),
        pa.record_batch(COLUMNS),
        Table.from_arrow(pa.table(COLUMNS)),
        RecordBatch.from_arrow(pa.record_batch(COLUMNS)),
        OnlyArray(),
        Polars(),
        [{"id": 1, "name": "a"}, {"id": 2, "name": None}],
        [{"id": 1, "name": "a"}, {"id": 2}],
    ],
    ids=lambda given: type(given).__module__ + type(given).__name__,
)
def test_whatever_is_arrow_or_a_dict_gives_rows(place: Place, given: Any) -> None:
    def items() -> Iterator[Any]:
        yield given
        yield given

    found = place.ingest(Rows(items))
    assert found.rows == 4  # all that one call gives is one piece, equal batches included
    assert place.rows("select id, name from raw.items order by _row") == [("1", "a"), ("2", None)] * 2
    assert place.ingest(Rows(items)).changed is False


def test_single_dicts_are_rows(place: Place) -> None:
    assert place.ingest(Rows(lambda: ({"id": n, "name": n * "x"} for n in range(3)))).rows == 3
    assert place.rows() == [("0", ""), ("1", "x"), ("2", "xx")]


def test_arrow_values_become_text(place: Place) -> None:
    nested = pa.array([{"a": [1, None]}, None])
    table = pa.table({**COLUMNS, "n": nested, "t": pa.array([0, 1], pa.timestamp("us")), "b": [True, None]})
    place.ingest(Rows(lambda: [table]))
    assert place.rows("select n, t, b from raw.items order by _row") == [
        ('{"a":[1,null]}', "1970-01-01 00:00:00", "true"),
        (None, "1970-01-01 00:00:00.000001", None),
    ]


def test_without_since_the_newest_answer_takes_the_place_of_the_former(place: Place) -> None:
    given = [{"id": 1, "name": "a"}]

    def items() -> Iterator[Any]:
        yield list(given)

    first = place.ingest(Rows(items))
    given[0] = {"id": 2, "name": "b"}
    assert place.ingest(Rows(items)).rows == 1
    given[0] = {"id": 1, "name": "a"}
    assert place.ingest(Rows(items)).id == first.id
    given.clear()
    with pytest.raises(DataError, match="items: the source gave no row"):
        place.ingest(Rows(items))


class Feed:
    """A feed of days, each with equal rows, that goes on behind a cursor."""

    def __init__(self) -> None:
        self.days = ["2024-01-01", "2024-01-02"]
        self.asked: list[str | None] = []
        self.fails_at = ""

    def items(self, since: str | None) -> Iterator[Any]:
        self.asked.append(since)
        for day in self.days:
            if since is None or day > since:
                if day == self.fails_at:
                    raise OSError("the feed is away")
                yield pa.table(COLUMNS), day


def test_with_since_it_goes_on_behind_the_last_batch(place: Place) -> None:
    feed = Feed()
    source = Rows(feed.items)
    first = place.ingest(source)
    assert (first.rows, place.said[-1].endswith("Feed.items: taken up to 2024-01-02")) == (4, True)
    assert place.ingest(source).changed is False
    feed.days.append("2024-01-03 x")
    assert place.ingest(source).rows == 6
    feed.days.append("2024-01-04")
    assert place.ingest(source).rows == 8
    assert feed.asked == [None, "2024-01-02", "2024-01-02", "2024-01-03 x"]
    batches = place.rows("select distinct _batch from raw.items order by 1")
    assert batches == [("1 2024-01-01",), ("2 2024-01-02",), ("3 2024-01-03 x",), ("4 2024-01-04",)]
    found = place.clean(source)
    assert (found.rows, len(set(place.rows("select _id from clean.items")))) == (8, 8)


def test_what_was_taken_before_an_error_is_kept(place: Place) -> None:
    feed = Feed()
    feed.fails_at = "2024-01-02"
    with pytest.raises(
        DataError, match=r"ended with OSError: the feed is away. What was taken before is kept"
    ):
        place.ingest(Rows(feed.items))
    feed.fails_at = ""
    assert (place.ingest(Rows(feed.items)).rows, feed.asked) == (4, [None, "2024-01-01"])


def test_batches_without_rows_are_passed(place: Place) -> None:
    def items(since: str | None) -> Iterator[Any]:
        yield [], "1"
        yield pa.table(COLUMNS).slice(0, 0), "2"
        if since is None:
            yield pa.table(COLUMNS), "3"

    assert place.ingest(Rows(items)).rows == 2
    assert place.ingest(Rows(items)).changed is False


def test_a_function_named_by_text_is_found_beside_the_project(place: Place) -> None:
    (place.root / "relevo_test_feed.py").write_text('def items():\n    yield [{"id": 1, "name": "a"}]\n')
    path = list(sys.path)
    assert place.ingest(Rows("relevo_test_feed:items")).rows == 1
    assert sys.path == path
    for name, message in (("relevo_test_feed:other", "cannot be imported"), ("relevo_absent:x", "No module")):
        with pytest.raises(DataError, match=message):
            place.ingest(Rows(name))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1], "gave a int, which is no row"),
        ([[1]], "gave a int, which is no row"),
        (
            [{"id": 1, "name": "a"}, {"id": 1, "other": 2}],
            "same columns. The first has id, name, another id, other",
        ),
        ([pa.table(COLUMNS), pa.table({"id": [1]})], "same columns"),
        ([pa.table(COLUMNS), {"id": 1}], "gave a dict, which is no row"),
        ([{"id": 1}], "no column “name”"),
        ([{"id": 1, "name": 2, "_file": 3}], "“_file” has a name that Relevo uses"),
        ([{"id": 1, "name": "\ud800"}], "row 1: half of a surrogate pair"),
    ],
)
def test_what_is_no_row_is_said(place: Place, given: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        place.ingest(Rows(lambda: given))
    assert not place.lake.exists("raw/items")


def test_since_without_a_cursor_is_said(place: Place) -> None:
    def items(since: str | None) -> Iterator[Any]:
        yield {"since": since}

    with pytest.raises(DataError, match=r"must yield pairs of rows and a cursor.*It gave a dict"):
        place.ingest(Rows(items))


def test_a_function_is_known_by_its_name_alone() -> None:
    one, two = (Feed().items for _ in range(2))
    assert repr(Rows(one)) == repr(Rows(two))
    assert reading.identity(Rows(one)) == reading.identity(Rows(two)) != reading.identity(Rows(print))
