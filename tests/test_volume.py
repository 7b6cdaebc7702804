"""As many rows as usual are silent, and what chance or a rare hour does is."""

from __future__ import annotations

import numpy as np

from relevo import volume
from relevo.budget import risks
from relevo.findings import PAGE, WARN

SHARE = risks(1.0, ("day",), "day")


def _weeks(*rows: int) -> list[tuple[int, int]]:
    """Four weeks, of which each weekday has so many rows."""
    return [(day, count) for _ in range(4) for day, count in enumerate(rows)]


def test_half_and_nothing_are_told() -> None:
    before = _weeks(300, 300, 300, 300, 300, 100, 0)
    assert volume.judge(280, before, 0, SHARE)[0] is None
    half, _ = volume.judge(120, before, 0, SHARE)
    none, figures = volume.judge(0, before, 0, SHARE)
    assert half is not None
    assert none is not None
    assert (half.severity, none.severity) == (WARN, PAGE)
    assert none.told().startswith("0 rows came; expected were 149 to")
    assert figures is not None
    assert volume.judge(0, before, 6, SHARE)[0] is None


def test_where_few_are_usual_none_is_chance() -> None:
    """Days have just as many rows as the others, which says nothing of how many a Poisson variable would have."""
    for usual in (1, 3, 7):
        before = _weeks(*[usual] * 7)
        assert volume.judge(0, before, 0, SHARE)[0] is None
        assert volume.judge(2 * usual + 1, before, 0, SHARE)[0] is None
    draw = np.random.default_rng(0)
    told = 0
    for _ in range(2000):
        rows = draw.poisson([2, 2, 2, 2, 2, 40, 40] * 5)
        before = [(day % 7, int(count)) for day, count in enumerate(rows[:-1])]
        told += volume.judge(int(rows[-1]), before, 34 % 7, SHARE)[0] is not None
    assert told / 2000 < 0.01


def test_a_weekday_that_was_never_seen_is_not_judged_by_the_others() -> None:
    before = [one for one in _weeks(300, 300, 300, 300, 300, 300, 300) if one[0] != 6]
    assert volume.judge(0, before, 6, SHARE) == (None, None)
    assert volume.judge(0, before, 5, SHARE)[0] is not None
