"""An explanation as plain data and plain sentences, in the language in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.package.values import to_json
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.explanation import Explanation, Share

NAMED = 3
"""Fields that the summary names at most."""
LEAST = 0.0005
"""A contribution below this is 0.0 points."""
_SHOWN = 60


def document(explanation: Explanation) -> dict[str, Any]:
    """All of it as JSON data, the sentences in the language in force; values are as the caller's contract has them."""
    negative, positive = explanation.labels
    return {
        "labels": {"negative": negative, "positive": positive},
        "probability": explanation.probability,
        "base": explanation.base,
        "log_odds": explanation.log_odds,
        "base_log_odds": explanation.base_log_odds,
        "method": "exact" if explanation.exact else "sampled",
        "rows": explanation.rows,
        "evaluations": explanation.evaluations,
        "fields": [_field(share, positive) for share in explanation.shares],
        "summary": summary(explanation),
    }


def _field(share: Share, positive: str) -> dict[str, Any]:
    field = share.field
    said = {name: text for name in ("unit", "description") if (text := getattr(field, name))}
    return {
        "field": field.alias,
        "value": to_json(share.value),
        **said,
        "contribution": share.contribution,
        "error": share.error,
        "log_odds": share.log_odds,
        "used": share.read,
        "sentence": sentence(share, positive),
    }


def sentence(share: Share, positive: str) -> str:
    """What one field does to the probability of the positive class."""
    if not share.read:
        return t("{field} is not used by the model.", field=share.field.alias)
    words = {"subject": _subject(share), "label": positive, "points": 100 * abs(share.contribution)}
    if abs(share.contribution) < LEAST:
        return t("{subject} hardly changes the probability of “{label}”.", **words)
    if share.contribution > 0:
        return t("{subject} raises the probability of “{label}” by {points:.1f} points.", **words)
    return t("{subject} lowers the probability of “{label}” by {points:.1f} points.", **words)


def summary(explanation: Explanation) -> list[str]:
    """The answer beside the average, and the fields that make most of the difference."""
    words = {
        "label": explanation.labels[1],
        "probability": explanation.probability,
        "base": explanation.base,
        "rows": explanation.rows,
    }
    said = [
        t(
            "The probability of “{label}” is {probability:.1%}; on average over {rows} requests to compare with it is"
            " {base:.1%}.",
            **words,
        )
    ]
    strongest = [share for share in explanation.shares[:NAMED] if abs(share.contribution) >= LEAST]
    if strongest:
        points = t("points")
        named = ", ".join(f"{_subject(one)} ({100 * one.contribution:+.1f} {points})" for one in strongest)
        said.append(t("What counts most: {fields}.", fields=named))
    return said


def _subject(share: Share) -> str:
    """The field and its value with its unit."""
    name, value = share.field.alias, share.value
    if value is None:
        return t("{field} (no value)", field=name)
    if isinstance(value, bool):
        shown = t("true") if value else t("false")
    else:
        text = str(to_json(value))
        shown = "".join(one if one.isprintable() else " " for one in text[:_SHOWN])
        shown += "…" if len(text) > _SHOWN else ""
    return " ".join(filter(None, (name, shown, share.field.unit)))
