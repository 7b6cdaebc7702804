"""The service's OpenAPI document: FastAPI's, with predict's entry made from the contract that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.serving.explaining import MOST as MOST_EXPLAINED
from relevo.serving.problems import KINDS
from relevo.serving.recommend import MOST
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relevo.contract import Contract, Field
    from relevo.serving.recommend import Shelf
    from relevo.serving.served import Served

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "double": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string"},  # not "date-time": that has a time zone, these have none
}
_LIMITS = {
    "pattern": "pattern",
    "min_length": "minLength",
    "max_length": "maxLength",
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
_GUESSES: dict[str, Any] = {
    "text": "A",
    "integer": 1,
    "double": 1.5,
    "boolean": True,
    "date": "2017-01-31",
    "timestamp": "2017-01-31 23:30:00",
}
_EXPLAINED_REFUSALS = (400, 404, 413, 415, 422, 500, 503)


def field_schema(field: Field) -> dict[str, Any]:
    """JSON Schema (2020-12) of one field."""
    schema = dict(_TYPES[field.type])
    for name, keyword in _LIMITS.items():
        value = getattr(field, name)
        if value is None:
            continue
        if isinstance(value, str) and keyword != "pattern":  # a date's limit, which the schema cannot say
            schema["description"] = f"{schema.get('description', '')} {keyword}: {value}.".strip()
        else:
            schema[keyword] = value
    if field.choices is not None:
        schema["enum"] = list(field.choices)
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    if not field.required:
        schema["default"] = field.default
    parts = (field.description.rstrip("."), schema.get("description", ""))
    schema["description"] = ". ".join(filter(None, parts))
    if field.unit:
        schema["x-unit"] = field.unit
    schema["examples"] = list(field.examples) or [example(field)]
    return schema


def example(field: Field) -> Any:
    """A value that the form starts with."""
    if field.examples:
        return field.examples[0]
    if field.choices:
        return field.choices[0]
    if not field.required:
        return field.default
    limit = next((v for v in (field.ge, field.le) if v is not None), None)
    return _GUESSES[field.type] if limit is None else limit


def request_schema(contract: Contract) -> dict[str, Any]:
    """JSON Schema of one row."""
    return {
        "type": "object",
        "title": contract.name,
        "properties": {field.alias: field_schema(field) for field in contract.fields},
        "required": [field.alias for field in contract.fields if field.required],
        "additionalProperties": not contract.forbid_unknown,
        "examples": [{field.alias: example(field) for field in contract.fields}],
    }


def answer_schema(labels: tuple[str, str]) -> dict[str, Any]:
    """JSON Schema of one answer; ``labels`` are (negative, positive)."""
    negative, positive = labels
    properties: dict[str, Any] = {
        "id": {
            "type": "string",
            "format": "uuid",
            "description": t("The prediction's id (UUIDv7), as logged."),
        },
        "probability": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": t("The calibrated probability of “{label}”.", label=positive),
        },
        "decision": {"type": "boolean", "description": t("Whether the probability reaches the threshold.")},
        "label": {"type": "string", "enum": [negative, positive], "description": t("The decision in words.")},
        "threshold": {"type": "number"},
        "version": {"type": "string", "description": t("The model's version that answered.")},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def predict_path(served: Served | None, *, max_rows: int, max_body: int) -> dict[str, Any]:
    """Predict's entry; with a bare object as its schema while there is no version that answers."""
    labels = served.package.labels if served else ("", "")
    row = request_schema(served.package.request) if served else {"type": "object"}
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    answer = answer_schema(labels)
    answer["properties"]["explanation"] = explanation_schema(labels)
    answers: dict[str, Any] = {
        "200": {
            "description": t("One answer for an object; a list in the same order for a list."),
            "content": {
                "application/json": {"schema": {"oneOf": [answer, {"type": "array", "items": answer}]}}
            },
        }
    }
    answers |= _refused(_EXPLAINED_REFUSALS)
    return {
        "post": {
            "parameters": [
                {
                    "name": "explain",
                    "in": "query",
                    "description": t(
                        "Add to each answer what each field of the request adds to it; at most {most} rows then.",
                        most=MOST_EXPLAINED,
                    ),
                    "schema": {"type": "boolean", "default": False},
                }
            ],
            "summary": t("Predict one row or a list of rows."),
            "description": t(
                "At most {rows} rows and {bytes} bytes. Every answered prediction is logged.",
                rows=max_rows,
                bytes=max_body,
            ),
            "operationId": "predict",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"oneOf": [row, many]}}},
            },
            "responses": answers,
        }
    }


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


