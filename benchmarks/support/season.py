"""A stream that never changes but by the weekday: 24 features, days of 200 to 20,000 rows, outcomes and a good model.

A third of the features are distributed otherwise on each weekday; some have missing values; texts have 3 to 21
levels. Shifts are put into it by name and size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NUMBERS = tuple(f"n{place}" for place in range(14))
TEXTS = tuple(f"t{place}" for place in range(10))
WEEK = (1.0, 0.9, 0.95, 1.1, 1.6, 0.3, 0.12)
"""Volumes by weekday."""
ROWS = 6000
FEWEST, MOST = 200, 20_000
RARE = 1.5  # of log-odds that outcomes are rarer than one in two


class Feature(NamedTuple):
    """What ``profile`` asks of a column."""

    name: str
    type: str


FEATURES: Any = tuple(Feature(name, "double") for name in NUMBERS) + tuple(Feature(n, "text") for n in TEXTS)


class Day(NamedTuple):
    """Columns (doubles with NaN, texts with None), the model's probabilities, and the outcomes."""

    columns: dict[str, Any]
    probability: Any
    outcome: Any


class Stream:
    """One seeded stream."""

    def __init__(self, seed: int) -> None:
        made = np.random.default_rng([seed, 0])
        self.draw = np.random.default_rng([seed, 1])
        self._means = [
            made.normal(0, 0.25, 7) if place % 3 == 0 else np.zeros(7) for place in range(len(NUMBERS))
        ]
        self._shares = [made.dirichlet(np.full(3 + 2 * place, 1.5)) for place in range(len(TEXTS))]
        self._tilts = [
            np.exp(made.normal(0, 0.3, (7, 3 + 2 * place))) if place % 3 == 0 else np.ones((7, 3 + 2 * place))
            for place in range(len(TEXTS))
        ]
        self._weights = made.normal(0, 0.4, len(NUMBERS))
        self._missing = [(0.0, 0.02, 0.3)[place % 3] for place in range(len(NUMBERS) + len(TEXTS))]

    def volume(self, day: int) -> int:
        """Rows of a day."""
        return int(np.clip(ROWS * WEEK[day % 7] * np.exp(self.draw.normal(0, 0.5)), FEWEST, MOST))

    def day(self, day: int, rows: int | None = None, shift: tuple[str, float] | None = None) -> Day:
        """Draw a day, of so many rows if said, with a shift in it if given by name and size."""
        n = rows or self.volume(day)
        columns: dict[str, Any] = {}
        odds = np.full(n, -RARE)
        for place, name in enumerate(NUMBERS):
            x = self.draw.normal(self._means[place][day % 7], 1, n)
            if shift is not None and name == "n0":
                x = _moved(x, *shift)
            odds += self._weights[place] * x
            x = (x, np.exp(x), np.floor(np.abs(x) * 2), x)[place % 4]
            columns[name] = np.where(self.draw.random(n) < self._missing[place], np.nan, x)
        for place, name in enumerate(TEXTS):
            shares = self._shares[place] * self._tilts[place][day % 7]
            levels = np.array([*(f"L{level}" for level in range(len(shares))), None], object)
            codes = self.draw.choice(len(shares), n, p=shares / shares.sum())
            gone = self.draw.random(n) < self._missing[len(NUMBERS) + place]
            columns[name] = levels[np.where(gone, len(shares), codes)]
        probability = 1 / (1 + np.exp(-odds))
        outcome = self.draw.random(n) < probability
        return self._spoiled(Day(columns, probability, outcome), shift)

    def _spoiled(self, day: Day, shift: tuple[str, float] | None) -> Day:
        kind, size = shift or ("", 0.0)
        n = len(day.outcome)
        some = self.draw.random(n) < size
        if kind == "new category":
            day.columns["t4"] = np.where(some, "NEW", day.columns["t4"])
        elif kind == "nulls":
            day.columns["n3"] = np.where(some, np.nan, day.columns["n3"])
        elif kind == "unit change":
            day.columns["n2"] = day.columns["n2"] * size
        elif kind == "label flip":
            return day._replace(outcome=day.outcome ^ some)
        return day


def _moved(x: Any, kind: str, size: float) -> Any:
    """Move a standard normal column: by so many standard deviations, or spread it so much more."""
    if kind == "mean":
        return x + size
    return x * (1 + size) if kind == "variance" else x
