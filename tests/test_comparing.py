"""Two sets of rows compared: whatever they come from, each column is counted as plain numpy counts it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo.comparing import Comparison, Profile, compare, profile, profiles
from relevo.comparing.profiles import count_numbers
from relevo.drift import NUMBER, Binning
from relevo.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def columns(rows: int, seed: int, shift: float = 0.0) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    return {
        "age": generator.normal(40 + shift, 10, rows),
        "visits": generator.integers(0, 6, rows),
        "amount": generator.lognormal(0, 1, rows).astype(np.float32),
        "airline": generator.choice(np.array(["LA", "H2", "AV"], dtype=object), rows),
        "paid": generator.random(rows) < 0.3,
        "at": np.datetime64("2026-01-01") + generator.integers(0, 90, rows).astype("timedelta64[D]"),
    }


def by_name(found: Comparison) -> dict[str, Any]:
    return {shift.name: shift for shift in found.shifts}


def saved(folder: Path, table: pa.Table, name: str = "rows.parquet") -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / name, row_group_size=500)
    return folder / name


def test_the_same_rows_have_not_moved() -> None:
    rows = columns(3_000, 1)
    for shift in compare(rows, rows).shifts:
        assert (shift.tv.value, shift.psi.value, shift.tv.low, shift.moved) == (0, 0, 0, ""), shift.name
        assert shift.p == 1


def test_what_moved_comes_first() -> None:
    found = compare(columns(5_000, 1), columns(5_000, 2, shift=5))
    assert found.shifts[0].name == "age"
    assert found.shifts[0].tv.low > 0.1
    assert found.shifts[0].wasserstein is not None
    assert found.shifts[0].wasserstein.value == pytest.approx(0.5, abs=0.1)
    assert all(shift.p > 1e-4 for shift in found.shifts[1:])
    kinds = {
        "age": "number",
        "visits": "number",
        "amount": "number",
        "airline": "text",
        "paid": "boolean",
        "at": "number",
    }
    assert {shift.name: shift.kind for shift in found.shifts} == kinds


def test_files_folders_patterns_and_columns_say_the_same(tmp_path: Path) -> None:
    reference, current = columns(2_000, 1), columns(1_500, 2, shift=3)
    table = pa.table(current)
    expected = compare(reference, current).to_json()["signals"]
    parquet = saved(tmp_path / "one", table)
    saved(tmp_path / "two", table.slice(0, 700), "a.parquet")
    saved(tmp_path / "two", table.slice(700), "b.parquet")
    saved(tmp_path / "two" / ".hidden", table, "c.parquet")
    lake = tmp_path / "lake"
    write_deltalake(lake, table.slice(0, 10))
    write_deltalake(lake, table, mode="overwrite")
    for given_ in (parquet, tmp_path / "two", tmp_path / "two" / "*.parquet", lake, str(parquet)):
        assert compare(reference, given_).to_json()["signals"] == expected, given_


def test_csv_and_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,t,e,d\n" + "1,x,,2026-01-01\n2,,,2026-01-02\n" * 300)
    (tmp_path / "b.csv").write_text("n,t,e,d\n" + "1.5,y,,2026-01-01\n2,x,,\n" * 200)
    lines = [{"n": n, "t": t, "e": None, "d": d} for n, t, d in ((1.5, "y", "2026-01-01"), (2, "x", None))]
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps(line) for line in lines * 200))
    first = by_name(compare(tmp_path / "a.csv", tmp_path / "b.csv"))
    assert first["t"].unseen == 0.5
    assert (first["t"].reference_null, first["d"].null, first["e"].null) == (0.5, 0.5, 1)
    assert first["e"].tv.value == 0
    again = by_name(compare(tmp_path / "a.csv", tmp_path / "b.jsonl"))
    assert {name: shift.tv for name, shift in again.items()} == {
        name: shift.tv for name, shift in first.items()
    }


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(width=32), min_size=1, max_size=60),
    st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8, unique=True),
    st.sampled_from([np.float32, np.float64]),
)
def test_numbers_are_counted_as_a_binary_search_counts_them(
    values: list[float], edges: list[float], kind: type[Any]
) -> None:
    """Between edges that a float32 cannot hold too."""
    cut, taken = tuple(sorted(edges)), np.array(values, dtype=kind)
    found = count_numbers(lambda: [[taken]], [Binning(name="x", kind=NUMBER, edges=cut)])[0]
    known = taken[~np.isnan(taken)].astype(np.float64)
    expected = np.bincount(np.searchsorted(cut, known, side="right"), minlength=len(cut) + 1)
    assert found.tolist() == [*expected.tolist(), len(taken) - len(known)]


def test_all_rows_are_counted_whatever_is_sampled_or_held(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = columns(20_000, 3)
    whole = profile(rows)
    for limit, value in (("SAMPLE", 500), ("HELD", 0), ("GROUP", 1)):
        monkeypatch.setattr(profiles, limit, value)
        found = profile(rows)
        for name, one in found.columns.items():
            assert sum(one.counts) == 20_000, name
        assert found.columns["visits"] == whole.columns["visits"]
        assert found.columns["airline"] == whole.columns["airline"]
    shares = np.array(found.columns["age"].counts[1:-2]) / 20_000
    assert shares.max() < 0.16  # deciles of a sample of 500


def test_numbers_that_are_no_numbers_and_those_without_end() -> None:
    reference = np.array([np.nan, np.inf, -np.inf, *np.arange(97.0)])
    current = np.array([np.nan] * 40 + [np.inf] * 40 + [-np.inf] * 20)
    shift = compare({"x": reference}, {"x": current}).shifts[0]
    assert (shift.reference_null, shift.null) == (0.01, 0.4)
    assert shift.unseen == pytest.approx(0.6)
    assert "above 96" in shift.moved
    nothing = compare({"x": np.full(9, np.inf)}, {"x": np.full(9, np.inf)}).shifts[0]
    assert (nothing.tv.value, nothing.p) == (0, 1)


def test_a_rare_value_has_a_bin_of_its_own() -> None:
    """Nine deciles of a column with 5 % ones are 0: cut there alone, no change of the ones would be seen."""
    generator = np.random.default_rng(4)
    sparse = compare(
        {
            "x": (generator.random(4_000) < 0.05).astype(int),
            "y": np.where(generator.random(4_000) < 0.95, 0, generator.random(4_000)),
        },
        {
            "x": (generator.random(4_000) < 0.5).astype(int),
            "y": np.where(generator.random(4_000) < 0.5, 0, generator.random(4_000)),
        },
    )
    assert {name: shift.tv.value for name, shift in by_name(sparse).items()} == {
        "x": pytest.approx(0.45, abs=0.03),
        "y": pytest.approx(0.45, abs=0.03),
    }


def test_every_type_can_be_compared_or_is_named(tmp_path: Path) -> None:
    rows = 40
    table = pa.table(
        {
            "huge": pa.array([2**62 + place * 2**40 for place in range(rows)], pa.int64()),
            "unsigned": pa.array([2**64 - 1 - place * 2**40 for place in range(rows)], pa.uint64()),
            "small": pa.array([place % 100 for place in range(rows)], pa.int8()),
            "decimal": pa.array(
                [Decimal(f"{place}.00000000000000000007") for place in range(rows)], pa.decimal128(38, 20)
            ),
            "date": pa.array([date(2026, 1, 1 + place % 28) for place in range(rows)]),
            "stamp": pa.array([datetime(2026, 1, 1, place % 24) for place in range(rows)]),
            "zoned": pa.array([datetime(2026, 1, 1, place % 24, tzinfo=UTC) for place in range(rows)]),
            "clock": pa.array([time(place % 24) for place in range(rows)]),
            "enum": pa.array(["a", "b"] * (rows // 2)).dictionary_encode(),
            "null": pa.nulls(rows),
            "list": pa.array([[place] for place in range(rows)]),
            "bytes": pa.array([b"x"] * rows),
            'it"s': pa.array([1.5] * rows),
        }
    )
    path = saved(tmp_path, table)
    found = compare(path, path)
    assert set(found.skipped) == {"list", "bytes"}
    for shift in found.shifts:
        assert (shift.tv.value, shift.p, shift.rows) == (0, 1, rows), shift.name
    halved = saved(tmp_path, table.slice(20), "half.parquet")
    assert by_name(compare(path, halved))["huge"].tv.value > 0.3
    assert by_name(compare(path, halved))["decimal"].tv.value > 0.3
    with pytest.raises(DataError, match=r"the column “list” holds BIGINT\[\]"):
        compare(path, path, columns=["list"])


def test_half_and_long_floats() -> None:
    rows: dict[str, NDArray[Any]] = {
        "half": np.arange(9, dtype=np.float16),
        "long": np.arange(9, dtype=np.longdouble),
    }
    assert [shift.p for shift in compare(rows, rows).shifts] == [1, 1]


def test_a_column_that_becomes_null_or_ceases_to_be() -> None:
    some = {"n": np.arange(100.0), "t": np.array(["a", "b"] * 50, dtype=object)}
    none = {"n": np.array([None] * 100, dtype=object), "t": np.full(100, np.nan)}
    for found in (compare(some, none), compare(none, some)):
        for shift in found.shifts:
            assert shift.tv.value == 1, shift.name
            assert {shift.null, shift.reference_null} == {0, 1}
    assert [shift.tv.value for shift in compare(none, none).shifts] == [0, 0]


def test_no_rows_and_one_row(tmp_path: Path) -> None:
    rows = pa.table(columns(50, 1))
    full, empty = saved(tmp_path, rows), saved(tmp_path, rows.slice(0, 0), "none.parquet")
    for one, other in (
        (full, empty),
        (empty, full),
        (empty, empty),
        (full, saved(tmp_path, rows.slice(0, 1), "one.parquet")),
    ):
        for shift in compare(one, other).shifts:
            assert (shift.tv.low, shift.p > 0.01) == (0, True), shift.name


def test_levels_beyond_those_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reference has too many levels to keep, one that is not at hand is not taken for unseen."""
    ids = {"id": np.array([f"id {place}" for place in range(500)], dtype=object)}
    other = {"id": np.array([f"other {place}" for place in range(500)], dtype=object)}
    assert compare(ids, other).shifts[0].unseen == 1
    monkeypatch.setattr(profiles, "KNOWN", 100)
    assert profile(ids).columns["id"].known == ()
    assert compare(ids, other).shifts[0].unseen == 0


