"""OpenAPI entries of the routes with a format of their own: streams, and the Open Inference Protocol."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from relevo.serving import explained, openapi
from relevo.serving.asking import FORMATS
from relevo.serving.door import OPEN
from relevo.serving.explaining import MOST as MOST_EXPLAINED
from relevo.serving.incoming import LONGEST
from relevo.serving.outgoing import COLUMNS
from relevo.serving.tensors import DATATYPES, OUTPUTS, TENSOR_TYPES
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.contract import Contract
    from relevo.serving.served import Served

_ARROW = "application/vnd.apache.arrow.stream"
_SCORE_REFUSALS = (400, 406, 408, 409, 412, 415, 422, 500, 503)
_INFER_REFUSALS = (400, 404, 413, 415, 422, 500, 503)


def score_path(served: Served | None) -> dict[str, Any]:
    """Entry of the stream."""
    contract = served.package.request if served else None
    version = served.version.version if served else "1.0.0"
    parameters: list[dict[str, Any]] = [
        {
            "name": "offset",
            "in": "query",
            "description": t(
                "Rows of the body that are read and not scored: the number of the last row answered."
            ),
            "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "default": 0},
        },
        {
            "name": "version",
            "in": "query",
            "description": t("The version that must answer; 409 when it is another."),
            "schema": {"type": "string", "enum": [version]},
        },
        {
            "name": "If-Match",
            "in": "header",
            "description": t("The same as an entity tag; 412 when it is another."),
            "schema": {"type": "string", "enum": [f'"{version}"', "*"]},
        },
    ]
    answers: dict[str, Any] = {
        "200": {
            "description": t(
                "One row for each row, in order; a refused one has “error” in place of the answer."
            ),
            "headers": {
                "x-relevo-version": {
                    "description": t("The model's version that answered."),
                    "schema": {"type": "string"},
                }
            },
            "content": _written(version, served.package.labels if served else ("no", "yes")),
        }
    }
    return {
        "/v1/score": {
            "post": {
                "summary": t("Score a stream of rows."),
                "description": t(
                    "CSV with a header, JSON lines or Arrow's IPC stream format, of any length, in rows of at most"
                    " {longest} bytes. The answer streams while the body is read. Every answered prediction is logged.",
                    longest=LONGEST,
                ),
                "operationId": "score",
                "parameters": parameters,
                "requestBody": {"required": True, "content": _read(contract)},
                "responses": answers | openapi.refused(_SCORE_REFUSALS),
            }
        }
    }


def _read(contract: Contract | None) -> dict[str, Any]:
    fields = contract.fields if contract else ()
    header = ",".join(_cell(field.alias) for field in fields)
    values = {field.alias: openapi.example(field) for field in fields}
    line = ",".join(_cell("" if value is None else str(value)) for value in values.values())
    lines = openapi.json_text(values) + "\n"
    csv: dict[str, Any] = (
        {"type": "string", "pattern": f"^{_escaped(header)}\\n"} if fields else {"type": "string"}
    )
    schemas = {
        "text/csv": {"schema": csv, "example": f"{header}\n{line}\n"},
        _ARROW: {"schema": {"type": "string", "format": "binary"}},
    }
    # JSON lines have no schema: whatever a line holds, it is answered, if only with its error.
    return {media: schemas.get(media, {"example": lines}) for media in FORMATS}


def _escaped(text: str) -> str:
    """Escape for ECMA-262, whose expressions know fewer escapes than Python's."""
    return re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", text)


def _cell(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if quoted != text or any(mark in text for mark in ",\n\r") else text


def _written(version: str, labels: tuple[str, str]) -> dict[str, Any]:
    row = {
        "row": 1,
        "id": openapi.EXAMPLE_ID,
        "probability": 0.31,
        "decision": True,
        "label": labels[1],
        "version": version,
    }
    header = ",".join(column.name for column in COLUMNS)
    line = ",".join(_cell("true" if value is True else str(value)) for value in row.values()) + ","
    examples = {"text/csv": f"{header}\n{line}\n", _ARROW: None}
    found = {}
    for media in FORMATS:
        example = examples.get(media, openapi.json_text(row) + "\n")
        schema = {"type": "string"} | ({} if example else {"format": "binary"})
        found[media] = {"schema": schema} | ({"example": example} if example else {})
    return found


def inference_paths(served: Served | None, project: str, *, max_rows: int) -> dict[str, Any]:
    """Entries of the Open Inference Protocol."""
    version = served.version.version if served else "1.0.0"
    name = _path_parameter("name", t("The project."), project)
    number = _path_parameter("version", t("The version that answers; no other can be asked for."), version)
    flag = {"type": "boolean"}
    live = _object(live=flag)
    server = _object(
        name={"type": "string"}, version={"type": "string"}, extensions=_list({"type": "string"})
    )
    paths = {
        "/v2": _get("inferenceServer", t("The server, as the Open Inference Protocol has it."), server),
        "/v2/health/live": _get("inferenceLive", t("Whether the process lives."), live),
        "/v2/health/ready": _get(
            "inferenceReady",
            t("Whether there is a version that answers; 503 until there is."),
            _object(live=flag, ready=flag),
            also=(503,),
        ),
    }
    for suffix, base, parameters in (
        ("", "/v2/models/{name}", [name]),
        ("Version", "/v2/models/{name}/versions/{version}", [name, number]),
    ):
        entries = {
            base: _get(f"inferenceModel{suffix}", t("The model's tensors."), _metadata(), failing=(404, 503)),
            f"{base}/ready": _get(
                f"inferenceModelReady{suffix}",
                t("Whether there is a version that answers; 503 until there is."),
                _object(name={"type": "string"}, ready=flag),
                failing=(404,),
                also=(503,),
            ),
            f"{base}/infer": _infer(f"infer{suffix}", served, max_rows),
        }
        paths |= {path: {"parameters": parameters, **entry} for path, entry in entries.items()}
    return paths


def _path_parameter(name: str, description: str, value: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": [value]}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


def _json(schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, **more}}}


