"""The OpenAPI entry of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.serving import openapi
from relevo.serving.labelling import ID
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.serving.served import Served


def labels_path(served: Served | None, *, max_rows: int) -> dict[str, Any]:
    """The entry of labels."""
    negative, positive = served.package.labels if served else ("", "")
    outcome = {"anyOf": [{"type": "boolean"}, {"type": "string", "enum": [negative, positive]}]}
    moment = {"type": "string", "format": "date-time"}
    request = served.package.request.fields if served else ()
    fields = {field.alias: openapi.field_schema(field) for field in request}
    properties: dict[str, Any] = {
        "id": {
            "type": "string",
            "pattern": f"^{ID.pattern}$",
            "description": t("The prediction's id, as it was answered."),
        },
        "key": {
            "type": "object",
            "minProperties": 1,
            "properties": fields,
            "additionalProperties": not fields,
            "description": t("In place of id: some of the request's fields."),
        },
        "time": {**moment, "description": t("With key: the newest prediction asked by then is meant.")},
        "outcome": {**outcome, "description": t("What came true.")},
        "at": {**moment, "type": ["string", "null"], "description": t("When it came true.")},
    }
    one = {
        "type": "object",
        "properties": properties,
        "required": ["outcome"],
        "oneOf": [
            {"required": ["id"], "not": {"anyOf": [{"required": ["key"]}, {"required": ["time"]}]}},
            {"required": ["key", "time"], "not": {"required": ["id"]}},
        ],
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
                **openapi.refused(openapi.REFUSALS),
            },
        }
    }
