"""The service's OpenAPI document: FastAPI's, with predict's entry made from the contract that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from relevo.serving.explained import explanation_schema
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
    "timestamp": {
        "type": "string",
        "format": "date-time-local",
    },  # of OpenAPI's registry: without a time zone
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
REFUSALS = (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503)
EXAMPLE_ID = "01a1feb0-e214-7000-81aa-86436d8ca86e"


def field_schema(field: Field) -> dict[str, Any]:
    """JSON Schema (2020-12) of one field."""
    schema = dict(_TYPES[field.type])
    for name, keyword in _LIMITS.items():
        value = getattr(field, name)
        if value is None:
            continue
        if isinstance(value, str) and keyword != "pattern":  # a date's limit, which the schema cannot say
            schema["description"] = f"{schema.get('description', '')} {keyword}: {value}.".strip()
            schema[f"x-{keyword}"] = value
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
    examples = golden(served) if served else {}
    row = request_schema(served.package.request) if served else {"type": "object"}
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    answer = answer_schema(labels)
    answer["properties"]["explanation"] = explanation_schema(labels)
    answers: dict[str, Any] = {
        "200": {
            "description": t("One answer for an object; a list in the same order for a list."),
            "content": {
                "application/json": {
                    "schema": {"oneOf": [answer, {"type": "array", "items": answer}]},
                    **_examples({name: given for name, (_, given) in examples.items()}),
                }
            },
        }
    }
    answers |= refused(REFUSALS)
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
                },
                {
                    "name": "log",
                    "in": "query",
                    "description": t(
                        "Without it the champion answers, and nothing is logged or counted; it needs the scope “read”"
                        " besides. The ids are in no log then."
                    ),
                    "schema": {"type": "boolean", "default": True},
                },
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
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [row, many]},
                        **_examples({name: asked for name, (asked, _) in examples.items()}),
                    }
                },
            },
            "responses": answers,
        }
    }


def golden(served: Served) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Requests that the package brings, with its exact answers: those that differ most, by name.

    Where histories are looked up the answers are those of the time of packaging.
    """
    package = served.package
    rows = sorted(package.golden, key=lambda row: float(row["probability"]))
    chosen = {t("least likely"): rows[:1], t("median"): rows[len(rows) // 2 :][:1], t("likeliest"): rows[-1:]}
    found = {}
    for name, picked in chosen.items():
        for row in picked:
            decision = bool(row["decision"])
            answer = {
                "id": EXAMPLE_ID,
                "probability": row["probability"],
                "decision": decision,
                "label": package.labels[decision],
                "threshold": package.threshold,
                "version": served.version.version,
            }
            found[name] = (row["request"], answer)
    return found


def _examples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write examples as OpenAPI has them; none where there are none."""
    if not values:
        return {}
    return {
        "examples": {
            name.replace(" ", "-"): {"summary": name, "value": value} for name, value in values.items()
        }
    }


def json_text(value: Any) -> str:
    """Write an example as JSON on one line."""
    return orjson.dumps(value).decode()


def refused(statuses: Iterable[int]) -> dict[str, Any]:
    """Entries of refusals by status."""
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
                        "schema": {**field_schema(by), "examples": _known(shelf)},
                        "example": example(by),
                    },
                    {"name": "k", "in": "query", "description": t("How many."), "schema": k},
                ],
                "responses": {
                    "200": {
                        "description": t("The likeliest first."),
                        "content": {"application/json": {"schema": schema}},
                    },
                    **refused((422, 500, 503)),
                },
            }
        }
    }


def _known(shelf: Shelf) -> list[Any]:
    """Values that can be asked about: the requests in the package, and the contract's own examples."""
    by = shelf.by
    asked = [row["request"].get(by.alias) for row in shelf.package.golden]
    return list(dict.fromkeys(value for value in [*asked, *by.examples] if value is not None)) or [
        example(by)
    ]


def other_paths(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Give FastAPI's entries of the other routes their summaries, and leave the two about themselves out."""
    summaries = {
        "/v1/model": t("The version that answers: its release, metrics, features and contract."),
        "/health": t("Whether the process lives."),
        "/ready": t("Whether there is a version that answers; 503 until there is."),
        "/metrics": t("Counters in Prometheus' text format."),
    }
    found = {}
    for path, summary in summaries.items():
        answers: dict[str, Any] = {
            "200": {"description": summary, "content": {"application/json": {"schema": {}}}}
        }
        if path == "/metrics":
            answers["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
        elif path != "/health":
            answers |= refused((503,))
        entry = {**paths[path]["get"], "summary": summary, "description": summary, "responses": answers}
        found[path] = {"get": entry}
    return found


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
