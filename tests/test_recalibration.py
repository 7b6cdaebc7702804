"""How outcomes follow from scores is learned from blocks, with how much it differs between them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo.errors import DataError
from relevo.recalibration import (
    SINGLE,
    SPREADS,
    Effect,
    Recalibration,
    blocks_of,
    log_odds,
    recalibrate,
    sigmoid,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIDDLE = -1.5


def block(
    rows: int, generator: np.random.Generator, *, level: float = 0.0, slope: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores about the same middle; the outcome's log-odds are a line in theirs."""
    far = generator.normal(0, 1.2, rows)
    outcome = generator.random(rows) < sigmoid(MIDDLE + level + slope * far)
    return sigmoid(MIDDLE + far), outcome


def blocks(count: int, rows: int, seed: int = 0, spread: float = 0.0, **line: float) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [
        block(
            rows, generator, **{**line, "level": line.get("level", 0.0) + spread * float(generator.normal())}
        )
        for _ in range(count)
    ]


def test_exact_probabilities_are_left_as_they_are() -> None:
    found = recalibrate(blocks(10, 4000))
    x = np.linspace(-4, 1, 20)
    assert found.mean(x) == pytest.approx(sigmoid(x), abs=0.02)
    assert found.slope.mean == pytest.approx(1, abs=0.05)
    assert found.level.spread < 0.08


def test_what_is_off_is_put_right() -> None:
    """Overconfident and too high: half the slope, and a level that is lower by .7."""
    found = recalibrate(blocks(10, 4000, level=-0.7, slope=0.5))
    x = np.linspace(-4, 1, 20)
    assert found.mean(x) == pytest.approx(sigmoid(MIDDLE - 0.7 + 0.5 * (x - MIDDLE)), abs=0.02)
    assert found.misfit == 0


@pytest.mark.parametrize("spread", [0.2, 0.6])
def test_the_spread_between_blocks_is_found(spread: float) -> None:
    found = recalibrate(blocks(40, 1500, spread=spread))
    assert found.level.spread == pytest.approx(spread, rel=0.3)
    assert found.blocks == 40


def test_the_posterior_is_that_of_a_sum_over_a_grid() -> None:
    """Mean and spread against draws of both from the prior, weighted by how likely they make what was found."""
    effect = Effect((0.3, -0.2, 0.5, 0.1), (0.2, 0.1, 0.3, 0.15), 0.3)
    generator = np.random.default_rng(0)
    spread = np.abs(generator.normal(0, 0.3, 400_000))
    mean = generator.uniform(-2, 2, 400_000)
    every = np.square(effect.errors)[:, None] + spread**2
    log = -(np.log(every) + (np.array(effect.found)[:, None] - mean) ** 2 / every).sum(axis=0) / 2
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    assert effect.mean == pytest.approx(weight @ mean, abs=0.01)
    assert effect.spread == pytest.approx(weight @ spread, abs=0.01)
    assert effect.error == pytest.approx(math.sqrt(weight @ (mean - weight @ mean) ** 2), abs=0.01)
    drawn = effect.drawn(200_000, generator)
    new = weight @ (spread**2 + (mean - weight @ mean) ** 2)
    assert drawn.std() == pytest.approx(math.sqrt(new), rel=0.05)


def test_new_blocks_lie_where_they_are_said_to() -> None:
    """The predictive interval of 90 % holds the lines of blocks not seen, over 400 references of eight."""
    generator = np.random.default_rng(5)
    inside = []
    for _ in range(400):
        lines = generator.normal(0.2, 0.3, 9)
        errors = generator.uniform(0.05, 0.3, 8)
        effect = Effect(tuple(generator.normal(lines[:8], errors)), tuple(errors), SPREADS[0])
        low, high = np.quantile(effect.drawn(1000, generator), [0.05, 0.95])
        inside.append(low <= lines[8] <= high)
    assert 0.9 - 3.1 * math.sqrt(0.9 * 0.1 / 400) <= np.mean(inside) <= 0.97


def test_one_block_leaves_the_spread_to_the_prior() -> None:
    whole = recalibrate(blocks(1, 100_000))
    prior = SINGLE[0] * math.sqrt(2 / math.pi)
    assert whole.level.spread == pytest.approx(prior, rel=0.05)


def test_the_order_of_blocks_and_rows_does_not_matter() -> None:
    given = blocks(5, 300, spread=0.3)
    turned = [(p[::-1], y[::-1]) for p, y in reversed(given)]
    one, other = recalibrate(given), recalibrate(turned)
    assert other.mean(np.array([-3.0, 0.0])) == pytest.approx(one.mean(np.array([-3.0, 0.0])), rel=1e-6)
    assert other.counts == one.counts


def test_it_goes_through_json() -> None:
    found = recalibrate(blocks(3, 200))
    assert Recalibration.of_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("outcomes", [[], [False, False], [True, True]])
def test_both_outcomes_are_needed(outcomes: list[bool]) -> None:
    with pytest.raises(DataError, match="Both outcomes are needed"):
        recalibrate([(np.full(len(outcomes), 0.3), np.array(outcomes, bool))] if outcomes else [])


def test_certain_and_equal_scores_do_no_harm() -> None:
    """Probabilities of 0 and 1; a single score; a block of one class; outcomes that scores tell apart wholly."""
    p = np.array([0.0, 1.0, 0.5, 0.5, 0.0, 1.0])
    y = np.array([False, True, True, False, True, False])
    assert np.isfinite(recalibrate([(p, y)]).level.mean)
    same = recalibrate([(np.full(100, 0.3), np.arange(100) < 20)])
    assert same.mean(log_odds(np.array([0.3]))) == pytest.approx(0.2, abs=0.01)
    mixed = recalibrate([(np.full(50, 0.3), np.zeros(50, bool)), (np.full(50, 0.3), np.arange(50) < 25)])
    assert np.isfinite(mixed.level.found).all()
    apart = recalibrate([(np.linspace(0.01, 0.99, 100), np.arange(100) >= 50)])
    assert np.isfinite(apart.slope.mean)
    assert apart.slope.mean > 1


def test_blocks_follow_the_stretches_and_short_ones_are_put_together() -> None:
    stretch = np.repeat([3, 1, 2, 4], [40, 40, 5, 40])
    p = stretch / 10
    y = np.arange(125) % 2 == 0
    found = blocks_of(p, y, stretch)
    assert [sorted(set(np.round(own * 10).astype(int))) for own, _ in found] == [[1], [2, 3], [4]]
    assert sum(len(own) for own, _ in found) == 125
    rare = blocks_of(p, np.arange(125) == 7, stretch)
    assert [len(own) for own, _ in rare] == [125]
    assert blocks_of(p[:0], y[:0], stretch[:0])[0][0].size == 0
