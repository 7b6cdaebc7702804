"""Who asks: what they may do, until when, and how much."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from relevo.keys import SCOPES


@dataclass(frozen=True, eq=False, slots=True)
class Caller:
    """Somebody whose key or token was found good."""

    id: str
    """Stable, and no secret: ``key:…``, ``token:…``, or empty for anyone."""
    scopes: frozenset[str] = frozenset(SCOPES)
    until: float = math.inf
    """Unix time at which the key or token expires."""
    rate: float | None = None
    """Requests per second; None is without limit."""
    concurrency: int | None = None
    """Requests at once."""
    shown: bytes = field(init=False)
    """The id, for keeping one caller with one version."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", self.id.encode())

    def may(self, scope: str) -> bool:
        """Whether a scope is among the caller's; ``admin`` holds all."""
        return scope in self.scopes or "admin" in self.scopes
