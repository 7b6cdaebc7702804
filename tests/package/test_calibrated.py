"""Probabilities of a few rows and of many are the same to the last bit."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from relevo.package.calibration import calibrated, calibrated_list

NUMBERS = st.floats(-50, 50)


@given(st.lists(st.floats(width=32), min_size=1, max_size=64), NUMBERS, NUMBERS)
def test_few_rows_are_answered_as_many(margins: list[float], a: float, b: float) -> None:
    array = np.array(margins, np.float32)
    many = calibrated(np.tile(array, 3), a, b).tolist()[: len(margins)]
    few = calibrated_list(array, a, b)
    assert [x.hex() if not math.isnan(x) else "" for x in few] == [
        x.hex() if not math.isnan(x) else "" for x in many
    ]
    assert all(math.isnan(x) or 0 < x <= 1 for x in few)
