"""An open loop: requests leave by the clock, whether or not earlier ones were answered.

Latency counts from the moment a request was due, so that a service which stalls is charged for all who would
have come meanwhile (Tene 2015, *How NOT to Measure Latency*, calls the opposite coordinated omission).
"""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from relevo.extras import need
from relevo.loadtest import punctual
from relevo.loadtest.measured import BUSY, Outcome
from relevo.loadtest.tally import Meter, Second, Tally
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relevo.loadtest.connections import Asked, Pool
    from relevo.loadtest.target import Target

_TICK = 0.05
_BURST = 32
"""Requests that are overdue and handed out without a look at answers."""
_SPARE_FILES = 64
_LATE = 0.001
"""Seconds of the generator's own lateness at p99 from which on the report warns."""


@dataclass(frozen=True)
class Pace:
    """Requests a second, for how long, evenly (``constant``) or as independent callers come (``poisson``)."""

    rate: float
    seconds: float
    arrivals: str = "constant"
    connections: int = 512
    seed: int = 0

    def schedule(self) -> Iterator[float]:
        """Seconds from the start at which requests are due."""
        rng = random.Random(self.seed)  # noqa: S311 - repeatable on purpose
        number, due = 0, 0.0
        while True:
            due = number / self.rate if self.arrivals == "constant" else due + rng.expovariate(self.rate)
            if due >= self.seconds:
                return
            yield due
            number += 1


def run(target: Target, bodies: Sequence[bytes], pace: Pace) -> Outcome:
    """Ask by the schedule, one body after the other; Ctrl-C ends it and gives what was measured until then."""
    need("httptools", "loadtest")
    with asyncio.Runner(loop_factory=punctual.loop) as runner:
        return runner.run(_Test(target, bodies, pace).run())


class _Test:
    """One run. Moments are seconds from the start."""

    def __init__(self, target: Target, bodies: Sequence[bytes], pace: Pace) -> None:
        self._target, self._pace = target, pace
        self._requests = [_request(target, body) for body in bodies]
        self._tally, self._meter = Tally(), Meter()
        self._late = Second()
        """The generator's own lateness: from due to the moment the request was handed out."""
        self._start = 0.0
        self._end = pace.seconds
        self._interrupted = False

    async def run(self) -> Outcome:
        from relevo.loadtest.connections import Pool

        loop = asyncio.get_running_loop()
        parts = urlsplit(self._target.url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        place = (parts.hostname or "", parts.port or (443 if secure else 80))
        most = _allowed(self._pace.connections)
        pool = Pool(place, secure, most=most, patience=self._target.timeout, done=self._done)
        self._start = loop.time()
        sending = loop.create_task(self._send(pool))
        with suppress(ValueError, RuntimeError):  # not in the main thread: there is no Ctrl-C then
            loop.add_signal_handler(signal.SIGINT, self._interrupt, sending)
        while not (sending.done() and (self._interrupted or pool.idle())):
            pool.give_up(loop.time())
            self._meter.look(self._tally, self._now())
            await (asyncio.sleep(_TICK) if sending.done() else asyncio.wait({sending}, timeout=_TICK))
        await pool.close()
        return self._outcome(pool, most)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    def _interrupt(self, sending: asyncio.Task[None]) -> None:
        self._interrupted = True
        self._end = min(self._end, self._now())
        sending.cancel()

    async def _send(self, pool: Pool) -> None:
        """Hand out requests as they fall due, and let answers in between."""
        from relevo.loadtest.connections import Asked

        requests, start = self._requests, self._start
        for number, due in enumerate(self._pace.schedule()):
            early = due - self._now()
            if early > 0 or number % _BURST == 0:
                await asyncio.sleep(max(0.0, early))
            self._late.count(max(0.0, self._now() - due))
            pool.ask(Asked(start + due, requests[number % len(requests)]))

    def _done(self, asked: Asked, failure: str) -> None:
        if self._interrupted and failure == "timeout":
            return  # it was not given its time
        due = asked.due - self._start
        self._tally.add(due, self._now() - due, failure)

    def _outcome(self, pool: Pool, most: int) -> Outcome:
        busy = self._tally.busy(end=self._end)
        late = {name: self._late.quantile(share) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
        facts = {
            "rate": self._pace.rate,
            "arrivals": self._pace.arrivals,
            "connections": {"most": most, "highest": pool.highest, "held_back": pool.held_back},
            "generator_late": {**late, "max": self._late.longest * 1000},
        }
        notes = []
        if pool.held_back:
            notes.append(
                t(
                    "All {most} connections were busy when {count:,} requests were due; these waited for one, "
                    "which their latency counts. Raise --connections to let them go.",
                    most=most,
                    count=pool.held_back,
                )
            )
        if most < self._pace.connections:
            notes.append(t("The system allows only {most} connections (ulimit -n).", most=most))
        if late["p99"] > _LATE * 1000 or busy >= BUSY:
            notes.append(
                t(
                    "The generator itself was late: {late:.1f} ms at p99, busy {busy:.0%} of a core. "
                    "Latencies contain that; ask at a lower rate or from another machine.",
                    late=late["p99"],
                    busy=busy,
                )
            )
        return Outcome(self._tally, self._end, busy, tuple(notes), facts, self._interrupted)


def _request(target: Target, body: bytes) -> bytes:
    """One request as it goes over the wire."""
    headers = {"Host": urlsplit(target.url).netloc, **target.sent(), "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {target.prefix}{target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _allowed(wanted: int) -> int:
    """As many connections as the system lets this process have, which is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, soft - _SPARE_FILES))
    return wanted
