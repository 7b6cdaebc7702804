"""What an alert says: its title, what was seen, how sure that is, and what it means. In the language in force.

All is made from evidence as the ledger has it, so an alert can be told in another language than it was opened in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.findings import BROKEN, LOST, Finding
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALLEST = 1e-6  # a probability below is not told exactly


def title(signal: str, evidence: Mapping[str, Any]) -> str:
    """A few words for a list or a subject."""
    kind, _, about = signal.partition(":")
    about = evidence["finding"]["about"] if "finding" in evidence else about
    titles = {
        "drift": t("{about} moved", about=about),
        "multivariate": t("The features hang together otherwise"),
        "score": t("The scores moved"),
        "nulls": t("{about} is missing", about=about),
        "unseen": t("{about} has new values", about=about),
        "range": t("{about} is out of range", about=about),
        "refusals": t("Requests or rows are refused"),
        "failures": t("Requests have no answer"),
        "skew": t("Predictions do not repeat"),
        "volume": t("Unexpected number of rows"),
        "freshness": t("The history {about} is old", about=about),
        "loss": t("{about} is worse", about=about),
        "estimated loss": t("{about} is probably worse", about=about),
        "cases": t("Critical case failed: {about}", about=about),
        "labels": t("Outcomes do not come"),
        "alias": t("The alias {about} differs in MLflow", about=about),
        "channel": t("The channel {about} carries nothing", about=about),
    }
    return titles.get(kind, signal)


def told(evidence: Mapping[str, Any], otherwise: str = "") -> str:
    """What was seen, in a sentence; ``otherwise`` for evidence that is of another kind."""
    if "finding" in evidence:
        return Finding.of_json(evidence["finding"]).told()
    if "channel" in evidence:
        return t(
            "Messages do not go out through {channel}: {error}",
            channel=evidence["channel"],
            error=evidence["error"],
        )
    if "alias" in evidence:
        return str(evidence["problem"])
    return otherwise


def sure(evidence: Mapping[str, Any]) -> str:
    """How sure that is; empty when nothing is known of it."""
    found = evidence.get("finding", {})
    parts = []
    low, high, p = found.get("low"), found.get("high"), found.get("p")
    if (
        low is not None and high is not None and found["kind"] != "volume"
    ):  # of that the range is what was expected
        parts.append(t("The value lies between {low:.3g} and {high:.3g}.", low=low, high=high))
    if p is not None and p < _SMALLEST:
        parts.append(t("Were nothing changed, as much would be seen less than once in a million times."))
    elif p is not None:
        parts.append(t("Were nothing changed, as much would be seen with probability {p:.2g}.", p=p))
    return " ".join(parts)


def meaning(signal: str) -> str:
    """What it means for those who use the model."""
    kind = signal.partition(":")[0]
    kind = "broken" if kind in BROKEN - {"skew", "failures"} else "lost" if kind in LOST else kind
    meanings = {
        "alias": t(
            "What answers here is not what MLflow says. Somebody must decide which of the two is meant."
        ),
        "channel": t("Whoever relies on this channel is not told of alerts until it works again."),
        "skew": t("What is served is no longer computed as it was learned from: scores cannot be trusted."),
        "failures": t("Some of those who ask get no answer."),
        "broken": t(
            "The data, or the way to it, looks broken. Mend that before anything else; no model is trained on it."
        ),
        "lost": t("The model answers worse than it did. Decisions that rest on it suffer."),
        "labels": t("Without outcomes nobody can tell how good the answers are."),
    }
    moved = t(
        "The data is not what was learned from. No loss of quality is known; it explains one if there is."
    )
    return meanings.get(kind, moved)


def name(severity: str) -> str:
    """A severity, as people read it."""
    return {"page": t("urgent"), "warn": t("warning"), "note": t("note")}[severity]
