"""The values are Shapley's: compared with the definition, over every order of the players."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo.explanation import shapley

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROWS, FIELDS = 6, 5


def game(taken: NDArray[np.bool_], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Two outputs of made-up games, a different one for each row, in which players work together."""
    weights = np.random.default_rng(1).normal(size=(ROWS, taken.shape[1], taken.shape[1]))
    together = np.einsum("ei,ej,eij->e", taken, taken, weights[rows])
    return np.stack([np.tanh(together), together + 1], axis=1)


def by_definition(players: NDArray[np.bool_], play: Callable[..., Any]) -> NDArray[np.float64]:
    """The mean of what each player adds, over every order of the row's players."""
    found = np.zeros((*players.shape, 2))
    for row in range(len(players)):
        present: Any = players[row]
        orders = list(permutations(np.flatnonzero(present)))
        for order in orders:
            taken = np.zeros((len(order) + 1, players.shape[1]), bool)
            for place, player in enumerate(order):
                taken[place + 1 :, player] = True
            gained = np.diff(play(taken, np.full(len(taken), row)), axis=0)
            found[row, list(order)] += gained / len(orders)
    return found


def solved(players: NDArray[np.bool_], allowance: int, play: Callable[..., Any]) -> NDArray[np.float64]:
    most = shapley.orders_at_most(players.shape[1], allowance)
    draws = np.random.default_rng(2).random((most, *players.shape))
    plan = shapley.plan(players, draws, allowance)
    found = [np.empty((0, 2)), *(play(taken, rows) for taken, rows in shapley.coalitions(plan, 7))]
    assert sum(map(len, found)) == plan.evaluations
    rows = np.arange(len(players))
    reference = play(np.zeros(players.shape, bool), rows)
    asked = np.ones(2)  # the request's own outputs are the same whatever row it is compared with

    def ended(taken: NDArray[np.bool_], which: NDArray[np.intp]) -> NDArray[np.float64]:
        whole: NDArray[np.bool_] = (taken == players[which]).all(axis=1) & players[which].any(axis=1)
        return np.where(whole[:, None], asked, play(taken, which))

    wanted = by_definition(players, ended)
    got = shapley.values(plan, np.concatenate(found), reference, asked)
    total = np.where(players.any(axis=1, keepdims=True), asked - reference, 0.0)
    np.testing.assert_allclose(got.sum(axis=1), total, atol=1e-12)
    return got - wanted


def some_players() -> NDArray[np.bool_]:
    """Games of none, one, two, four and all of the fields."""
    players = np.random.default_rng(3).random((ROWS, FIELDS)) < 0.6
    players[0], players[1] = False, True
    players[2] = np.arange(FIELDS) == 3
    return players


def test_games_that_are_evaluated_whole_have_exactly_their_values() -> None:
    np.testing.assert_allclose(solved(some_players(), 40, game), 0, atol=1e-12)


def test_orders_that_are_drawn_come_nearer_as_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapley, "MOST_EXACT", 2)
    off = [np.sqrt(np.mean(solved(some_players(), 8 * times, game) ** 2)) for times in (1, 16, 256)]
    assert off[0] > 2 * off[1] > 4 * off[2] > 0


def test_one_order_of_two_players_forwards_and_backwards_is_every_order() -> None:
    players = np.ones((ROWS, 2), bool)
    np.testing.assert_allclose(solved(players, 0, game), 0, atol=1e-12)


@pytest.mark.parametrize("fields", [0, 1])
def test_nothing_is_evaluated_where_nothing_is_to_be_shared(fields: int) -> None:
    plan = shapley.plan(np.ones((3, fields), bool), np.zeros((0, 3, fields)), 100)
    assert plan.evaluations == 0
    found = shapley.values(plan, np.empty((0, 1)), np.array([[0.25], [0.5], [0.75]]), np.array([1.0]))
    assert found.tolist() == [[[0.75]] * fields, [[0.5]] * fields, [[0.25]] * fields]


def test_a_game_costs_no_more_than_it_is_allowed() -> None:
    for fields in range(2, 30):
        players = np.ones((4, fields), bool)
        most = shapley.orders_at_most(fields, 100)
        plan = shapley.plan(players, np.random.default_rng(0).random((most, 4, fields)), 100)
        assert plan.evaluations <= 4 * max(100, 2 * (fields - 1))
