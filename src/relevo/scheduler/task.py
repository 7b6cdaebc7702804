"""What is to be done, and when: plain data, which one process prints and another reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

RUN = "run"
"""The group of the tasks that change the project's data and model: one of them at a time."""


@dataclass(frozen=True)
class Cron:
    """At the times of a cron expression of five fields, in a time zone.

    A time that the clock leaves out when it is set forward is due right after, one that it shows twice is due once.
    """

    expression: str
    zone: str = "UTC"


@dataclass(frozen=True)
class Every:
    """Every so many seconds, counted from the epoch: ``Every(3600)`` at the full hour."""

    seconds: float


@dataclass(frozen=True)
class Appears:
    """When files of these absolute patterns are new, changed or gone, and have come to rest.

    A file rests when two looks, a poll apart, find the same size and time. With ``each`` every pattern must have a
    file. ``pause`` is the least number of seconds between two jobs that only such files lead to. ``name`` is what
    people call them.
    """

    patterns: tuple[str, ...]
    each: bool = False
    pause: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class After:
    """When another task's job was done."""

    task: str


When = Cron | Every | Appears | After


@dataclass(frozen=True, kw_only=True)
class Task:
    """A command, and when it is to be run.

    ``command`` is given to Python: ``("-m", "relevo", "collect", folder)``. ``whens`` are alternatives. ``needs``
    names a look (``looks.LOOKS``) that must find something: until it does the task is put off. Of a ``group`` one
    runs at a time. Exit codes in ``fine`` are no failure. ``timeout`` is real seconds, ``memory_limit`` bytes, 0 none.
    """

    name: str
    command: tuple[str, ...]
    whens: tuple[When, ...]
    needs: str = ""
    group: str = ""
    fine: tuple[int, ...] = (0,)
    tries: int = 3
    timeout: float = 21600.0
    memory_limit: int = 0

    def to_json(self) -> dict[str, Any]:
        """Write it as JSON can hold it."""
        whens = [{"kind": type(when).__name__, **asdict(when)} for when in self.whens]
        return {**asdict(self), "whens": whens}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Task:
        """Read what ``to_json`` wrote."""
        whens = tuple(_when(dict(when)) for when in found["whens"])
        lists = {name: tuple(found[name]) for name in ("command", "fine")}
        return cls(**{**found, **lists, "whens": whens})


def _when(found: dict[str, Any]) -> When:
    kind = found.pop("kind")
    if kind == "Appears":
        return Appears(**{**found, "patterns": tuple(found["patterns"])})
    kinds: dict[str, type[Cron | Every | After]] = {"Cron": Cron, "Every": Every, "After": After}
    return kinds[kind](**found)
