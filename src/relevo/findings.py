"""Findings: what a window shows that a person or the renewal should know, as plain facts that can be told in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE, WARN, NOTE = "page", "warn", "note"
"""The model's quality or its service suffers; the data is broken; the data moved. Worst first."""
SEVERITIES = (PAGE, WARN, NOTE)
BROKEN = frozenset({"nulls", "unseen", "range", "refusals", "failures", "skew", "volume", "freshness"})
"""Kinds that say that the data, or the way to it, is broken."""
SPOILING = BROKEN - {"volume"}
"""Those that explain whatever else a window shows: few rows, or many, explain nothing of those that came."""
LOST = frozenset({"loss", "estimated loss", "cases"})
"""Kinds that say that answers are worse."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found in a window.

    ``kind`` is one of ``drift`` ``multivariate`` ``score`` (distributions moved), ``nulls`` ``unseen`` ``range``
    ``refusals`` ``failures`` ``skew`` ``volume`` ``freshness`` (broken data), ``loss`` ``estimated loss`` ``cases``
    (worse answers) and ``labels`` (they do not come). ``about`` is the feature, field, metric or case. ``value`` was
    seen where ``expected`` was, with the interval from ``low`` to ``high`` of what was seen. ``p`` is the probability
    of as much or more while nothing changed, where one is known. ``facts`` are more figures, plain JSON.
    """

    kind: str
    about: str
    severity: str
    value: float | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    p: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def signal(self) -> str:
        """What an alert is known by: of one signal one alert is open at a time."""
        return f"{self.kind}:{self.about}" if self.about else self.kind

    def told(self) -> str:
        """Say it in one sentence."""
        return _told(self)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Finding:
        """Read ``to_json`` back."""
        return cls(**data)


def _told(found: Finding) -> str:
    figures = {
        "about": found.about,
        "value": _number(found.value),
        "expected": _number(found.expected),
        "low": _number(found.low),
        "high": _number(found.high),
        "rows": found.rows,
        "moved": str(found.facts.get("moved", "")),
    }
    sentences = {
        "drift": t(
            "{about} is distributed otherwise: {value:.1%} of {rows:,} rows moved. {moved}", **figures
        ),
        "multivariate": t(
            "The features hang together otherwise than in the reference ({value:.3f}, expected {expected:.3f}).",
            **figures,
        ),
        "score": t("The scores are distributed otherwise: {value:.1%} of {rows:,} moved. {moved}", **figures),
        "nulls": t("{about} is missing in {value:.1%} of {rows:,} rows; expected {expected:.1%}.", **figures),
        "unseen": t(
            "{about} has a value that was never learned from in {value:.1%} of {rows:,} rows; expected {expected:.1%}.",
            **figures,
        ),
        "range": t(
            "{about} is outside the range learned from in {value:.1%} of {rows:,} rows; expected {expected:.1%}.",
            **figures,
        ),
        "refusals": t(
            "{value:.1%} of {rows:,} rows or requests broke the contract; expected {expected:.1%}.", **figures
        ),
        "failures": t("{value:.1%} of {rows:,} requests had no answer; expected {expected:.1%}.", **figures),
        "skew": t(
            "{value:.1%} of {rows:,} predictions come out otherwise when they are computed again.", **figures
        ),
        "volume": t("{value:,.0f} rows came; expected were {low:,.0f} to {high:,.0f}.", **figures),
        "freshness": t("The history {about} is {value:,.1f} hours old; expected {expected:,.1f}.", **figures),
        "loss": t(
            "{about} is {value:.3f} [{low:.3f}, {high:.3f}] on {rows:,} labelled rows; it was {expected:.3f}.",
            **figures,
        ),
        "estimated loss": t(
            "{about} is estimated at {value:.3f} [{low:.3f}, {high:.3f}] without labels; it was {expected:.3f}.",
            **figures,
        ),
        "cases": t("The critical case “{about}” is answered wrongly by the served model.", **figures),
        "labels": t(
            "Of {rows:,} predictions whose outcome should be known {value:.1%} have one; expected {expected:.1%}.",
            **figures,
        ),
    }
    return sentences[found.kind].strip()


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
