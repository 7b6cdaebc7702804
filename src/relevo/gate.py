"""The gate: what a candidate must show before it may be released."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

METRICS = ("f1", "precision", "recall", "pr_auc", "roc_auc", "brier", "log_loss", "accuracy")
"""What is measured on the held-out rows. Lower is better for ``brier`` and ``log_loss``."""
LOWER_IS_BETTER = frozenset({"brier", "log_loss"})
UNBOUNDED = frozenset({"log_loss"})
"""Those that may exceed 1."""
ENOUGH = 200
"""Rows of the rarer class, or groups with one, from which on the gate's error rate holds, within a few percent."""


@dataclass(frozen=True)
class Gate:
    """``minimum`` metrics (for ``brier`` and ``log_loss``: at most), and not worse than the champion.

    The second is a test of non-inferiority: a candidate passes when, by the paired bootstrap on the same
    rows, the probability that its metric is more than ``margin`` worse than the champion's is at most
    1 - ``confidence``. That is the error rate of the gate: how often it lets a model through that lies
    just ``margin`` below. It holds from ``ENOUGH`` rows of the rarer class on; of fewer a resample does not
    show what they happen not to show, and more is let through (``benchmarks/gate.py``). With ``GroupSplit``
    whole groups are resampled, and it is groups that count. Critical cases (the
    project's ``cases``) must all be right. ``beats_baselines`` asks for more than every trivial baseline
    reaches on the project's metric; for recall, than those that do not name every row.

    A ``margin`` of .02 is much for a loss where positives are rare: the Brier score of knowing nothing is
    p(1 - p), less than that at 2 %. Write a share of it (``docs/judging.md``).

    ``minimum_rows`` held-out rows and ``minimum_positives`` rows of the rarer class are the least that
    anything is concluded from, the comparison with the champion included. With 10 of the rarer class a recall
    of one half has a 95 % interval from .24 to .76 (Wilson's), and fewer leave the bootstrap hardly a
    different resample; 50 rows hold an accuracy to about a tenth either way.
    """

    minimum: Mapping[str, float] = field(default_factory=dict)
    margin: float = 0.02
    confidence: float = 0.95
    beats_baselines: bool = True
    minimum_rows: int = 50
    minimum_positives: int = 10
