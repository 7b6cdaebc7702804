"""Which rows judge and which rows teach.

Nothing that is learned from ever judges. Three splits keep a test part away from everything but the last
evaluation, and ``folds`` cut the rest for tuning, calibration and the threshold; the fourth judges the
procedure out of fold, because its rows are too few to set some aside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WORDS = 3
"""The least that says why a random split is right."""


@dataclass(frozen=True)
class TimeSplit:
    """The newest ``test`` of the event time judges; folds are consecutive blocks that follow what they learn from.

    ``gap`` is left out between what is learned from and what judges, for outcomes known late. Where the
    target has ``known_at``, rows whose outcome became known only after the test part begins are left out too,
    and no fold learns from those whose outcome became known only after the fold begins.
    """

    test: str = "60d"
    gap: str = "0d"
    folds: int = 4


@dataclass(frozen=True)
class StratifiedSplit:
    """A random share ``test`` of each class judges, chosen by a hash of the row: new rows do not reshuffle it.

    ``because`` says why chance is right where the rows have a time or an entity that comes again; no
    result depends on it.
    """

    test: float = 0.2
    folds: int = 5
    seed: int = 0
    because: str = field(default="", repr=False)


@dataclass(frozen=True)
class RepeatedStratifiedSplit:
    """Every row judges, out of fold: cross-validation with ``folds``, drawn anew ``repeats`` times, for tiny data.

    For each fold all that learns from outcomes (encoders, tuning, the choice between candidates,
    calibration, threshold) is done without it, which is nested cross-validation (Cawley & Talbot 2010, *On
    over-fitting in model selection and subsequent selection bias in performance evaluation*, JMLR 11). The
    model itself is then made from all rows. Folds are drawn by a hash of the request: rows that ask the same
    never stand on two sides, and new rows do not reshuffle the others. ``because`` as in ``StratifiedSplit``.
    """

    folds: int = 5
    repeats: int = 10
    seed: int = 0
    because: str = field(default="", repr=False)


@dataclass(frozen=True)
class GroupSplit:
    """As ``StratifiedSplit``, but rows that share ``by`` (a clean column) are never parted."""

    by: str
    test: float = 0.2
    folds: int = 5
    seed: int = 0


Split = TimeSplit | StratifiedSplit | RepeatedStratifiedSplit | GroupSplit


def judging_part(split: Split) -> str:
    """The part of the examples whose rows judge: ``test``, or ``train`` where each row is judged out of fold."""
    return "train" if isinstance(split, RepeatedStratifiedSplit) else "test"


def unexplained(split: Split) -> bool:
    """Whether rows are drawn one by one without a word of why that is right."""
    return isinstance(split, StratifiedSplit | RepeatedStratifiedSplit) and len(split.because.split()) < WORDS
