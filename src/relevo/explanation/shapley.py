"""Shapley values of one request against reference rows, by as few evaluations as it takes.

For a reference row z the game is v_z(S) = f(x's values for the fields in S, z's for the others), and a field's
value is its Shapley value (Shapley 1953, equation 12) of that game, averaged over the rows: the interventional
values of Lundberg et al. 2020 ("From local explanations to global understanding", equation 2). A field in which
x and z do not differ is a dummy of that row's game, and is no player of it. A game of few players is evaluated
whole; of more, along orders of its players drawn at random (Štrumbelj & Kononenko 2014, algorithm 1), each
followed forwards and backwards (Mitchell et al. 2022, section 4.1). Along an order the differences add up to
f(x) - f(z), so the values always do.
"""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]
    Truths = NDArray[np.bool_]

MOST_EXACT = 12
"""Players of the largest game that is evaluated whole: 4,094 coalitions."""


class Whole(NamedTuple):
    """Games of d players whose coalitions are all evaluated."""

    rows: Places
    """(r,) reference rows."""
    players: Places
    """(r, d) fields, in order."""


class Walks(NamedTuple):
    """Orders that are followed through larger games; each is two walks, forwards and backwards."""

    rows: Places
    """(w,) reference rows."""
    ranks: Places
    """(w, n) place of each field in its order, those that are no players last."""
    steps: Truths
    """(w, n - 1) whether step j = 1, …, n - 1 is between two players."""


class Plan(NamedTuple):
    """The coalitions that are evaluated: of each row's players, R rows and n fields."""

    players: Truths
    """(R, n)"""
    wholes: tuple[Whole, ...]
    walks: Walks

    @property
    def evaluations(self) -> int:
        """How many coalitions there are; the empty and the whole one of each row are not among them."""
        whole = sum(len(rows) * ((1 << players.shape[1]) - 2) for rows, players in self.wholes)
        return int(whole + 2 * self.walks.steps.sum())


def orders_at_most(fields: int, allowance: int) -> int:
    """How many orders ``plan`` may want of one row: those of the smallest game that is not evaluated whole."""
    for players in range(2, fields + 1):
        if not _whole(players, allowance):
            return _orders(players, allowance)
    return 0


def _whole(players: int, allowance: int) -> bool:
    return players <= MOST_EXACT and (1 << players) - 2 <= max(allowance, 2 * (players - 1))


def _orders(players: int, allowance: int) -> int:
    return max(1, allowance // (2 * (players - 1)))


def plan(players: Truths, draws: Floats, allowance: int) -> Plan:
    """Choose the coalitions of R games; ``players`` is (R, n), and ``allowance`` evaluations of each are spent.

    ``draws``, (k, R, n) numbers from 0 to 1, give the orders: k is at least ``orders_at_most``.
    """
    count = players.sum(axis=1)
    kinds = {int(size): _whole(int(size), allowance) for size in np.unique(count)}
    wholes = []
    for size in (size for size, whole in kinds.items() if whole and size):
        rows = np.flatnonzero(count == size)
        wholes.append(Whole(rows, np.nonzero(players[rows])[1].reshape(-1, size)))
    orders = [0 if kinds[size] else _orders(size, allowance) for size in count.tolist()]
    return Plan(players, tuple(wholes), _walks(players, draws, orders))


def _walks(players: Truths, draws: Floats, orders: list[int]) -> Walks:
    rows = np.repeat(np.arange(len(players)), orders)
    turn = np.concatenate([np.arange(times) for times in orders]) if len(rows) else rows
    keys = np.where(players[rows], draws[turn, rows], 2.0) if len(rows) else np.zeros(players[rows].shape)
    ranks = keys.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    steps = np.arange(1, players.shape[1]) < players[rows].sum(axis=1)[:, None]
    return Walks(rows, ranks, steps)


def coalitions(plan: Plan, size: int) -> Iterator[tuple[Truths, Places]]:
    """Give the plan's coalitions, at most ``size`` at a time.

    Each e has a row of (e, n), whether a field has the request's value, and the reference row, (e,), that the
    other fields' values come from.
    """
    for rows, players in plan.wholes:
        inner = 2 ** players.shape[1] - 2
        for start in range(0, len(rows) * inner, size):
            place = np.arange(start, min(start + size, len(rows) * inner))
            which = place // inner
            taken = np.zeros((len(place), plan.players.shape[1]), bool)
            taken[np.arange(len(place))[:, None], players[which]] = _subsets(players.shape[1])[
                place % inner + 1
            ]
            yield taken, rows[which]
    walks, steps = np.nonzero(plan.walks.steps)
    for forwards in (True, False):
        for start in range(0, len(walks), size):
            which = walks[start : start + size]
            rows = plan.walks.rows[which]
            ahead = plan.walks.ranks[which] <= steps[start : start + size, None]
            yield (ahead if forwards else ~ahead) & plan.players[rows], rows


def values(plan: Plan, found: Floats, reference: Floats, asked: Floats) -> Floats:
    """Shapley values of each row's game, (R, n, m), of m outputs at once.

    ``found`` (E, m) are the outputs of the plan's coalitions in order, ``reference`` (R, m) those of the reference
    rows, ``asked`` (m,) the request's own.
    """
    answer = np.zeros((*plan.players.shape, len(asked)))
    start = 0
    for rows, players in plan.wholes:
        size = players.shape[1]
        games = np.empty((len(rows), 2**size, len(asked)))
        games[:, 0], games[:, -1] = reference[rows], asked
        length = len(rows) * (2**size - 2)
        games[:, 1:-1] = found[start : start + length].reshape(len(rows), -1, len(asked))
        start += length
        answer[rows[:, None], players] = np.einsum("rsm,sp->rpm", games, _weights(size))
    walks = plan.walks
    if not len(walks.rows):
        return answer
    length = int(walks.steps.sum())
    times = np.bincount(walks.rows, minlength=len(reference))
    share = 0.5 / times[walks.rows][:, None, None]
    for sign, first, last in ((1.0, reference[walks.rows], asked), (-1.0, asked, reference[walks.rows])):
        path = np.empty((len(walks.rows), plan.players.shape[1] + 1, len(asked)))
        path[:] = last if last.ndim == 1 else last[:, None, :]
        path[:, 0] = first
        path[:, 1:-1][walks.steps] = found[start : start + length]
        start += length
        gained = np.take_along_axis(sign * np.diff(path, axis=1), walks.ranks[:, :, None], axis=1)
        np.add.at(answer, walks.rows, share * gained)
    return answer


@cache
def _subsets(size: int) -> Truths:
    """All subsets of d players, (2^d, d): the empty one first, the whole last."""
    found: Truths = (np.arange(2**size)[:, None] >> np.arange(size)) & 1 == 1
    return found


@cache
def _weights(size: int) -> Floats:
    """(2^d, d): what a coalition's worth counts for in each player's value (Shapley 1953, equation 12)."""
    subsets = _subsets(size)
    joined = subsets.sum(axis=1)
    gain = np.array(
        [0.0, *(factorial(s - 1) * factorial(size - s) / factorial(size) for s in range(1, size + 1))]
    )
    loss = np.array([*(factorial(s) * factorial(size - s - 1) / factorial(size) for s in range(size)), 0.0])
    found: Floats = np.where(subsets, gain[joined][:, None], -loss[joined][:, None])
    return found
