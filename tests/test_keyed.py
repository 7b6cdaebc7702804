"""Keyed files: what is put in comes out, bit for bit; what was damaged is not read."""

from __future__ import annotations

import math
import os
import random
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevo import digest, keyed
from relevo.errors import DataError, WorkspaceError
from relevo.keyed import KeyedFile, build, codec, writing
from support.parity import examples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=40) | st.sampled_from(["", "\0", "a\0b", "ñandú 🦤", "x" * 3_000]),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 0, -1]),
    "double": st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324]),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(),
}
KEYS = [kind for kind in VALUES if kind != "double"]


def exact(value: Any) -> Any:
    """A value's type and, for doubles, bits: NaN and the sign of zero count."""
    return (type(value), struct.pack("<d", value) if isinstance(value, float) else value)


def opened(path: Path, built: keyed.Built, types: Sequence[str], width: int) -> KeyedFile:
    return KeyedFile.open(path, built.sha256, key=types[:width], types=types[width:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyed")


@examples(60)
@given(st.data())
def test_every_row_comes_back_bit_for_bit(folder: Path, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 3))
    types = data.draw(st.lists(st.sampled_from(KEYS), min_size=width, max_size=width))
    types += data.draw(st.lists(st.sampled_from(list(VALUES)), max_size=12))
    cells = [VALUES[kind] if place < width else st.none() | VALUES[kind] for place, kind in enumerate(types)]
    rows = data.draw(st.lists(st.tuples(*cells), max_size=20, unique_by=lambda row: row[:width]))
    unknown = data.draw(st.tuples(*cells[:width]).filter(lambda key: all(key != row[:width] for row in rows)))
    path = folder / "rows"
    built = build(path, rows, width, types)
    file = opened(path, built, types, width)
    try:
        assert (len(file), built.rows, built.bytes) == (len(rows), len(rows), path.stat().st_size)
        for row in rows:
            found = file.get(row[0] if width == 1 else row[:width])
            assert [exact(value) for value in found] == [exact(value) for value in row[width:]]
        assert file.missing == 0
        assert file.get(unknown[0] if width == 1 else unknown) is None
        assert file.missing == 1
    finally:
        file.close()


@examples(200)
@given(st.data())
def test_encoded_keys_sort_as_the_values_do_and_never_meet(data: st.DataObject) -> None:
    types = tuple(data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)))
    short = {**VALUES, "text": st.text("\0\1aé\U0010ffff", max_size=4)}
    one, other = (data.draw(st.tuples(*(short[kind] for kind in types))) for _ in range(2))
    encode = codec.Key(types).encode
    encoded = [encode(key[0] if len(types) == 1 else key) for key in (one, other)]
    in_utf8 = [tuple(v.encode() if isinstance(v, str) else v for v in key) for key in (one, other)]
    assert (encoded[0] < encoded[1]) == (in_utf8[0] < in_utf8[1])
    assert (encoded[0] == encoded[1]) == (one == other)


def test_long_texts_are_keys_of_their_own(tmp_path: Path) -> None:
    keys = ["x" * length for length in range(495, 530)] + ["y" * 100_000, "y" * 100_000 + "z"]
    built = build(tmp_path / "rows", ((key, place) for place, key in enumerate(keys)), 1, ["text", "integer"])
    file = opened(tmp_path / "rows", built, ["text", "integer"], 1)
    assert [file.get(key) for key in keys] == [(place,) for place in range(len(keys))]
    assert file.get("y" * 99_999) is None


def test_rows_may_come_in_any_order_and_in_many_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "CHUNK", 500)
    monkeypatch.setattr(writing, "_FIRST_SIZE", 1 << 16)
    rows = [(number, number * 0.5, f"row {number}") for number in range(-3_000, 3_000)]
    random.Random(0).shuffle(rows)
    built = build(tmp_path / "rows", rows, 1, ["integer", "double", "text"])
    file = opened(tmp_path / "rows", built, ["integer", "double", "text"], 1)
    assert [file.get(row[0]) for row in rows] == [row[1:] for row in rows]
    assert built.rows == 6_000


def test_unknown_and_impossible_keys_are_counted(tmp_path: Path) -> None:
    types = ["text", "integer", "double"]
    file = opened(tmp_path / "rows", build(tmp_path / "rows", [("a", 1, 0.5)], 2, types), types, 2)
    assert file.get(("a", 1)) == (0.5,)
    for key in (("a", 2), ("b", 1), ("a", 2**63), ("\ud800", 1)):
        assert file.get(key, "none") == "none"
    assert file.missing == 4


