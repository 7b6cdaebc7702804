"""The baseline: how much the reference itself moves from one window to the next, which no alarm may be raised for.

The reference is cut into blocks as long as the windows that will be compared with it. Blocks of one phase (the same
weekday; the same hour) show what is seasonal; how blocks of a phase differ beyond chance shows how much more than
independent rows would a window's counts vary. Both are estimated by moments:

- within a phase the counts are taken as Dirichlet-multinomial with the intra-class correlation rho, so that a cell's
  variance is n·p·(1 - p)·(1 + (n - 1)·rho) (Mosimann 1962, *On the compound multinomial distribution*, equation 10);
- a phase's distribution is drawn towards that of all phases by the James-Stein weight of its excess variance.

The statistic of a window is Pearson's over that variance, the reference's own added, and is compared with an F
distribution, for rho is estimated from a finite number of blocks. Replaying every block against the others gives the
tail that the formula may lack, and the statistic is divided by it. With fewer than ``FEW`` blocks none of this can be
known; then a window is told of when it surely differs from each of them, as independent rows do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

FEWEST = 2.0
"""The expected count below which a cell is put together with the other small ones."""
FEW = 8
"""With fewer blocks nothing can be said of how much they vary: a window is told of that surely differs from each."""
TAIL = 0.02
"""The share of the replayed blocks that the tail is read from."""
_MANY = 1e6  # degrees of freedom that are as good as infinite


class Test(NamedTuple):
    """A window's statistic against the baseline: its p-value, and the shares expected of the cells."""

    p: float
    expected: Floats


