"""What is learned from: columns of features, outcomes and folds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.encoding import Encoder, encode_columns
from relevo.errors import TrainingError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.sql import Column

    Matrix = NDArray[np.float32]
    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.int64]

NULL = -1
"""The code of a null text."""


@dataclass(frozen=True)
class TrainingSet:
    """n training rows, in order of time where the split is by time.

    ``columns`` has a list of texts and None, or an array (masked where null), for each feature. ``fold``
    is the fold that a row validates, or -1 for rows only ever learned from. Where ``time`` (datetime64[us])
    is given or there are such rows, a fold learns from the folds before it, and with ``time`` only from rows
    earlier than its own by more than ``gap``, whose outcomes were known by then as far as ``known``
    (datetime64[us], NaT where nothing says so) tells; otherwise from all other folds.
    """

    features: tuple[Column, ...]
    columns: Mapping[str, Any]
    target: Flags
    fold: Numbers
    time: NDArray[np.datetime64] | None = None
    gap: timedelta = timedelta(0)
    known: NDArray[np.datetime64] | None = None

    def __post_init__(self) -> None:
        if not self.features:
            raise TrainingError(t("There is no feature to learn from. Select at least one in features.sql."))
        lengths = {len(self.columns[feature.name]) for feature in self.features}
        if lengths != {len(self.target)} or len(self.fold) != len(self.target):
            raise TrainingError(t("The features, the outcomes and the folds differ in their number of rows."))
        positive = int(np.count_nonzero(self.target))
        if positive in (0, len(self.target)):
            raise TrainingError(
                t(
                    "All {rows} training rows have the same outcome, so there is nothing to tell apart."
                    " Check the target's expression, or wait for rows of the other class.",
                    rows=len(self.target),
                )
            )

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Numbers, fold: Numbers) -> TrainingSet:
        """Some of the rows, by number, with folds of their own, of shape (len(rows),)."""
        columns = {feature.name: taken(self.columns[feature.name], rows) for feature in self.features}
        time = None if self.time is None else self.time[rows]
        known = None if self.known is None else self.known[rows]
        return TrainingSet(self.features, columns, self.target[rows], fold, time, self.gap, known)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def folds(self) -> tuple[tuple[Numbers, Numbers], ...]:
        """Row numbers (learned from, validated) of each fold."""
        forward = self.time is not None or bool((self.fold == -1).any())
        found = []
        for number in np.unique(self.fold[self.fold >= 0]).tolist():
            validated = self.fold == number
            learned = self._before(number, validated) if forward else ~validated
            for name, rows in ((t("learns from"), learned), (t("validates"), validated)):
                positive = int(np.count_nonzero(self.target[rows]))
                if positive in (0, int(np.count_nonzero(rows))):
                    raise TrainingError(
                        t(
                            "Fold {number} {does} {rows} rows, {positive} of them positive: both classes are needed."
                            " Write fewer folds or a shorter gap, or bring more rows.",
                            number=number,
                            does=name,
                            rows=int(np.count_nonzero(rows)),
                            positive=positive,
                        )
                    )
            found.append((np.flatnonzero(learned), np.flatnonzero(validated)))
        if not found:
            raise TrainingError(t("No row validates: every fold is -1. Split the data in folds first."))
        return tuple(found)

    def _before(self, number: int, validated: Flags) -> Flags:
        if self.time is None:
            return self.fold < number
        begins = self.time[validated].min()
        early: Flags = (self.fold < number) & (self.time < begins - np.timedelta64(self.gap))
        return early if self.known is None else early & ~(self.known >= begins)  # NaT is not later

    @cached_property
    def numbers(self) -> Matrix:
        """Every row's (n, k) matrix, finite; NaN for nulls and in the places of text features."""
        encoders = [
            Encoder(feature.name, feature.type) for feature in self.features if feature.type != "text"
        ]
        matrix = np.full((len(self), len(self.features)), np.nan, np.float32)
        if encoders:
            places = [place for place, feature in enumerate(self.features) if feature.type != "text"]
            matrix[:, places] = finite(encode_columns(encoders, self.columns))
        return matrix

    @cached_property
    def texts(self) -> Mapping[str, tuple[tuple[str, ...], Numbers]]:
        """Each text feature as its levels, in text order, and each row's level number; ``NULL`` for null."""
        return {
            feature.name: _coded(self.columns[feature.name])
            for feature in self.features
            if feature.type == "text"
        }


def taken(column: Any, rows: Numbers) -> Any:
    """Some values of a column, by row number; a list stays a list and an array an array, masked or not."""
    return column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows.tolist()]


def finite(matrix: Matrix) -> Matrix:
    """Clip infinities to the largest float32; learners refuse them, and no threshold lies beyond."""
    largest = np.finfo(np.float32).max
    clipped: Matrix = np.clip(matrix, -largest, largest)
    return clipped


def _coded(column: Sequence[str | None] | NDArray[Any]) -> tuple[tuple[str, ...], Numbers]:
    values: Sequence[Any] = column.tolist() if isinstance(column, np.ndarray) else column
    levels = tuple(sorted({value for value in values if value is not None}))
    codes: dict[str | None, int] = {level: place for place, level in enumerate(levels)}
    codes[None] = NULL
    return levels, np.fromiter((codes[value] for value in values), np.int64, len(values))
