"""An event of a story: one thing that happened, in words, with its evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ORDER = (
    "window", "finding", "alert", "message", "decision", "run", "data", "candidate", "step", "verdict", "version",
    "release", "now",
)  # fmt: skip
"""Kinds of events, as they follow from each other: of the same moment the one comes before the other."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened at a time. ``kind`` is one of ``ORDER``."""

    at: str
    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The record's figures, plain JSON."""
    refs: Mapping[str, Any] = field(default_factory=dict)
    """What it is about, by kind: ``run``, ``version``, ``alert``, ``decision``, ``window``, ``release``."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)