@dataclass(frozen=True)
class Cells:
    """The reference of one partition into K cells: counts of D blocks, and the phase of each.

    Phases count from 0; blocks without one are all of phase 0.
    """

    counts: Numbers
    phase: Numbers

    @cached_property
    def rows(self) -> Floats:
        """(D,) rows of the blocks."""
        found: Floats = self.counts.sum(axis=1).astype(np.float64)
        return found

    @cached_property
    def total(self) -> float:
        """Rows of all blocks."""
        return float(self.rows.sum())

    @cached_property
    def pooled(self) -> Floats:
        """(K,) shares over all blocks."""
        found: Floats = self.counts.sum(axis=0) / max(self.total, 1.0)
        return found

    @cached_property
    def _phases(self) -> tuple[Floats, Floats]:
        """(P, K) shares and (P,) rows by phase."""
        phases = int(self.phase.max()) + 1 if len(self.phase) else 1
        sums = np.zeros((phases, self.counts.shape[1]))
        np.add.at(sums, self.phase, self.counts)
        rows = sums.sum(axis=1)
        with np.errstate(invalid="ignore"):
            shares = np.where(rows[:, None] > 0, sums / np.maximum(rows, 1)[:, None], self.pooled)
        return shares, rows

    @cached_property
    def rho(self) -> float:
        """The intra-class correlation of rows in a block, one standard error above its estimate; 0 with one block."""
        shares, rows = self._phases
        used = (self.rows > 1) & (rows[self.phase] > self.rows)
        if np.count_nonzero(used) < 2:  # noqa: PLR2004 - one block does not vary
            return 0.0
        expected = shares[self.phase[used]]
        n = self.rows[used]
        held = expected > 0
        degrees = np.maximum(held.sum(axis=1) - 1, 1)
        left = 1 - n / rows[self.phase[used]]  # the block itself is part of what it is compared with
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = (self.counts[used] - n[:, None] * expected) ** 2 / (n[:, None] * expected)
        excess = np.where(held, gaps, 0).sum(axis=1) / degrees / left - 1
        weight = n - 1
        found = float(excess.sum() / weight.sum())
        spread = excess - found * weight
        error = float(np.sqrt((spread**2).sum()) / weight.sum())
        return min(max(found + error, 0.0), 1.0)

    @property
    def blocks(self) -> int:
        """How many blocks have rows."""
        return int(np.count_nonzero(self.rows))

    @cached_property
    def expected(self) -> Floats:
        """(P, K) shares expected in each phase: its own, drawn towards all by how sure they differ."""
        shares, rows = self._phases
        known = rows > 0
        if np.count_nonzero(known) < 2:  # noqa: PLR2004 - one phase has no season
            return np.broadcast_to(self.pooled, shares.shape)
        noise = np.array([self._inflation(self.phase == phase) for phase in range(len(rows))])
        held = self.pooled > 0
        degrees = max(int(held.sum()) - 1, 1)
        gaps = ((shares - self.pooled)[:, held] ** 2 / self.pooled[held]).sum(axis=1) / degrees
        rest = 1 - rows / rows.sum()
        over: Floats = (rows * gaps - noise * rest)[known]
        excess = float(over.sum() / float((rows * rest)[known].sum()))
        season = max(excess, 0.0)
        weight = (
            season / (season + np.where(known, noise / np.maximum(rows, 1), np.inf)) if season else 0 * rows
        )
        found: Floats = self.pooled + weight[:, None] * (shares - self.pooled)
        return found

    def _inflation(self, blocks: NDArray[np.bool_] | slice = slice(None)) -> float:
        """How many times more the sum of some blocks varies than that of independent rows."""
        rows = self.rows[blocks]
        total = rows.sum()
        return 1 + ((rows**2).sum() / total - 1) * self.rho if total else 1.0

    @cached_property
    def _own(self) -> float:
        """The variance of the reference's shares, in units of p(1 - p); for a phase at least as much as for all."""
        return self._inflation() / max(self.total, 1.0)

    def _known(self, phase: int) -> float:
        blocks = self.phase == phase
        rows = float(self.rows[blocks].sum())
        own = self._inflation(blocks) / rows if rows else np.inf
        gap = np.abs(self.share(phase) - self.pooled).sum()
        return own if gap > 0 and np.isfinite(own) else self._own

    @cached_property
    def _degrees(self) -> float:
        """Degrees of freedom of rho: the blocks less the phases; many when there is no block to learn it from."""
        phases = np.count_nonzero(self._phases[1])
        return float(max(self.blocks - int(phases), 1)) if self.blocks > phases else _MANY

    def statistic(self, counts: Numbers, phase: int) -> tuple[float, int]:
        """Pearson's statistic over its degrees and the variance expected, about 1; and the degrees of freedom."""
        n = float(counts.sum())
        expected = self.share(phase)
        if n <= 0:
            return 0.0, 0
        seen, shares = _together(counts.astype(np.float64), expected, n)
        degrees = len(shares) - 1
        if degrees < 1:
            return 0.0, 0
        pearson = float(((seen - n * shares) ** 2 / (n * shares)).sum())
        variance = 1 + (n - 1) * self.rho + n * self._known(phase)
        return pearson / degrees / variance, degrees

    def share(self, phase: int) -> Floats:
        """(K,) shares expected in a phase; those of all where the reference does not have it."""
        found: Floats = self.expected[phase] if phase < len(self.expected) else self.pooled
        return found

    @cached_property
    def _tail(self) -> float:
        """By how much the replayed blocks' statistics exceed the F distribution in the tail; at least 1."""
        from scipy.special import fdtri

        found = []
        for block in np.flatnonzero(self.rows):
            value, degrees = self._without(int(block)).statistic(self.counts[block], int(self.phase[block]))
            if degrees:
                found.append(value / fdtri(degrees, self._degrees, 1 - TAIL))
        if len(found) < 1 / TAIL:
            return 1.0
        return max(1.0, float(np.quantile(found, 1 - TAIL)))

    def _without(self, block: int) -> Cells:
        """The same with a block's counts taken out of its phase's, and rho as it is: one of many changes it little."""
        left = Cells(np.delete(self.counts, block, axis=0), np.delete(self.phase, block))
        left.__dict__["rho"] = self.rho
        return left

    @cached_property
    def _alone(self) -> list[Cells]:
        """Each block by itself, where there are few; then how far they lie apart is no chance."""
        used = np.flatnonzero(self.rows)
        if not 1 < len(used) < FEW:
            return []
        return [Cells(self.counts[place : place + 1], np.zeros(1, np.int64)) for place in used]

    def test(self, counts: Numbers, phase: int) -> Test:
        """Compare a window's counts of the cells with the reference; of few blocks, with the one most like it."""
        from scipy.special import fdtrc

        if self._alone:
            return max(
                (one.test(counts, 0) for one in self._alone), key=lambda test: (test.p, -_far(test, counts))
            )
        value, degrees = self.statistic(counts, phase)
        p = float(fdtrc(degrees, self._degrees, value)) if degrees else 1.0
        if p < TAIL:  # replaying all blocks takes a while
            p = float(fdtrc(degrees, self._degrees, value / self._tail))
        return Test(p, self.share(phase))

    def rare(self, count: int, n: int, cell: int, phase: int) -> Test:
        """Compare how often a window of n rows has one cell, which may be one never seen; both directions.

        Where fewer than some are expected, given how many there are in all, those of the window are binomial.
        """
        from scipy.special import bdtr, bdtrc

        if self._alone:
            every = [one.rare(count, n, cell, 0) for one in self._alone]
            return max(every, key=lambda test: (test.p, -abs(test.expected[cell] - count / max(n, 1))))
        expected = self.share(phase)
        share = float(expected[cell])
        two = np.array([count, n - count])
        if min(share, 1 - share) * n >= _NORMAL:
            return Test(self._pair(cell).test(two, phase).p, expected)
        variance = 1 + (n - 1) * self.rho
        seen, known = count / variance, float(self.counts[:, cell].sum()) / self._inflation()
        if share > 0.5:  # noqa: PLR2004 - then it is the others that are rare
            seen, known = (
                (n - count) / variance,
                (self.total - float(self.counts[:, cell].sum())) / self._inflation(),
            )
        whole, part = int(seen + known), int(seen)
        here = (n / variance) / (n / variance + self.total / self._inflation())
        if part > whole * here:
            p = float(bdtrc(part - 1, whole, here)) if part > 0 else 1.0
        else:
            p = float(bdtr(part, whole, here))
        return Test(min(1.0, 2 * p), expected)

    def _pair(self, cell: int) -> Cells:
        """One cell against all others."""
        if self.counts.shape[1] == 2 and cell == 0:  # noqa: PLR2004 - it is already
            return self
        made: dict[int, Cells] = self.__dict__.setdefault("_pairs", {})
        if cell not in made:
            one = self.counts[:, cell]
            made[cell] = Cells(np.stack([one, self.counts.sum(axis=1) - one], axis=1), self.phase)
        return made[cell]


