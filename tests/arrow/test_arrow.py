"""Arrow's stream format: what pyarrow writes is read, what is written pyarrow reads, and mutated bytes are refused."""

from __future__ import annotations

import io
import math
import random
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo import arrow

ROWS = 1000
MOMENT = datetime(2017, 1, 31, 23, 30, 0, 123)


def table(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """One column of each type that is read, with nulls."""
    rng = random.Random(seed)

    def some(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    def column(kind: Any, make: Any) -> Any:
        return pa.array([some(make(n)) for n in range(rows)], kind)

    return pa.table(
        {
            "micro": column(pa.timestamp("us"), lambda _: MOMENT),
            "nano": column(pa.timestamp("ns"), lambda _: datetime(1950, 1, 1, 3, 4, 5)),
            "seconds": column(pa.timestamp("s"), lambda _: datetime(9999, 12, 31)),
            "zone": column(pa.timestamp("ms", "UTC"), lambda _: datetime(2017, 1, 1, tzinfo=UTC)),
            "text": column(pa.string(), lambda _: "é" * rng.randrange(9)),
            "large": column(pa.large_string(), lambda n: f"{n}"),
            "view": column(pa.string_view(), lambda _: "x" * rng.randrange(30)),
            "int64": column(pa.int64(), lambda n: -n),
            "int8": column(pa.int8(), lambda n: n % 128),
            "uint64": column(pa.uint64(), lambda n: 2**64 - 1 - n),
            "double": column(pa.float64(), lambda n: n / 3),
            "half": pa.array(np.full(rows, 0.5, np.float16)),
            "boolean": column(pa.bool_(), lambda _: rng.random() < 0.5),
            "date": column(pa.date32(), lambda _: date(1960, 1, 2)),
            "date64": column(pa.date64(), lambda _: date(2020, 2, 29)),
            "nothing": pa.nulls(rows),
            "levels": column(pa.string(), lambda _: rng.choice("abc")).dictionary_encode(),
        }
    )


def written(made: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, made.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(made, max_chunksize=333)
    return out.getvalue()


def rows_of(data: bytes, step: int = 1 << 20, block: int = 100) -> list[tuple[object, ...]]:
    reader = arrow.Reader()
    found: list[tuple[object, ...]] = []
    for start in range(0, len(data), step):
        for batch in reader.feed(data[start : start + step]):
            for first in range(0, batch.rows, block):
                found += batch.part(first, min(first + block, batch.rows))
    if not reader.whole:
        raise arrow.DamagedError("the end is missing")
    return found


@pytest.mark.parametrize(("step", "block"), [(1, 100), (7, 256), (1 << 20, 1)])
def test_every_type_is_read_in_pieces_of_any_size(step: int, block: int) -> None:
    made = table()
    wanted = [*zip(*(column.to_pylist() for column in made.columns), strict=True)]
    assert rows_of(written(made), step, block) == wanted


def test_a_short_float_is_the_number_that_its_text_says() -> None:
    made = pa.table({"x": pa.array([0.1, None, 1e30], pa.float32())})
    assert rows_of(written(made)) == [(0.1,), (None,), (1e30,)]


def test_a_time_that_no_calendar_has_stays_a_number() -> None:
    made = pa.table({"x": pa.array([2**62, -(2**62), 0], pa.timestamp("s"))})
    assert rows_of(written(made)) == [(str(2**62),), (str(-(2**62)),), (datetime(1970, 1, 1),)]


@pytest.mark.parametrize(
    ("made", "options", "sentence"),
    [
        (pa.table({"x": pa.array([[1]])}), {}, "the column “x” is of a type that is not read"),
        (pa.table({"x": ["a" * 1000]}), {"compression": "zstd"}, "its batches are compressed"),
        (pa.table({"x": pa.nulls((1 << 20) + 1)}), {}, "a batch has more than 1048576 rows"),
    ],
)
def test_what_is_not_read_is_said(made: pa.Table, options: dict[str, str], sentence: str) -> None:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, made.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(made)
    with pytest.raises(arrow.UnfitError, match=sentence):
        rows_of(out.getvalue())


def test_another_format_and_a_cut_one_are_refused() -> None:
    with pytest.raises(arrow.UnfitError, match="this is not Arrow's IPC stream format"):
        rows_of(b"ARROW1\0\0 and so on")
    data = written(table(50))
    for cut in range(8, len(data) - 8, 997):
        with pytest.raises(arrow.DamagedError):
            rows_of(data[:cut])
    assert len(rows_of(data[:-8])) == 50  # the end mark may be left out


SMALL = written(table(40))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_bytes_give_rows_or_a_refusal(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for place, value in changes:
        data[place] = value
    try:
        found = rows_of(bytes(data))
    except (arrow.DamagedError, arrow.UnfitError, IndexError, OverflowError, TypeError, ValueError):
        return
    assert len(found) <= 40


VALUES = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(),
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
}
ROW = st.tuples(*(st.one_of(st.none(), value) for value in VALUES.values()))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(ROW, min_size=1, max_size=30), max_size=4))
@pytest.mark.slow
def test_what_is_written_pyarrow_reads(batches: list[list[tuple[Any, ...]]]) -> None:
    writer = arrow.Writer([arrow.Column(kind, kind) for kind in VALUES])
    data = writer.head() + b"".join(writer.batch([*zip(*rows, strict=True)]) for rows in batches) + arrow.END
    found = pa.ipc.open_stream(data).read_all()
    found.validate(full=True)
    wanted = [row for rows in batches for row in rows]
    assert [tuple(row.values()) for row in found.to_pylist()] == wanted
    assert rows_of(data) == wanted
    assert all(math.isfinite(row[2]) or math.isinf(row[2]) for row in wanted if row[2] is not None)