def explain_path(served: Served | None, *, max_body: int) -> dict[str, Any]:
    """Explain's entry; with a bare object as its schema while there is no version that answers."""
    labels = served.package.labels if served else ("", "")
    row = request_schema(served.package.request) if served else {"type": "object"}
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_EXPLAINED}
    whole = answer_schema(labels)["properties"] | {"explanation": explanation_schema(labels)}
    del whole["id"]
    answer = {"type": "object", "properties": whole, "required": list(whole)}
    told = {"oneOf": [answer, {"type": "array", "items": answer}]}
    answers = {
        "200": {
            "description": t("One answer for an object; a list in the same order for a list."),
            "content": {"application/json": {"schema": told}},
        }
    }
    return {
        "post": {
            "summary": t("Say what each field of a request adds to the probability."),
            "description": t(
                "At most {rows} rows and {bytes} bytes. No prediction is logged. The sentences are in English or"
                " Spanish, by Accept-Language.",
                rows=MOST_EXPLAINED,
                bytes=max_body,
            ),
            "operationId": "explain",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"oneOf": [row, many]}}},
            },
            "responses": answers | _refused(_EXPLAINED_REFUSALS),
        }
    }


def _refused(statuses: Iterable[int]) -> dict[str, Any]:
    return {
        str(status): {
            "description": " ".join(kind.title() for kind in KINDS.values() if kind.status == status),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def recommend_path(shelf: Shelf | None) -> dict[str, Any]:
    """Entry of recommend by its path; none when the version that answers recommends nothing."""
    if shelf is None:
        return {}
    by, item = shelf.by, shelf.item
    brief = answer_schema(shelf.package.labels)
    shown = {name: brief["properties"][name] for name in ("id", "probability", "decision", "label")}
    entry = {"type": "object", "properties": {item.alias: field_schema(item), **shown}}
    listed = {"type": "array", "items": {**entry, "required": list(entry["properties"])}}
    answer = {by.alias: field_schema(by), "version": {"type": "string"}, "recommendations": listed}
    k = {"type": "integer", "minimum": 1, "maximum": MOST, "default": shelf.k}
    summary = t("The likeliest values of “{item}” for one “{by}”.", item=item.alias, by=by.alias)
    schema = {"type": "object", "properties": answer, "required": list(answer)}
    return {
        f"/v1/recommend/{{{by.alias}}}": {
            "get": {
                "summary": summary,
                "description": t("Every recommendation that is answered is logged as a prediction."),
                "operationId": "recommend",
                "parameters": [
                    {
                        "name": by.alias,
                        "in": "path",
                        "required": True,
                        "schema": field_schema(by),
                        "example": example(by),
                    },
                    {"name": "k", "in": "query", "description": t("How many."), "schema": k},
                ],
                "responses": {
                    "200": {
                        "description": t("The likeliest first."),
                        "content": {"application/json": {"schema": schema}},
                    },
                    **_refused((422, 500, 503)),
                },
            }
        }
    }


def other_paths(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Give FastAPI's entries of the other routes their summaries, and leave the two about themselves out."""
    summaries = {
        "/v1/model": t("The version that answers: its release, metrics, features and contract."),
        "/health": t("Whether the process lives."),
        "/ready": t("Whether there is a version that answers; 503 until there is."),
        "/metrics": t("Counters in Prometheus' text format."),
    }
    return {
        path: {"get": {**paths[path]["get"], "summary": summary, "description": summary}}
        for path, summary in summaries.items()
    }


def problem_schema() -> dict[str, Any]:
    """JSON Schema of a problem (RFC 9457)."""
    problem = {
        "type": "object",
        "properties": {
            "row": {"type": "integer", "description": t("Place in the list, from 0.")},
            "field": {"type": "string"},
            "problem": {"type": "string"},
        },
        "required": ["field", "problem"],
    }
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string", "description": t("What is wrong with the version to be taken.")},
            "problems": {"type": "array", "items": problem},
        },
        "required": ["type", "title", "status", "detail"],
    }