def _get(
    operation: str,
    summary: str,
    schema: dict[str, Any],
    *,
    failing: tuple[int, ...] = (),
    also: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Write an entry; ``also`` are statuses with the same answer, ``failing`` those with the protocol's error."""
    answers = {str(status): _json(schema, summary) for status in (200, *also)}
    return {"get": {"summary": summary, "operationId": operation, "responses": answers | _failing(failing)}}


def _failing(statuses: tuple[int, ...]) -> dict[str, Any]:
    error = _object(error={"type": "string"})
    return {status: _json(error, entry["description"]) for status, entry in openapi.refused(statuses).items()}


def _metadata() -> dict[str, Any]:
    text = {"type": "string"}
    tensor = _object(name=text, datatype=text, shape=_list({"type": "integer"}))
    return _object(
        name=text, versions=_list(text), platform=text, inputs=_list(tensor), outputs=_list(tensor)
    )


def _infer(operation: str, served: Served | None, max_rows: int) -> dict[str, Any]:
    text, free = {"type": "string"}, {"type": ["object", "null"]}
    value = {"type": ["string", "number", "boolean", "null"]}
    tensor = {
        **_object(
            name=text,
            shape=_list({"type": "integer", "minimum": 1, "maximum": max_rows}, minItems=1, maxItems=2),
            datatype={"type": "string", "enum": [*TENSOR_TYPES]},
            data={"anyOf": [_list(value), _list(_list(value, minItems=1, maxItems=1))]},
        )
    }
    tensor["properties"] = {**tensor["properties"], "parameters": free}
    output = {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": [*OUTPUTS]}, "parameters": free},
        "required": ["name"],
    }
    request = {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": free,
            "inputs": _list(tensor, minItems=1),
            "outputs": _list(output) | {"type": ["array", "null"]},
        },
        "required": ["inputs"],
    }
    made = _object(name=text, shape=_list({"type": "integer"}), datatype=text, data=_list(value))
    answer = _object(model_name=text, model_version=text, outputs=_list(made))
    answer["properties"]["id"] = text
    return {
        "post": {
            "summary": t("Predict rows given as tensors, one for each field."),
            "description": t(
                "Of the shape [n] or [n, 1], with at most {rows} rows. Every answered prediction is logged.",
                rows=max_rows,
            ),
            "operationId": operation,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": request, "example": _example(served)}},
            },
            "responses": {
                "200": _json(answer, t("The outputs that were asked for, or all.")),
                **_failing(_INFER_REFUSALS),
            },
        }
    }


def _example(served: Served | None) -> dict[str, Any]:
    fields = served.package.request.fields if served else ()
    inputs = [
        {
            "name": field.alias,
            "shape": [1],
            "datatype": DATATYPES[field.type],
            "data": [openapi.example(field)],
        }
        for field in fields
    ]
    return {"id": "1", "inputs": inputs}


def explain_path(served: Served | None, *, max_body: int) -> dict[str, Any]:
    """Explain's entry; with a bare object as its schema while there is no version that answers."""
    labels = served.package.labels if served else ("", "")
    row = openapi.request_schema(served.package.request) if served else {"type": "object"}
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_EXPLAINED}
    whole = openapi.answer_schema(labels)["properties"] | {
        "explanation": explained.explanation_schema(labels)
    }
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
            "responses": answers | openapi.refused(openapi.REFUSALS),
        }
    }


def schemes() -> dict[str, Any]:
    """The ways to say who asks."""
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": t("A key, or a token of the provider."),
        },
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": t("A key.")},
    }


def guarded(paths: dict[str, Any], *, needed: bool) -> dict[str, Any]:
    """Entries with what is answered to those who may not ask; a key is said to be needed where it is."""
    statuses = (401, 403, 429, 503)
    for path, methods in paths.items():
        if path in OPEN:
            continue
        told = _failing(statuses) if path.startswith("/v2") else openapi.refused(statuses)
        for method, entry in methods.items():
            if method == "parameters":
                continue
            entry["responses"] = told | entry["responses"]
            if needed:
                entry["security"] = [{"bearer": []}, {"key": []}]
    return paths
