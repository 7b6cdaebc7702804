"""Bodies in pieces: the same rows wherever the pieces are cut, damaged ones told, and none lost."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo.cells import Cells
from relevo.contract import Contract, Field
from relevo.serving.incoming import LONGEST, MOST_LINES, Csv, JsonLines, Lines, Row, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONTRACT = Contract(
    "C",
    (
        Field(name="a", alias="A", type="text"),
        Field(name="b", alias="B", type="double", nullable=True, required=False),
    ),
)
OPEN = "a quote opens and does not close"


def pieces(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:stop] for start, stop in pairwise(places)]


def read(body: bytes, kind: Callable[..., Csv | JsonLines] = Csv, cuts: Sequence[int] = ()) -> list[Row]:
    incoming = kind(CONTRACT, Cells(CONTRACT))
    found = [row for piece in pieces(body, cuts) for block in incoming.feed(piece) for row in block]
    return found + [row for block in incoming.finish() for row in block]


@settings(max_examples=200, deadline=None)
@given(st.text("ab\n\r", max_size=40), st.lists(st.integers(0, 100), max_size=8))
def test_lines_are_those_of_the_whole_text(text: str, cuts: list[int]) -> None:
    lines, body = Lines(), text.encode()
    found = [line for piece in pieces(body, cuts) for line in lines.feed(piece)] + lines.finish()
    assert found == body.splitlines(keepends=True)


@pytest.mark.parametrize("step", [1 << 10, 1 << 16, 3 << 20])
def test_a_line_that_is_too_long_costs_only_itself(step: int) -> None:
    body = b"A,B\nx,1\n" + b"y" * (2 * LONGEST) + b",2\nz,3\n" + b"w" * (LONGEST + 1)
    found = read(body, cuts=range(0, len(body), step))
    said = f"the line is longer than {LONGEST} bytes"
    assert found == [{"A": "x", "B": "1"}, said, {"A": "z", "B": "3"}, said]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("A,B\n1,2\n", [{"A": "1", "B": "2"}]),
        ("\ufeffb;a\r\n2; x y \r\n\r\n;z", [{"A": "x y", "B": "2"}, {"A": "z"}]),
        ('A|B\r"a|""b"""|1\r', [{"A": 'a|"b"', "B": "1"}]),
        ('A\n"x\n\ny"\n', [{"A": "x\n\ny"}]),
        ("A,B,C\n1,2,3\n1,2\n", [{"A": "1", "B": "2"}, "2 fields, the header has 3"]),
        ('A,B\n"x"y,1\nz,2', ["text follows a closing quote", {"A": "z", "B": "2"}]),
        ('A,B\n"x,1\nz,2\n', [OPEN, {"A": "z", "B": "2"}]),
        ('A,B\nx,"1\ny,"2\nz,3', [OPEN, OPEN, {"A": "z", "B": "3"}]),
        ('A\n"x', [OPEN]),
        ("A\n\n\n", []),
    ],
)
def test_separated_values(body: str, rows: list[Row]) -> None:
    for step in (1, 2, 1000):
        assert read(body.encode(), cuts=range(0, len(body.encode()), step)) == rows


def test_a_quote_may_not_stay_open_for_ever() -> None:
    body = 'A\n"x\n' + "y\n" * (MOST_LINES + 5)
    assert read(body.encode(), cuts=range(0, len(body), 64)) == [OPEN, *[{"A": "y"}] * (MOST_LINES + 5)]


def test_bytes_that_are_no_text_cost_one_row() -> None:
    assert read(b"A,B\n\xff,1\nx,2\n") == ["not UTF-8", {"A": "x", "B": "2"}]
    assert read(b'{"A":"\xff"}\n{"A":"x"}', JsonLines) == ["not JSON", {"A": "x"}]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "it is empty"),
        (b"\n \r\n", "it is empty"),
        (b"B\n1\n", "there is no column “A”"),
        (b"A,a\n1,1\n", "the column “A” stands twice"),
        (b"\xff\n1", "its header is not UTF-8"),
        (b'"A\n1', "its first line is no header"),
        (b"A" * (LONGEST + 1), "the line is longer than"),
    ],
)
def test_a_header_that_cannot_be_read_ends_it(body: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        read(body)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('{"A": "x", "B": 1.50}', {"A": "x", "B": 1.5}),
        ('{"A": 1.50, "B": 1.50}', {"A": "1.50", "B": "1.50"}),
        ('{"A": 226, "b": null}', {"A": "226"}),
        ('{"B": 1}', {"A": None, "B": 1}),
        ('{"A": "x"', "not JSON"),
        ('{"A": NaN}', "not JSON"),
        ('{"A": "\\ud800"}', "not JSON"),
        ("[1]", "not a JSON object"),
        ("1", "not a JSON object"),
        ('{"A": "x", "A": "y"}', "an object that names a field twice"),
        ('{"A": "x", "a": "y"}', "an object that names a field twice"),
        ('{"A": "x", "C": ' + "[" * 500 + "]" * 500 + "}", "nested too deeply"),
    ],
)
def test_json_lines(line: str, row: Row) -> None:
    body = f"\n{line}\r\n  \n{line}".encode()
    for step in (1, 1000):
        assert read(body, JsonLines, range(0, len(body), step)) == [row, row]


@settings(max_examples=300, deadline=None)
@given(st.text('a,"\n\r;1', max_size=60), st.lists(st.integers(0, 100), max_size=6))
def test_the_rows_do_not_depend_on_the_pieces(text: str, cuts: list[int]) -> None:
    body = b"A,B\n" + text.encode()
    assert read(body, cuts=cuts) == read(body)
