"""Decision rules: how probabilities become decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

Best = TypeVar("Best")
"""A threshold, or one for each of many rows."""


@dataclass(frozen=True)
class BestThreshold:
    """The threshold that was best for the project's metric on the folds' validation rows."""


@dataclass(frozen=True)
class ExpectedF1:
    """In a batch, the threshold that maximises expected F1 over the population at hand.

    It is read from the calibrated probabilities alone. One row by itself is decided by ``BestThreshold``.
    """


@dataclass(frozen=True)
class TopK:
    """In a batch, the ``k`` likeliest rows for each value of the request's field ``by``.

    One row by itself is decided by ``BestThreshold``.
    """

    k: int
    by: str


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What each outcome costs, in one unit; gains are negative. The decision with the lower expected cost wins.

    The threshold follows from the costs alone (Elkan 2001, equation 2), for one row as for many.
    """

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0

    @property
    def threshold(self) -> float:
        """The probability from which yes costs no more than no, from 0 to 1."""
        wrong_yes = self.false_positive - self.true_negative
        wrong_no = self.false_negative - self.true_positive
        return wrong_yes / (wrong_yes + wrong_no)


Decision = BestThreshold | ExpectedF1 | TopK | Costs
"""How probabilities become decisions."""


def fixed_threshold(decision: Decision, best: Best) -> float | Best:
    """The threshold by which one row is decided: what costs imply, or the one that was ``best`` in the folds."""
    return decision.threshold if isinstance(decision, Costs) else best
