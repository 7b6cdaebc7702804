"""The budget of false alarms: how improbable something must be, without a change, for a window to tell of it.

A project's budget is a number of false alarms a month. It is shared out to what is watched, to the kinds of windows, to
their windows in a month, to the kinds of signals and to the signals of a kind. By the union bound the alarms expected
while nothing changes are then at most the budget, however the signals hang together and however long one looks, for
each window is looked at with a share of its own. A window that is looked at again shows the same distributions again,
which is no further chance of an alarm.

How many files, batches or periods come in a month is not known. Each spends a part of what those of the last 30 days
have left, so that together they spend no more (``Purse``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MONTH = 30.0
"""Days."""
_PER_MONTH = {"hour": 24 * MONTH, "day": MONTH, "week": MONTH / 7}
"""Windows of a unit."""
KINDS = {
    "features": 0.4,
    "score": 0.05,
    "pairs": 0.05,
    "multivariate": 0.05,
    "volume": 0.05,
    "refusals": 0.05,
    "failures": 0.05,
    "labels": 0.05,
    "loss": 0.15,
    "estimated loss": 0.1,
}
"""Shares of the kinds of signals. Skew, freshness and cases are no matter of chance and need none."""
LEAST = 1e-6
"""What a window may spend in any case: next to nothing, and enough for what is certain to be told."""
_DISTRIBUTIONS = ("features", "score", "pairs", "multivariate", "volume")
SOURCES = {
    "files": ("features", "refusals"),
    "arrivals": (*_DISTRIBUTIONS, "loss"),
    "requests": (*_DISTRIBUTIONS, "refusals", "failures", "loss", "estimated loss"),
    "scores": _DISTRIBUTIONS,
    "labels": ("labels",),
}
"""What is looked for in the windows of each source."""


@dataclass(frozen=True)
class Risks:
    """What one window may spend. ``window`` is the whole; the shares of the kinds are those of ``KINDS``."""

    window: float
    """At most a half."""

    def of(self, kind: str, signals: int = 1) -> float:
        """What each of the signals of a kind may spend."""
        return self.window * KINDS[kind] / max(signals, 1)


@dataclass
class Purse:
    """What is left of a month's share after the looks of the last 30 days, where nobody knows how many come."""

    left: float
    lately: int = 0
    """How many looks there were in the last 30 days."""

    def take(self, looks: int = 1) -> Risks:
        """Spend an even part for one of so many ``looks``, as if as many as lately followed, or one a day."""
        part = max(self.left, 0.0) / (max(looks, 1) + max(self.lately, MONTH) - 1)
        self.left -= part
        return Risks(min(max(part, LEAST), 0.5))


def spending(sources: Sequence[str]) -> float:
    """By how much the ``sources`` that are watched would overspend if each had the whole budget."""
    return sum(KINDS[kind] for source in sources for kind in SOURCES[source])


def risks(false_alarms: float, units: Sequence[str], unit: str, *, spending: float = 1.0) -> Risks:
    """Give a window of ``unit`` its share, where ``units`` are watched of each source; see ``spending``."""
    share = false_alarms / max(len(units), 1) / spending
    return Risks(min(share / _PER_MONTH[unit], 0.5))
