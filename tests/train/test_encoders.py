from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from relevo.encoding import encode_columns
from relevo.sql import Column
from relevo.train import TrainingSet, encoders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def texts(levels: Sequence[str | None], target: Sequence[bool]) -> TrainingSet:
    fold = np.arange(len(levels)) % 2
    return TrainingSet((Column("level", "text"),), {"level": levels}, np.array(target), fold)


def test_no_row_is_encoded_by_its_own_outcome(rows: Callable[..., TrainingSet]) -> None:
    """Turning one row's outcome changes other rows' encodings and never its own."""
    data = rows(300)
    before = encoders.learn(data).matrix
    for row in (0, 7, 123):
        target = data.target.copy()
        target[row] = not target[row]
        after = encoders.learn(replace(data, target=target)).matrix
        assert np.array_equal(before[row], after[row], equal_nan=True)
        assert not np.array_equal(before, after, equal_nan=True)


def test_a_level_is_drawn_toward_the_mean() -> None:
    """The fewer its rows, the more."""
    common = ["a"] * 600 + ["b"] * 600
    target = [row % 10 < 8 for row in range(600)] + [row % 10 < 1 for row in range(600)]
    data = texts([*common, "rare", "rare"], [*target, True, True])
    found = encoders.learn(data).encoders[0]
    assert found.levels is not None
    prior = data.target.mean()
    assert found.levels["a"] == pytest.approx(0.8, abs=0.01)
    assert found.levels["b"] == pytest.approx(0.1, abs=0.01)
    assert prior < found.levels["rare"] < 1


def test_levels_that_differ_by_chance_are_drawn_close() -> None:
    """The weight of the prior comes from the data: pure noise shrinks almost to the mean."""
    draw = np.random.default_rng(0)
    levels = [f"l{number}" for number in draw.integers(0, 100, 3000)]
    target = draw.random(3000) < 0.3
    found = encoders.learn(texts(levels, target.tolist())).encoders[0]
    assert found.levels is not None
    raw = [
        target[[place for place, level in enumerate(levels) if level == name]].mean() for name in found.levels
    ]
    assert np.std(list(found.levels.values())) < 0.3 * np.std(raw)


def test_an_unseen_level_is_the_mean() -> None:
    data = texts(["a", "b", "a", "b"] * 5, [True, False, False, False] * 5)
    found = encoders.learn(data).encoders
    assert encode_columns(found, {"level": ["never seen"]})[0, 0] == pytest.approx(0.25)


def test_null_is_a_level() -> None:
    """Its own mean where it was seen, the mean of all where not."""
    nulls = texts([None, "b"] * 200, [True, False] * 200)
    found = encoders.learn(nulls).encoders[0]
    assert found.null is not None
    assert found.null > 0.9
    without = texts(["a", "b"] * 200, [True, False] * 200)
    assert encoders.learn(without).encoders[0].null == pytest.approx(0.5)


def test_numbers_stay_and_nulls_are_nan(rows: Callable[..., TrainingSet]) -> None:
    data = rows(300)
    learned = encoders.learn(data)
    count = data.columns["count"]
    assert [encoder.null for encoder in learned.encoders[2:]] == [None] * 3
    assert np.array_equal(np.isnan(learned.matrix[:, 3]), np.ma.getmaskarray(count))
    assert (learned.matrix[~count.mask, 3] == count.compressed()).all()


def test_training_rows_are_encoded_as_new_ones_are(rows: Callable[..., TrainingSet]) -> None:
    """The quick path over coded texts gives what the shared encoding does, levels unseen in learning included."""
    data = rows(400)
    learned, validated = data.folds[0]
    found = encoders.learn(data, learned).encoders
    columns = {
        name: [column[row] for row in validated] if isinstance(column, list) else column[validated]
        for name, column in data.columns.items()
    }
    assert np.array_equal(
        encoders.encode(data, found, validated), encode_columns(found, columns), equal_nan=True
    )


def test_only_learned_rows_count(rows: Callable[..., TrainingSet]) -> None:
    """Validated outcomes leave no trace in the encoders of their fold."""
    data = rows(400)
    learned, validated = data.folds[-1]
    target = data.target.copy()
    target[validated] = ~target[validated]
    before = encoders.learn(data, learned)
    after = encoders.learn(replace(data, target=target), learned)
    assert before.encoders == after.encoders
    assert np.array_equal(before.matrix, after.matrix, equal_nan=True)
