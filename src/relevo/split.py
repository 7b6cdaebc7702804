"""Which rows judge and which rows teach.

Every split keeps the test part away from everything but the last evaluation; ``folds`` cut the rest
for tuning, calibration and the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimeSplit:
    """The newest ``test`` of the event time judges; folds are consecutive blocks that follow what they learn from.

    ``gap`` is left out between what is learned from and what judges, for outcomes known late.
    """

    test: str = "60d"
    gap: str = "0d"
    folds: int = 4


@dataclass(frozen=True)
class StratifiedSplit:
    """A random share ``test`` of each class judges, chosen by a hash of the row: new rows do not reshuffle it."""

    test: float = 0.2
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class GroupSplit:
    """As ``StratifiedSplit``, but rows that share ``by`` (a clean column) are never parted."""

    by: str
    test: float = 0.2
    folds: int = 5
    seed: int = 0


Split = TimeSplit | StratifiedSplit | GroupSplit
