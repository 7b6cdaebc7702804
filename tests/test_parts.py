from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo import parts
from relevo.errors import TrainingError
from relevo.split import GroupSplit, RepeatedStratifiedSplit, StratifiedSplit, TimeSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray

START = datetime(2017, 1, 1)


def days(count: int, per_day: int = 10) -> NDArray[np.datetime64]:
    moments = [START + timedelta(days=day, minutes=row) for day in range(count) for row in range(per_day)]
    return np.array(moments, "datetime64[us]")


def alternating(rows: int) -> NDArray[np.bool_]:
    return np.resize(np.array([True, False, False]), rows)


def by_time(split: TimeSplit, time: NDArray[np.datetime64]) -> parts.Parts:
    return parts.assign(split, time=time, group=None, target=alternating(len(time)), ids=[])


def by_row(split: StratifiedSplit, target: NDArray[np.bool_]) -> parts.Parts:
    ids = [str(row) for row in range(len(target))]
    return parts.assign(split, time=None, group=None, target=target, ids=ids)


def test_the_newest_rows_judge() -> None:
    """The test part is what comes after the newest time less ``test``."""
    time = days(100)
    found = by_time(TimeSplit("20d"), time)
    test = time[found.part == "test"]
    assert test.min() > time.max() - np.timedelta64(20, "D")
    assert (found.part == "test").sum() == 200
    assert set(found.part) == {"train", "test"}


def test_a_gap_is_left_out_before_the_test_part() -> None:
    """No row within ``gap`` of the first judged row is learned from."""
    time = days(100)
    found = by_time(TimeSplit("20d", gap="5d"), time)
    assert (found.part == "gap").sum() == 50
    assert (found.fold[found.part != "train"] == -1).all()
    assert time[found.part == "train"].max() < time[found.part == "gap"].min()


def test_folds_follow_what_they_learn_from() -> None:
    """Folds are consecutive in time; the first third is only learned from; the rest is cut evenly."""
    time = days(100)
    order = np.random.default_rng(0).permutation(len(time))
    found = by_time(TimeSplit("10d", folds=3), time[order])
    training = found.part == "train"
    edges = [
        (time[order][training & (found.fold == k)].min(), time[order][training & (found.fold == k)].max())
        for k in (-1, 0, 1, 2)
    ]
    assert all(before[1] < after[0] for before, after in pairwise(edges))
    assert np.bincount(found.fold[training] + 1).tolist() == [300, 200, 200, 200]


def test_one_moment_is_never_cut() -> None:
    """Rows of the same time share their fold, whatever their number."""
    time = np.repeat(days(30, per_day=1), 10)
    found = by_time(TimeSplit("6d", folds=2), time)
    for moment in np.unique(time):
        assert len(set(found.fold[time == moment])) == 1


def test_rows_that_share_the_earliest_moment_are_only_learned_from() -> None:
    """Monthly snapshots, of which the first is nearly half: every fold still follows what it learns from."""
    months = np.array(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"], "datetime64[us]")
    found = by_time(TimeSplit("20d", folds=2), np.repeat(months, [500, 300, 300, 300]))
    assert found.fold.tolist() == [-1] * 500 + [0] * 300 + [1] * 300 + [-1] * 300
    assert found.part.tolist() == ["train"] * 1100 + ["test"] * 300


def test_a_single_moment_before_the_test_part_is_refused() -> None:
    months = np.array(["2024-01-01", "2024-02-01"], "datetime64[us]")
    with pytest.raises(TrainingError, match="fold 0 has 0 rows"):
        by_time(TimeSplit("20d", folds=2), np.repeat(months, [500, 300]))


@pytest.mark.parametrize("test", ["100d", "400d"])
def test_a_test_part_longer_than_the_data_is_refused(test: str) -> None:
    with pytest.raises(TrainingError, match="Shorten test"):
        by_time(TimeSplit(test), days(100))


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(TrainingError, match="split: gap: “soon” is not a duration"):
        by_time(TimeSplit("10d", gap="soon"), days(100))


def test_a_missing_time_is_refused() -> None:
    time = days(100)
    time[3] = np.datetime64("NaT")
    with pytest.raises(TrainingError, match="1 rows have no event time"):
        by_time(TimeSplit("10d"), time)


def test_a_time_split_without_time_is_refused() -> None:
    with pytest.raises(TrainingError, match="event_time"):
        parts.assign(TimeSplit(), time=None, group=None, target=alternating(9), ids=[])


@given(
    rows=st.integers(60, 400),
    share=st.floats(0.1, 0.5),
    folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_strata_keep_their_shares(rows: int, share: float, folds: int, seed: int) -> None:
    """Test part and folds have each class in its share, to one row."""
    target = alternating(rows)
    found = by_row(StratifiedSplit(share, folds, seed), target)
    for value in (True, False):
        stratum = target == value
        test = stratum & (found.part == "test")
        assert abs(test.sum() - share * stratum.sum()) <= 1
        left = np.bincount(found.fold[stratum & (found.part == "train")], minlength=folds)
        assert left.max() - left.min() <= 2


def test_new_rows_do_not_reshuffle() -> None:
    """Ten per cent more rows move few of those that were there."""
    target = alternating(1100)
    before = by_row(StratifiedSplit(), target[:1000])
    after = by_row(StratifiedSplit(), target)
    same = before.part == after.part[:1000]
    assert same.mean() > 0.98
    assert (before.fold == after.fold[:1000]).mean() > 0.9


def test_the_seed_draws_another_test_part() -> None:
    target = alternating(1000)
    first, second = (by_row(StratifiedSplit(seed=seed), target).part for seed in (0, 1))
    assert (first != second).any()


def test_the_order_of_rows_does_not_matter() -> None:
    target = alternating(500)
    ids = [f"row-{row}" for row in range(500)]
    order = np.random.default_rng(1).permutation(500)
    found = parts.assign(StratifiedSplit(), time=None, group=None, target=target, ids=ids)
    moved = parts.assign(
        StratifiedSplit(), time=None, group=None, target=target[order], ids=[ids[row] for row in order]
    )
    assert (found.part[order] == moved.part).all()
    assert (found.fold[order] == moved.fold).all()


def test_groups_are_never_parted() -> None:
    """Rows of one group share part and fold; the test part has about its share of rows."""
    draw = np.random.default_rng(2)
    group = [None if number == 0 else f"p{number}" for number in draw.integers(0, 300, 3000)]
    target = draw.random(3000) < 0.2
    ids = [str(row) for row in range(3000)]
    found = parts.assign(GroupSplit("patient"), time=None, group=group, target=target, ids=ids)
    for name in set(group) - {None}:
        rows = [place for place, other in enumerate(group) if other == name]
        assert len({(found.part[row], found.fold[row]) for row in rows}) == 1
    assert abs((found.part == "test").mean() - 0.2) < 0.02
    alone = [place for place, name in enumerate(group) if name is None]
    assert len(set(found.part[alone])) == 2


def test_what_became_known_too_late_is_in_the_gap() -> None:
    """A training row may be learned from when its outcome was known as the test part began."""
    time = days(100)
    known = time + np.timedelta64(7, "D")
    known[::3] = np.datetime64("NaT")
    target = alternating(len(time))
    found = parts.assign(TimeSplit("20d"), time=time, group=None, target=target, ids=[], known=known)
    begins = time.max() - np.timedelta64(20, "D")
    assert set(time[found.part == "test"] > begins) == {True}
    assert (found.part == "test").sum() == (time > begins).sum()
    assert ((found.part == "gap") == ((time <= begins) & (known > begins))).all()
    assert (found.part == "gap").sum() > 30


def test_repeats_draw_every_row_into_a_fold() -> None:
    """No row is set aside; each repeat is another draw, each fold has its share of both classes."""
    target = alternating(900)
    ids = [str(row) for row in range(900)]
    split = RepeatedStratifiedSplit(folds=5, repeats=4)
    found = parts.assign(split, time=None, group=None, target=target, ids=ids)
    folds = parts.drawn(split, target, ids)
    assert set(found.part) == {"train"}
    assert (found.fold == folds[0]).all()
    assert folds.shape == (4, 900)
    for fold in folds:
        assert np.bincount(fold[target]).tolist() == [60] * 5
        assert np.bincount(fold[~target]).tolist() == [120] * 5
    assert 0.1 < (folds[0] == folds[1]).mean() < 0.3


def test_rows_that_ask_the_same_share_their_folds() -> None:
    draw = np.random.default_rng(4)
    ids = [f"song {number}" for number in draw.integers(0, 700, 1000)]
    folds = parts.drawn(RepeatedStratifiedSplit(repeats=3), alternating(1000), ids)
    for name in set(ids):
        rows = [place for place, other in enumerate(ids) if other == name]
        assert all(len(set(fold[rows])) == 1 for fold in folds)


def test_new_rows_reshuffle_no_repeat() -> None:
    target, ids = alternating(1050), [str(row) for row in range(1050)]
    split = RepeatedStratifiedSplit(repeats=3)
    before, after = (parts.drawn(split, target[:rows], ids[:rows]) for rows in (1000, 1050))
    assert (before == after[:, :1000]).mean() > 0.9


def test_a_single_class_is_refused() -> None:
    with pytest.raises(TrainingError, match="All 50 labelled rows have the same outcome"):
        by_row(StratifiedSplit(), np.zeros(50, bool))


def test_a_part_without_a_class_is_refused() -> None:
    """A test part in which nothing happened cannot judge."""
    time = days(100)
    target = np.zeros(len(time), bool)
    target[:500:7] = True
    with pytest.raises(TrainingError, match="the test part has 200 rows, 0 of them positive"):
        parts.assign(TimeSplit("20d"), time=time, group=None, target=target, ids=[])


def test_too_few_rows_for_the_folds_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"fold .* Write fewer folds"):
        by_row(StratifiedSplit(folds=5), alternating(12))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 30])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(TrainingError, match="between 0 and 1"):
        by_row(StratifiedSplit(share), alternating(100))


def test_one_fold_is_refused() -> None:
    with pytest.raises(TrainingError, match="folds=2"):
        by_row(StratifiedSplit(folds=1), alternating(100))
