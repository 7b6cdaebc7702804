"""The OpenAPI schema of an explanation."""

from __future__ import annotations

from typing import Any

from relevo.texts import t


def explanation_schema(labels: tuple[str, str]) -> dict[str, Any]:
    """JSON Schema of an explanation; ``labels`` are (negative, positive)."""
    number, text = {"type": "number"}, {"type": "string"}
    field = {
        "field": text,
        "value": {"description": t("The request's value, as the contract reads it.")},
        "unit": text,
        "description": text,
        "contribution": number
        | {"description": t("What the field adds to the probability (Shapley value), from -1 to 1.")},
        "error": {
            "type": ["number", "null"],
            "description": t("The contribution's standard error: the requests to compare with are a sample."),
        },
        "log_odds": number | {"description": t("What the field adds to the log-odds.")},
        "used": {"type": "boolean", "description": t("Whether any feature is computed from the field.")},
        "sentence": text,
    }
    optional = {"unit", "description"}
    listed = {
        "type": "object",
        "properties": field,
        "required": [one for one in field if one not in optional],
    }
    properties = {
        "labels": {
            "type": "object",
            "properties": {
                name: {"const": label} for name, label in zip(("negative", "positive"), labels, strict=True)
            },
            "required": ["negative", "positive"],
        },
        "probability": number,
        "base": number | {"description": t("The mean probability of the requests to compare with.")},
        "log_odds": number,
        "base_log_odds": number,
        "method": {"type": "string", "enum": ["exact", "sampled"]},
        "rows": {"type": "integer", "description": t("How many requests were compared with.")},
        "evaluations": {
            "type": "integer",
            "description": t("How many composed requests the model answered."),
        },
        "fields": {"type": "array", "items": listed, "description": t("The largest contribution first.")},
        "summary": {"type": "array", "items": text},
    }
    description = t("The base and all contributions add up to the probability.")
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }
