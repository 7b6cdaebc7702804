from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from relevo.errors import TrainingError
from relevo.train.data import TrainingSet, finite

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_later_fold_learns_from_all_before_it(rows: Callable[..., TrainingSet]) -> None:
    """Where some rows are only learned from, folds look back and never ahead."""
    data = rows(400, folds=3)
    assert len(data.folds) == 3
    for learned, validated in data.folds:
        assert learned.tolist() == list(range(validated.min()))


def test_other_folds_learn_from_all_the_rest(rows: Callable[..., TrainingSet]) -> None:
    data = rows(400, folds=3, forward=False)
    for learned, validated in data.folds:
        assert sorted([*learned, *validated]) == list(range(400))


def test_a_gap_is_kept_between_learned_and_validated(rows: Callable[..., TrainingSet]) -> None:
    """Outcomes known late are not learned from too early."""
    data = rows(400, folds=3)
    time = np.datetime64("2017-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    gapped = replace(data, time=time, gap=timedelta(hours=24))
    for learned, validated in gapped.folds:
        assert validated.min() - learned.max() == 25


def test_with_times_no_fold_learns_from_a_later_one(rows: Callable[..., TrainingSet]) -> None:
    """Even where every row validates: the first fold has nothing to learn from then."""
    data = rows(400, folds=3)
    time = np.datetime64("2017-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    with pytest.raises(TrainingError, match="Fold 0 learns from 0 rows"):
        _ = replace(data, time=time, fold=np.arange(400) // 134).folds


def test_no_fold_learns_from_what_became_known_after_it_begins(rows: Callable[..., TrainingSet]) -> None:
    """Outcomes known a day late are left out of the day before each fold; those without a moment stay."""
    data = rows(400, folds=3)
    time = np.datetime64("2017-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    late = replace(data, time=time, known=time + np.timedelta64(24, "h"))
    for learned, validated in late.folds:
        assert learned.tolist() == list(range(validated.min() - 24))
    unsaid = replace(late, known=np.full(400, np.datetime64("NaT"), "datetime64[us]"))
    assert all(learned.max() + 1 == validated.min() for learned, validated in unsaid.folds)


def test_a_gap_that_leaves_nothing_is_refused(rows: Callable[..., TrainingSet]) -> None:
    time = np.datetime64("2017-01-01", "us") + np.arange(400) * np.timedelta64(1, "h")
    gapped = replace(rows(400, folds=3), time=time, gap=timedelta(days=90))
    with pytest.raises(TrainingError, match="Fold 0 learns from 0 rows"):
        _ = gapped.folds


def test_a_single_class_is_refused(rows: Callable[..., TrainingSet]) -> None:
    with pytest.raises(TrainingError, match="All 400 training rows have the same outcome"):
        replace(rows(400), target=np.ones(400, bool))


def test_rows_must_agree_in_number(rows: Callable[..., TrainingSet]) -> None:
    with pytest.raises(TrainingError, match="differ in their number of rows"):
        replace(rows(400), fold=np.zeros(399, np.int64))


def test_no_feature_is_refused(rows: Callable[..., TrainingSet]) -> None:
    with pytest.raises(TrainingError, match="no feature"):
        replace(rows(400), features=())


def test_texts_may_be_lists_or_masked_arrays(rows: Callable[..., TrainingSet]) -> None:
    """DuckDB hands out the latter."""
    data = rows(50)
    values = np.array([value or "" for value in data.columns["city"]], object)
    hidden = np.array([value is None for value in data.columns["city"]])
    masked = replace(data, columns={**data.columns, "city": np.ma.array(values, mask=hidden)})
    assert masked.texts["city"][0] == data.texts["city"][0]
    assert (masked.texts["city"][1] == data.texts["city"][1]).all()


def test_infinities_become_the_largest_numbers() -> None:
    found = finite(np.array([[np.inf, -np.inf, np.nan, 1.5]], np.float32))
    largest = np.finfo(np.float32).max
    assert found[0, :2].tolist() == [largest, -largest]
    assert np.isnan(found[0, 2])
