"""Requests counted by second and by latency, so that memory grows with the time and not with the requests.

A latency is counted in a bucket whose bounds are 1 % apart, so a quantile is right to 0.5 % whatever its size
(Tene 2013, *HdrHistogram*, has the idea; here the buckets are of one ratio throughout). The longest is exact.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FINEST = 1e-6
"""Seconds; shorter latencies count as this."""
_RATIO = math.log(1.01)


def bucket(latency: float) -> int:
    """The bucket of a latency in seconds."""
    return max(0, round(math.log(max(latency, _FINEST) / _FINEST) / _RATIO))


def middle(number: int) -> float:
    """Seconds that stand for a bucket."""
    return _FINEST * math.exp(number * _RATIO)


@dataclass
class Second:
    """What began within one second; ``busy`` is the share of it that the generator's busiest process worked."""

    requests: int = 0
    longest: float = 0.0
    busy: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """By the answer's status, or by the kind of what went wrong instead of an answer."""

    def count(self, latency: float) -> None:
        """Count one request."""
        self.requests += 1
        self.latencies[bucket(latency)] += 1
        self.longest = max(self.longest, latency)

    def add(self, other: Second) -> None:
        """Count another's requests too."""
        self.requests += other.requests
        self.longest = max(self.longest, other.longest)
        self.busy = max(self.busy, other.busy)
        self.latencies.update(other.latencies)
        self.failures.update(other.failures)

    def quantile(self, share: float) -> float:
        """Seconds that ``share`` of the requests took at most; NaN when there were none."""
        rank = max(1, math.ceil(share * self.requests))
        for number in sorted(self.latencies):
            rank -= self.latencies[number]
            if rank <= 0:
                return min(middle(number), self.longest)
        return math.nan

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return self.failures.total()


class Tally:
    """Seconds since the clock's own zero, numbered, each with what began within it."""

    def __init__(self) -> None:
        self.seconds: dict[int, Second] = {}

    def add(self, began: float, latency: float, failure: str = "") -> None:
        """Count one request; ``failure`` is empty for one that was answered as it should."""
        second = self.at(began)
        second.count(latency)
        if failure:
            second.failures[failure] += 1

    def at(self, moment: float) -> Second:
        """The second in which ``moment`` lies."""
        number = int(moment)
        found = self.seconds.get(number)
        if found is None:
            found = self.seconds[number] = Second()
        return found

    def total(self, start: float = -math.inf, end: float = math.inf) -> Second:
        """All whole seconds from ``start`` to before ``end`` as one."""
        whole = Second()
        for number, second in self.seconds.items():
            if start <= number and number + 1 <= end:
                whole.add(second)
        return whole

    def busy(self, start: float = -math.inf, end: float = math.inf) -> float:
        """Mean share that the generator's busiest process worked, over the same seconds."""
        shares = [s.busy for number, s in self.seconds.items() if start <= number and number + 1 <= end]
        return sum(shares) / len(shares) if shares else 0.0

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        return {str(number): vars(second) for number, second in sorted(self.seconds.items())}


def merged(parts: Iterable[Mapping[str, Any]]) -> Tally:
    """Put what several processes counted by the same clock together, from their ``plain`` forms."""
    whole = Tally()
    for part in parts:
        for number, found in part.items():
            latencies = Counter({int(place): count for place, count in found["latencies"].items()})
            failures = Counter(found["failures"])
            second = Second(found["requests"], found["longest"], found["busy"], latencies, failures)
            whole.at(int(number)).add(second)
    return whole


class Meter:
    """Notes in a tally how busy this process was in each second."""

    def __init__(self) -> None:
        self._second = -1
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def look(self, tally: Tally, moment: float) -> None:
        """Close the second before when ``moment`` lies in another; to be called at least once a second."""
        if int(moment) == self._second:
            return
        wall, cpu = time.perf_counter(), time.process_time()
        if self._second >= 0 and wall > self._wall:
            before = tally.at(self._second)
            before.busy = max(before.busy, (cpu - self._cpu) / (wall - self._wall))
        self._second, self._wall, self._cpu = int(moment), wall, cpu