def test_a_key_twice_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    rows = [(1, 0.5), (2, 0.5), (1, 0.25)]
    with pytest.raises(DataError, match="1 rows have the key of another"):
        build(tmp_path / "rows", rows, 1, ["integer", "double"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "types"),
    [
        ((1, "x"), ["integer", "double"]),
        ((1, 2**63), ["integer", "integer"]),
        ((1, 5), ["integer", "text"]),
        ((1, 5), ["integer", "timestamp"]),
        ((None, 5), ["integer", "integer"]),
        ((1, "\ud800"), ["integer", "text"]),
        ((1, 2, 3), ["integer", "integer"]),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, row: tuple[Any, ...], types: list[str]) -> None:
    with pytest.raises(DataError, match=f"key {row[0]} cannot be kept"):
        build(tmp_path / "rows", [row], 1, types)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "altered", "longer", "empty"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "rows"
    built = build(path, [(n, float(n)) for n in range(2_000)], 1, ["integer", "double"])
    content = bytearray(path.read_bytes())
    if damage == "altered":
        content[len(content) // 2] ^= 1
    made = {"cut": content[:-1], "empty": bytearray(), "longer": content + b"x", "altered": content}
    path.write_bytes(made[damage])
    with pytest.raises(WorkspaceError, match=r"rows: the keyed file was cut off or altered.*relevo run"):
        opened(path, built, ["integer", "double"], 1)


def test_a_foreign_file_is_refused_even_under_its_own_digest(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for content in (b"", b"x" * 100_000):
        path.write_bytes(content)
        with pytest.raises(WorkspaceError, match="cut off or altered"):
            KeyedFile.open(path, digest.of_bytes(content), key=["integer"], types=[])


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    built = build(tmp_path / "rows", [(1, 0.5)], 1, ["integer", "double"])
    with pytest.raises(WorkspaceError, match="it holds other columns"):
        opened(tmp_path / "rows", built, ["integer", "integer"], 1)
    with pytest.raises(WorkspaceError, match="absent"):
        opened(tmp_path / "nothing", built, ["integer", "double"], 1)


def test_an_empty_file_knows_no_key(tmp_path: Path) -> None:
    built = build(tmp_path / "rows", [], 1, ["integer", "double"])
    file = opened(tmp_path / "rows", built, ["integer", "double"], 1)
    assert (len(file), bool(file), file.get(1), file.missing) == (0, True, None, 1)


def test_a_file_may_be_open_twice_and_outlives_its_name(tmp_path: Path) -> None:
    path, types = tmp_path / "rows", ["integer", "double"]
    built = build(path, [(1, 0.5)], 1, types)
    one, two = opened(path, built, types, 1), opened(path, built, types, 1)
    one.close()
    build(path, [(1, 0.75)], 1, types)
    path.unlink()
    assert two.get(1) == (0.5,)


def test_threads_read_the_same(tmp_path: Path) -> None:
    rows = [(number, number * 0.5, str(number)) for number in range(5_000)]
    built = build(tmp_path / "rows", rows, 1, ["integer", "double", "text"])
    file = opened(tmp_path / "rows", built, ["integer", "double", "text"], 1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            for found in pool.map(lambda _: [file.get(row[0]) for row in rows], range(16)):
                assert found == [row[1:] for row in rows]
    finally:
        sys.setswitchinterval(before)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """A process that may write files of 200 kB at most is to write more."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from relevo.errors import WorkspaceError; from relevo.keyed import build\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200_000,) * 2)\n"
        "try: build(Path(sys.argv[1]), ((n, 0.5) for n in range(100_000)), 1, ['integer', 'double'])\n"
        "except WorkspaceError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "rows")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the keyed file cannot be written" in done.stdout, done.stderr
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - names are enough


def test_dates_and_times_keep_their_microseconds(tmp_path: Path) -> None:
    when = datetime(2024, 12, 30, 23, 59, 59, 999_999)
    types = ["timestamp", "date", "timestamp"]
    rows = [(when + timedelta(microseconds=n), date.min, datetime(9999, 12, 31)) for n in range(3)]
    file = opened(tmp_path / "rows", build(tmp_path / "rows", rows, 1, types), types, 1)
    assert [file.get(row[0]) for row in rows] == [row[1:] for row in rows]
