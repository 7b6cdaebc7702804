"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from relevo import durations


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("200ms", timedelta(milliseconds=200)),
        ("90s", timedelta(seconds=90)),
        ("15min", timedelta(minutes=15)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        (" 60 d ", timedelta(days=60)),
        ("1.5w", timedelta(days=10.5)),
    ],
)
def test_forms(text: str, wanted: timedelta) -> None:
    assert durations.parse(text) == wanted


@pytest.mark.parametrize("text", ["", "60", "d", "-1d", "1y", "1d2h"])
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="60d"):
        durations.parse(text)