def test_a_profile_can_be_kept_and_used_again() -> None:
    reference, current = columns(2_000, 1), columns(500, 2, shift=4)
    kept = Profile.of_json(json.loads(json.dumps(profile(reference).to_json())))
    assert compare(kept, current).to_json() == compare(reference, current).to_json()
    assert [shift.name for shift in compare(kept, current, columns=["airline"]).shifts] == ["airline"]
    with pytest.raises(DataError, match="has no column “age2”"):
        compare(kept, {**current, "age2": current["age"]}, columns=["age2"])


def test_columns_that_only_one_has_are_named() -> None:
    one, other = {"a": np.arange(3), "b": np.arange(3)}, {"a": np.arange(3), "c": np.arange(3)}
    for reference in (one, profile(one)):
        found = compare(reference, other)
        assert [shift.name for shift in found.shifts] == ["a"]
        assert set(found.skipped) == {"b", "c"}


@pytest.mark.parametrize(
    ("reference", "current", "said"),
    [
        ({"a": np.arange(3)}, {"b": np.arange(3)}, "no column in common .* are: b"),
        ({"a": np.arange(3)}, {"a": np.array(["x"] * 3)}, "“a”: numbers, texts"),
        ({"a": np.arange(3)}, {"a": np.array([True] * 3)}, "“a”: numbers, yes or no"),
        ({"a": np.arange(3)}, {"a": np.arange(3).astype("datetime64[s]")}, "“a”: numbers, times"),
        ({"a": np.arange(3)}, {}, "at least one"),
        ({"a": np.arange(3), "b": np.arange(4)}, {"a": np.arange(3)}, "a 3, b 4"),
        ({"a": np.arange(3)}, "nowhere.parquet", "nowhere.parquet: there is no such file"),
        ({"a": np.arange(3)}, "*.nothing", "no file is there"),
    ],
)
def test_what_cannot_be_compared_is_named(reference: Any, current: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        compare(reference, current)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    good = saved(tmp_path / "good", pa.table(columns(50, 1)))
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(good.read_bytes()[:-400])
    odd = tmp_path / "rows.xlsx"
    odd.write_bytes(b"x")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv").write_text("age\n1\n")
    (tmp_path / "mixed" / "b.jsonl").write_text('{"age": 1}\n')
    (tmp_path / "void").mkdir()
    for path, said in (
        (bad, "bad.parquet"),
        (odd, "rows.xlsx: its ending"),
        (tmp_path / "mixed", "several formats"),
        (tmp_path / "void", "void: no file"),
    ):
        with pytest.raises(DataError, match=said):
            compare(good, path)
    with pytest.raises(DataError, match=r"has no column “nothing”\. Its columns are: age, visits"):
        compare(good, good, columns=["age", "nothing"])
