"""Do the features still hang together as in the reference? Reconstruction of rows from a few directions.

Principal components of the standardised encoded features keep what hangs together; what is left of a row when it is
rebuilt from them is its error (the Q statistic of Jackson & Mudholkar 1979, *Control procedures for residuals
associated with principal component analysis*). A window's mean error is compared with those of the reference's
blocks: their own unrest, over that of independent rows, is part of the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.findings import NOTE, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KEPT = 0.65
"""The share of the variance that the kept directions explain."""
LIMIT = 4.0
"""Standard deviations beyond which a value counts as so far: one wild number is no change of what hangs together."""
LEAST = 0.02
"""By how much of itself the error must change to be told, however certain that is."""
_FEWEST = 3  # features, and rows for each


@dataclass(frozen=True)
class Reconstruction:
    """Of k encoded features: their (k,) means and scales, and (k, m) kept directions."""

    mean: Floats
    scale: Floats
    kept: Floats

    @classmethod
    def fit(cls, matrix: NDArray[Any]) -> Reconstruction | None:
        """Learn from (n, k) encoded rows; missing is the mean. None when too little varies to hang together."""
        known = np.ma.masked_invalid(matrix.astype(np.float64))
        mean, scale = (np.ma.filled(part, 0.0) for part in (known.mean(axis=0), known.std(axis=0)))
        varies = scale > 0
        if np.count_nonzero(varies) < _FEWEST or len(matrix) < _FEWEST * len(scale):
            return None
        found = cls(mean, np.where(varies, scale, np.inf), np.zeros((len(scale), 0)))
        standard = found.standard(matrix)
        values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
        order = np.argsort(-values)
        number = int(np.searchsorted(np.cumsum(values[order]), KEPT * values.sum())) + 1
        return cls(found.mean, found.scale, vectors[:, order[: min(number, np.count_nonzero(varies) - 1)]])

    def standard(self, matrix: NDArray[Any]) -> Floats:
        """(n, k) deviations from the mean in standard deviations, 0 where missing."""
        found: Floats = (matrix.astype(np.float64) - self.mean) / self.scale
        return np.clip(np.nan_to_num(found, nan=0.0, posinf=LIMIT, neginf=-LIMIT), -LIMIT, LIMIT)

    def errors(self, matrix: NDArray[Any]) -> Floats:
        """Rows, sum and sum of squares, (3,), of the errors of (n, k) encoded rows."""
        standard = self.standard(matrix)
        left = standard - standard @ self.kept @ self.kept.T
        squares = np.sqrt((left**2).sum(axis=1))
        return np.array([len(squares), squares.sum(), (squares**2).sum()])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; the scale of what does not vary is null."""
        scale = [value if np.isfinite(value) else None for value in self.scale.tolist()]
        return {"mean": self.mean.tolist(), "scale": scale, "kept": self.kept.tolist()}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Reconstruction:
        """Read ``to_json`` back."""
        scale = [np.inf if value is None else value for value in data["scale"]]
        kept = np.asarray(data["kept"], np.float64).reshape(len(scale), -1)
        return cls(np.asarray(data["mean"], np.float64), np.asarray(scale, np.float64), kept)


@dataclass(frozen=True)
class Unlike:
    """A window's mean error beside the reference's, and the probability of such a distance without a change."""

    value: float
    expected: float
    p: float
    rows: int


def compare(errors: Floats, phase: NDArray[np.int64], own: Floats, here: int) -> Unlike | None:
    """Compare a window's errors, (3,), of phase ``here`` with those of the reference's blocks, (D, 3), by phase.

    None when there is nothing to compare.
    """
    from scipy.special import stdtr

    rows, sums, squares = errors.T
    n = own[0]
    used = rows > 0
    if n < 1 or not used.any():
        return None
    total = sums.sum() / rows.sum()
    variance = max(squares.sum() / rows.sum() - total**2, 0.0)
    means = np.divide(sums, rows, out=np.full(len(rows), total), where=used)
    season = np.array([_mean(means[used & (phase == p)], total) for p in range(int(phase.max()) + 1)])
    same = np.array([np.count_nonzero(used & (phase == p)) for p in range(len(season))])
    left = np.count_nonzero(used) - np.count_nonzero(same)
    gaps = ((means - season[phase]) ** 2 - variance / np.maximum(rows, 1))[used]
    between = max(gaps.sum() / left, 0.0) if left > 0 else 0.0
    known = here < len(season) and same[here] > 1
    expected = season[here] if known else total
    spread = (
        variance / n + between * (1 + 1 / max(same[here] if known else len(rows), 1)) + variance / rows.sum()
    )
    value = own[1] / n
    if spread <= 0:
        return Unlike(float(value), float(expected), 1.0 if np.isclose(value, expected) else 0.0, int(n))
    distance = abs(value - expected) / np.sqrt(spread)
    p = float(2 * stdtr(left if left > 0 else 1e6, -distance))
    return Unlike(float(value), float(expected), p, int(n))


def finding(found: Unlike | None, risk: float) -> Finding | None:
    """What is told of it, if anything."""
    if found is None or found.p > risk or abs(found.value - found.expected) < LEAST * found.expected:
        return None
    return Finding(
        kind="multivariate",
        about="",
        severity=NOTE,
        value=found.value,
        expected=found.expected,
        rows=found.rows,
        p=found.p,
    )


def _mean(values: Floats, otherwise: float) -> float:
    return float(values.mean()) if len(values) else otherwise
