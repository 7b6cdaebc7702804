"""Feature values become float32 in one place, alike for rows and columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo.encoding import Encoder, encode_columns, encode_rows, row_encoder

TEXT = Encoder("airline", "text", {"LAN": 0.125, 'it\'s "quoted"\n': 0.5}, unseen=0.25, null=0.75)
ENCODERS = (
    TEXT,
    Encoder("holiday", "boolean"),
    Encoder("hour", "integer"),
    Encoder("load", "double", null=-1.0),
)


def test_each_type_by_row() -> None:
    rows = [("LAN", True, 7, 0.1), ("XXX", False, None, None), (None, None, 2**53 + 1, float("inf"))]
    found = encode_rows(ENCODERS, rows)
    nan = np.nan
    wanted = [[0.125, 1, 7, 0.1], [0.25, 0, nan, -1], [0.75, nan, 2**53 + 1, np.inf]]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))
    assert found.dtype == np.float32


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="hour"):
        encode_columns(ENCODERS, {"airline": ["LAN"], "holiday": [True], "hour": [1, 2], "load": [0.0]})


ROW = st.tuples(
    st.one_of(st.none(), st.sampled_from(["LAN", "XXX", ""])),
    st.one_of(st.none(), st.booleans()),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats()),
)


@given(st.lists(ROW, min_size=1, max_size=20))
@settings(derandomize=True, deadline=None)
def test_rows_and_columns_agree_bit_for_bit(rows: list[tuple[object, ...]]) -> None:
    names = [encoder.feature for encoder in ENCODERS]
    lists = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    by_rows = encode_rows(ENCODERS, rows)
    masked = {
        "airline": np.ma.array(
            [v or "" for v in lists["airline"]], dtype=object, mask=[v is None for v in lists["airline"]]
        ),
        "holiday": np.ma.array(
            [bool(v) for v in lists["holiday"]], mask=[v is None for v in lists["holiday"]]
        ),
        "hour": np.ma.array(
            [v or 0 for v in lists["hour"]], dtype=np.int64, mask=[v is None for v in lists["hour"]]
        ),
        "load": np.ma.array(
            [v or 0.0 for v in lists["load"]], dtype=np.float64, mask=[v is None for v in lists["load"]]
        ),
    }
    masked["airline"].data[:] = ["" if v is None else v for v in lists["airline"]]
    for columns in (lists, masked):
        by_columns = encode_columns(ENCODERS, columns)
        np.testing.assert_array_equal(by_rows, by_columns)


def test_nothing_of_an_encoder_is_run() -> None:
    hostile = Encoder("x); import os #", "text", {"__import__('os')": 1.0}, unseen=0.0, null=0.0)
    assert row_encoder([hostile])([("__import__('os')",), (None,)]).tolist() == [[1.0], [0.0]]


def test_json_round_trip() -> None:
    for encoder in ENCODERS:
        assert Encoder.from_json(encoder.to_json()) == encoder
