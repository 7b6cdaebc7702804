"""The service's OpenAPI document: FastAPI's, with predict's entry made from the contract that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
_REFUSALS = (400, 413, 415, 422, 500, 503)


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
    properties = {
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
    answers: dict[str, Any] = {
        "200": {
            "description": t("One answer for an object; a list in the same order for a list."),
            "content": {
                "application/json": {"schema": {"oneOf": [answer, {"type": "array", "items": answer}]}}
            },
        }
    }
    answers |= _refused(_REFUSALS)
    return {
        "post": {
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


def labels_path(served: Served | None, *, max_rows: int) -> dict[str, Any]:
    """The entry of labels."""
    negative, positive = served.package.labels if served else ("", "")
    outcome = {"anyOf": [{"type": "boolean"}, {"type": "string", "enum": [negative, positive]}]}
    moment = {"type": "string", "format": "date-time"}
    properties: dict[str, Any] = {
        "id": {
            "type": "string",
            "format": "uuid",
            "description": t("The prediction's id, as it was answered."),
        },
        "key": {
            "type": "object",
            "minProperties": 1,
            "description": t("In place of id: some of the request's fields."),
        },
        "time": {**moment, "description": t("With key: the newest prediction asked by then is meant.")},
        "outcome": {**outcome, "description": t("What came true.")},
        "at": {**moment, "description": t("When it came true.")},
    }
    one = {
        "type": "object",
        "properties": properties,
        "required": ["outcome"],
        "oneOf": [{"required": ["id"]}, {"required": ["key", "time"]}],
        "additionalProperties": False,
    }
    shown = {
        "id": {"type": "string"},
        "received_at": moment,
        "outcome": {"type": "boolean"},
        "label": {"type": "string"},
    }
    kept = {"type": "object", "required": list(shown), "properties": shown}
    many = {"type": "array", "minItems": 1, "maxItems": max_rows, "items": one}
    answer = {"oneOf": [kept, {"type": "array", "items": kept}]}
    return {
        "post": {
            "summary": t("Say what came true of one prediction or of a list."),
            "description": t("All are kept or none. The same label twice counts once; the newest counts."),
            "operationId": "label",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"oneOf": [one, many]}}},
            },
            "responses": {
                "200": {
                    "description": t("What was kept, in the same order."),
                    "content": {"application/json": {"schema": answer}},
                },
                **_refused(_REFUSALS),
            },
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
