"""What the reference does by itself raises no alarm; what it never did does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from relevo.baseline import Baseline, Cells

SHARES = np.array([0.5, 0.3, 0.15, 0.05])
LEVEL = 0.01


def _blocks(seed: int, days: int, *, spread: float = 0.0, season: float = 0.0, rows: int = 500) -> Cells:
    """Days of about so many rows; ``spread`` is rho, ``season`` how far the weekdays lie apart."""
    draw = np.random.default_rng(seed)
    weekdays = SHARES * np.exp(np.random.default_rng(99).normal(0, season, (7, len(SHARES))))
    weekdays /= weekdays.sum(axis=1, keepdims=True)
    counts = []
    for day in range(days):
        shares = weekdays[day % 7]
        if spread:
            shares = draw.dirichlet(shares * (1 / spread - 1))
        counts.append(draw.multinomial(int(rows * draw.uniform(0.3, 2)), shares))
    return Cells(np.array(counts), np.arange(days) % 7)


@pytest.mark.parametrize(("spread", "season"), [(0.0, 0.0), (0.0, 0.3), (0.02, 0.0), (0.02, 0.3)])
def test_windows_like_the_reference_are_told_of_no_more_often_than_said(spread: float, season: float) -> None:
    """Whether its days differ by chance, by the weekday, by a will of their own, or by all of it."""
    told = []
    for seed in range(10):
        both = _blocks(seed, 98 + 70, spread=spread, season=season)
        reference = Cells(both.counts[:98], both.phase[:98])
        told += [
            reference.test(counts, int(phase)).p <= LEVEL
            for counts, phase in zip(both.counts[98:], both.phase[98:], strict=True)
        ]
    assert np.mean(told) <= LEVEL + 3 * np.sqrt(LEVEL / len(told))


def test_independent_rows_taken_for_it_would_raise_alarms_all_the_time() -> None:
    """What the tests above would be worth if the reference's own unrest were left out."""
    both = _blocks(1, 168, spread=0.02, season=0.3)
    alone = Cells(both.counts[:98].sum(axis=0, keepdims=True), np.zeros(1, np.int64))
    assert np.mean([alone.test(counts, 0).p <= LEVEL for counts in both.counts[98:]]) > 0.5


@pytest.mark.parametrize("rows", [200, 2_000, 20_000])
def test_what_moved_is_found(rows: int) -> None:
    reference = _blocks(3, 98, season=0.3)
    share = reference.share(0)
    moved = share + np.array([-0.15, 0.0, 0.0, 0.15])
    assert reference.test(np.round(rows * moved).astype(np.int64), 0).p < 1e-4
    assert reference.test(np.round(rows * share).astype(np.int64), 0).p > 0.5


def test_a_constant_column_is_never_told_of() -> None:
    reference = Cells(np.array([[100, 0], [120, 0], [90, 0]]), np.arange(3))
    assert reference.test(np.array([200, 0]), 1).p == 1.0
    assert reference.rho == 0.0


def test_no_rows_tell_nothing() -> None:
    assert _blocks(0, 14).test(np.zeros(4, np.int64), 3).p == 1.0


def test_a_value_never_seen_is_rare_until_there_are_many() -> None:
    never = Cells(np.array([[0, 1000]] * 30), np.zeros(30, np.int64))
    found = [never.rare(count, 500, 0, 0).p for count in (0, 1, 5, 50)]
    assert found[0] == 1.0
    assert found[1] > 1e-3
    assert found[2] < 1e-6
    assert found == sorted(found, reverse=True)


def test_what_was_always_missing_and_is_no_longer_is_told_of() -> None:
    always = Cells(np.array([[1000, 0]] * 3), np.zeros(3, np.int64))
    assert always.rare(1000, 1000, 0, 0).p == 1.0
    assert always.rare(900, 1000, 0, 0).p < 1e-9


def test_rare_values_are_told_of_no_more_often_than_said() -> None:
    draw = np.random.default_rng(5)
    told = []
    for _ in range(40):
        rows = draw.integers(200, 2000, 90)
        one = draw.binomial(rows, 0.004)
        reference = Cells(np.stack([one, rows - one], axis=1)[:60], np.arange(60) % 7)
        told += [
            reference.rare(int(count), int(n), 0, 0).p <= LEVEL
            for count, n in zip(one[60:], rows[60:], strict=True)
        ]
    assert np.mean(told) <= LEVEL + 3 * np.sqrt(LEVEL / len(told))


def test_one_block_alone_is_taken_for_independent_rows() -> None:
    one = Cells(np.array([[600, 400]]), np.zeros(1, np.int64))
    assert one.rho == 0.0
    assert one.test(np.array([600, 400]), 0).p > 0.9
    assert one.test(np.array([400, 600]), 0).p < 1e-6


def test_a_phase_that_the_reference_lacks_is_compared_with_all() -> None:
    reference = Cells(np.array([[60, 40], [50, 50]]), np.array([0, 1]))
    np.testing.assert_allclose(reference.share(6), [0.55, 0.45])


def test_with_few_blocks_a_window_must_differ_from_each() -> None:
    """Three batches in which a column was missing in 8, 14 and 11 % of the rows."""
    few = Cells(np.array([[80, 920], [140, 860], [110, 890]]) * 15, np.zeros(3, np.int64))
    assert few.rare(80 * 15, 15_000, 0, 0).p > 0.5
    assert few.rare(290 * 15, 15_000, 0, 0).p < 1e-9
    assert few.rare(290 * 15, 15_000, 0, 0).expected[0] == 0.14
    assert few.test(np.array([1200, 13_800]), 0).p > 0.5
    assert few.test(np.array([4350, 10_650]), 0).p < 1e-9


def test_a_week_is_enough_for_a_baseline() -> None:
    """With one block for each phase; replaying one of them leaves a phase that no other has."""
    week = Cells(np.array([[60, 40]] * 7), np.arange(7))
    assert week.test(np.array([600, 400]), 6).p > 0.5
    assert week.test(np.array([100, 900]), 6).p < 1e-3


def test_a_baseline_is_read_back() -> None:
    made = Baseline("x", "day", np.array([[1, 2], [3, 4]]), np.array([0, 1]), np.array([[3.0, 0.5, 0.1]] * 2))
    read = Baseline.of_json(json.loads(json.dumps(made.to_json())))
    assert read.to_json() == made.to_json()
