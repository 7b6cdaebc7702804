"""What is predicted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """The outcome: a boolean SQL expression over the clean table, true for the positive class.

    Rows where it is null have no outcome yet and are not learned from. ``known_at`` is the column (a
    timestamp) from which the outcome is known. ``positive`` and ``negative`` name the two decisions.
    """

    expression: str
    known_at: str | None = None
    positive: str = "yes"
    negative: str = "no"
