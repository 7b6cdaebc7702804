"""The largest number of users that a service still answers within limits: doubled, then bisected, then confirmed.

A level counts when it has enough requests: 1,000, so that 50 lie above the p95 and its rank is known to ±1.4
percentage points (twice the binomial's deviation), and 3 for each failure that the limit allows among so many,
for that no failure in n requests means fewer than 3/n of them (Hanley & Lippman-Hand 1983, the rule of three).
A level with fewer is measured once more for as long as that takes, up to ten times the time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from relevo.loadtest import closed_loop
from relevo.loadtest.measured import BUSY, Figures, Outcome, figures
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relevo.loadtest.closed_loop import Users
    from relevo.loadtest.measured import Limits
    from relevo.loadtest.target import Target

ENOUGH = 1000
SETTLE = 2
"""Seconds at a level's beginning that do not count: connections are opened, caches filled."""
_BEGINNING = 2
"""Seconds that Locust has for letting its users begin."""
_LONGER = 10
_CLOSE = 20
"""Bisecting ends when what failed is within 1/20 of what passed."""


class Level(NamedTuple):
    """One number of users, tried."""

    users: int
    figures: Figures
    seconds: float
    busy: float
    enough: bool
    """Whether there were requests enough for the p95 and the errors to mean something."""
    missed: tuple[str, ...]
    interrupted: bool = False

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**self._asdict(), "figures": self.figures.plain()}


class Found(NamedTuple):
    """The largest number of users within the limits, 0 for none, and all that was tried, in order."""

    users: int
    confirmed: bool
    levels: tuple[Level, ...]
    reached: bool
    """Whether a larger number failed; otherwise the largest that might be tried is the end."""

    @property
    def interrupted(self) -> bool:
        """Whether somebody ended the search."""
        return bool(self.levels) and self.levels[-1].interrupted

    @property
    def generator(self) -> bool:
        """Whether the generator may have been what failed, since it was as busy as a core lets it."""
        above = [level for level in self.levels if level.missed and level.users > self.users]
        return bool(above) and min(above).busy >= BUSY


def needed(limits: Limits) -> int:
    """Requests that a level must have."""
    return max(ENOUGH, math.ceil(3 / limits.errors) if limits.errors else 0)


def search(measure: Callable[[int], Level], most: int) -> Found:
    """Find the largest number of users up to ``most`` whose level misses no limit, twice."""
    levels: list[Level] = []

    def good(users: int) -> bool:
        levels.append(measure(users))
        return not (levels[-1].missed or levels[-1].interrupted)

    def over() -> bool:
        return levels[-1].interrupted

    passed, failed = 0, 0
    users = 1
    while good(users):
        passed = users
        if passed == most:
            break
        users = min(2 * users, most)
    else:
        failed = users
    while failed - passed > max(1, passed // _CLOSE) and not over():
        users = (passed + failed) // 2
        if good(users):
            passed = users
        else:
            failed = users
    confirmed = False
    while passed and not over():
        tried = sorted({level.users for level in levels if not level.missed and level.users < passed})
        confirmed = good(passed)
        if confirmed or over():
            break
        failed, passed = passed, (tried[-1] if tried else 0)
    return Found(passed, confirmed, tuple(levels), reached=bool(failed) and not over())


def run(
    target: Target,
    locustfile: Path,
    users: Users,
    limits: Limits,
    tell: Callable[[Level], None] = lambda _: None,
) -> Outcome:
    """Search with Locust: ``users`` says the most, and the seconds of a level; ``tell`` hears of each.

    The outcome's course is that of the last level; its facts have all.
    """
    last: list[Outcome] = []

    def measure(count: int) -> Level:
        level, outcome = _level(target, locustfile, replace(users, users=count, spawn=float(count)), limits)
        last[:] = [outcome]
        tell(level)
        return level

    found = search(measure, users.users)
    outcome = last[0]
    facts = {
        "capacity": {
            "users": found.users,
            "confirmed": found.confirmed,
            "lower_bound": found.generator or not found.reached,
            "generator_bound": found.generator,
            "interrupted": found.interrupted,
            "requests_needed": needed(limits),
        },
        "levels": [level.plain() for level in found.levels],
    }
    return replace(outcome, notes=(*_notes(found, target), *outcome.notes), facts=facts)


def _level(target: Target, locustfile: Path, users: Users, limits: Limits) -> tuple[Level, Outcome]:
    wanted = users.seconds
    while True:
        outcome = closed_loop.run(target, locustfile, replace(users, seconds=SETTLE + wanted + _BEGINNING))
        asked = [number for number, second in outcome.tally.seconds.items() if second.requests]
        first = min(asked, default=0) + SETTLE
        end = min(first + math.ceil(wanted), max(asked, default=0))  # the last second is no whole one
        whole = outcome.tally.total(first, end)
        enough = whole.requests >= needed(limits)
        if enough or outcome.interrupted or wanted > users.seconds:
            break
        longer = 1.2 * wanted * needed(limits) / max(1, whole.requests)
        wanted = min(_LONGER * users.seconds, max(longer, wanted + 1))
    found = figures(whole, end - first)
    busy = outcome.tally.busy(first, end)
    missed = tuple(found.misses(limits))
    return Level(users.users, found, max(0, end - first), busy, enough, missed, outcome.interrupted), outcome


def _notes(found: Found, target: Target) -> list[str]:
    notes = []
    if found.generator:
        notes.append(
            t(
                "The generator itself worked at a whole core where the limits were missed, so the capacity is only"
                " a lower bound. Give it more with --processes, or test from another machine."
            )
        )
    if found.interrupted:
        notes.append(t("The search was interrupted, so the capacity may be larger."))
    elif not found.reached:
        notes.append(t("The largest number tried met the limits, so the capacity is only a lower bound."))
    if any(not level.enough for level in found.levels if level.users == found.users):
        notes.append(
            t("Too few requests were answered for the p95 and the errors to mean much. Give --time more.")
        )
    if urlsplit(target.url).hostname in ("127.0.0.1", "localhost", "::1"):
        notes.append(t("Generator and service share this machine, and take processor time from each other."))
    return notes
