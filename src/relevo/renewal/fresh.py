"""A fresh version on trial: whether, on the rows that came since, it does worse than the version before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from relevo import evaluate as evaluate_
from relevo.texts import t

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SURE = 0.99
"""The share of resamples in which it must be worse, by more than the margin."""
FEWEST, RARER = 100, 10
"""Rows, and rows of the rarer class, from which anything is concluded."""


@dataclass(frozen=True)
class Trial:
    """Both versions' figures of a metric on the same n rows, and how surely the fresh one is worse by the margin."""

    metric: str
    fresh: float
    before: float
    worse: float
    rows: int

    @property
    def failed(self) -> bool:
        """Whether it must go."""
        return self.worse >= SURE

    def told(self, version: str, before: str) -> str:
        """Say it in one sentence."""
        return t(
            "On {rows:,} rows since its release {version} reaches {metric} {fresh:.3f}, {before} {known:.3f}; that it"
            " is worse by more than the margin is {worse:.1%} sure.",
            rows=self.rows,
            version=version,
            before=before,
            metric=self.metric,
            fresh=self.fresh,
            known=self.before,
            worse=self.worse,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return dict(vars(self))


def compare(
    fresh: tuple[NDArray[np.float64], float],
    before: tuple[NDArray[np.float64], float],
    target: NDArray[np.bool_],
    *,
    metric: str,
    margin: float,
    group: NDArray[np.int64] | None = None,
) -> Trial | None:
    """Compare two versions' probabilities, each with its threshold, of the same rows by a paired bootstrap.

    It draws whole groups where ``group`` has their numbers. None with too few rows to conclude anything.
    """
    rarer = int(min(target.sum(), (~target).sum()))
    if len(target) < FEWEST or rarer < RARER:
        return None
    paired = evaluate_.paired(*before, *fresh, target, metric, group=group)
    return Trial(metric, paired.challenger, paired.champion, paired.worse(margin), len(target))