def _far(test: Test, counts: Numbers) -> float:
    """How far a window is from what was expected of it."""
    return float(np.abs(counts / max(counts.sum(), 1) - test.expected).sum())


_NORMAL = 10  # expected counts from which Pearson's statistic serves for one cell


def _together(counts: Floats, shares: Floats, n: float) -> tuple[Floats, Floats]:
    """Put cells with small expected counts together; cells that the reference never had count there too."""
    small = n * shares < FEWEST
    if not small.any():
        return counts, shares
    seen, expected = counts[~small], shares[~small]
    rest, rest_seen = float(shares[small].sum()), float(counts[small].sum())
    if n * rest >= FEWEST or not len(expected):
        return np.append(seen, rest_seen), np.append(expected, max(rest, 1e-12))
    smallest = int(expected.argmin())
    seen, expected = seen.copy(), expected.copy()
    seen[smallest] += rest_seen
    expected[smallest] += rest
    return seen, expected


@dataclass(frozen=True)
class Baseline:
    """The counts of D blocks of the reference, (D, size) as ``Bins`` cuts them, and the phase of each, (D,).

    ``unit`` is how long a block is; ``errors`` are, where known, (D, 3) rows, sum and sum of squares of the
    reconstruction errors. ``bins`` is the digest of what cuts.
    """

    bins: str
    unit: str
    counts: Numbers
    phase: Numbers
    errors: Floats | None = None

    def cells(self, start: int, stop: int) -> Cells:
        """The reference of the cells from ``start`` to ``stop``."""
        made: dict[tuple[int, int], Cells] = self.__dict__.setdefault("_cells", {})
        if (start, stop) not in made:
            made[start, stop] = Cells(self.counts[:, start:stop], self.phase)
        return made[start, stop]

    def counted(self, cell: int, rows: Numbers) -> Cells:
        """The reference of one cell against the rest of ``rows``, (D,)."""
        made: dict[int, Cells] = self.__dict__.setdefault("_counted", {})
        if cell not in made:
            one = self.counts[:, cell]
            made[cell] = Cells(np.stack([one, rows - one], axis=1), self.phase)
        return made[cell]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "bins": self.bins,
            "unit": self.unit,
            "counts": self.counts.tolist(),
            "phase": self.phase.tolist(),
            "errors": None if self.errors is None else self.errors.tolist(),
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Baseline:
        """Read ``to_json`` back."""
        errors = data["errors"]
        return cls(
            data["bins"],
            data["unit"],
            np.asarray(data["counts"], np.int64),
            np.asarray(data["phase"], np.int64),
            None if errors is None else np.asarray(errors, np.float64),
        )
