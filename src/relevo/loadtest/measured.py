"""What a load test found, as facts: figures, their course over time, and whether limits were kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from relevo.loadtest.tally import Second, Tally

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
BUSY = 0.9
"""Share of a core from which on the generator may have been what was slow."""


class Limits(NamedTuple):
    """The p95 in seconds and the share of failures that are still good; None for what is not limited."""

    p95: float | None = None
    errors: float | None = None


class Figures(NamedTuple):
    """Of one span of time; latencies in milliseconds, NaN where nothing was asked."""

    requests: int
    rate: float
    failed: int
    failures: dict[str, int]
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @property
    def failed_share(self) -> float:
        """Failures of all requests; 1 when there were no requests."""
        return self.failed / self.requests if self.requests else 1.0

    def misses(self, limits: Limits) -> list[str]:
        """Which limits were not kept; nothing asked keeps none."""
        found = []
        if limits.p95 is not None and not self.p95 <= limits.p95 * 1000:
            found.append("p95")
        if limits.errors is not None and self.failed_share > limits.errors:
            found.append("errors")
        return found

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**self._asdict(), "failed_share": self.failed_share if self.requests else None}


def figures(whole: Second, seconds: float) -> Figures:
    """Figures of what began within ``seconds``."""
    quantiles = {name: whole.quantile(share) * 1000 for name, share in QUANTILES.items()}
    rate = whole.requests / seconds if seconds > 0 else math.nan
    longest = whole.longest * 1000 if whole.requests else math.nan
    failures = dict(whole.failures.most_common())
    return Figures(whole.requests, rate, whole.failed, failures, **quantiles, max=longest)


@dataclass(frozen=True)
class Outcome:
    """One measurement; ``seconds`` is how long requests were begun."""

    tally: Tally
    seconds: float
    busy: float
    """Mean share of a core that the generator's busiest process worked."""
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """What only this kind of test knows."""
    interrupted: bool = False

    @property
    def figures(self) -> Figures:
        """Of all of it."""
        return figures(self.tally.total(), self.seconds)

    def course(self) -> list[dict[str, Any]]:
        """Figures of each second, from 0."""
        if not self.tally.seconds:
            return []
        first, last = min(self.tally.seconds), max(self.tally.seconds)
        return [
            {"second": number - first, **_point(self.tally.seconds.get(number))}
            for number in range(first, last + 1)
        ]


def _point(second: Second | None) -> dict[str, Any]:
    if second is None:
        return {"requests": 0, "failed": 0, "p50": None, "p95": None, "p99": None, "max": None}
    found = figures(second, 1.0)
    return {
        "requests": found.requests,
        "failed": found.failed,
        **{
            name: value if second.requests else None
            for name, value in (
                ("p50", found.p50),
                ("p95", found.p95),
                ("p99", found.p99),
                ("max", found.max),
            )
        },
    }
