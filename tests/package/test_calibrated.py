"""Probabilities of a few rows and of many are the same to the last bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from relevo.package import model
from relevo.package.model import ModelPackage, calibrated

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = st.floats(-50, 50)


class Fixed(ModelPackage):
    """A package whose model answers with given margins; all else is the package's own."""

    def __init__(self, margins: NDArray[np.float32], a: float, b: float) -> None:
        self._a, self._b = a, b
        self._encode = lambda rows: np.zeros((len(rows), 1), np.float32)
        self._run: Any = lambda *_: [margins.reshape(-1, 1)]


@given(st.lists(st.floats(width=32), min_size=1, max_size=model._FEW), NUMBERS, NUMBERS)
def test_few_rows_are_answered_as_many(margins: list[float], a: float, b: float) -> None:
    array = np.array(margins, np.float32)
    with np.errstate(all="ignore"):
        many = calibrated(np.tile(array, 3), a, b).tolist()[: len(margins)]
        few = Fixed(array, a, b).answers([()] * len(margins))
    assert [x.hex() if not math.isnan(x) else "" for x in few] == [
        x.hex() if not math.isnan(x) else "" for x in many
    ]
    assert all(math.isnan(x) or 0 < x <= 1 for x in few)
