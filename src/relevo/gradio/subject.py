"""What a page is about: fields, labels and examples, read from the OpenAPI document of the service."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from relevo.errors import ServiceError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {"string": "text", "integer": "integer", "number": "double", "boolean": "boolean"}
_FORMATS = {"date": "date", "date-time-local": "timestamp"}
_LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_RECOMMEND = "/v1/recommend/{"


@dataclass(frozen=True)
class Field:
    """One field of the request, as the contract has it; limits of dates are texts."""

    name: str
    kind: str
    """text, integer, double, boolean, date or timestamp."""
    required: bool
    nullable: bool
    default: Any
    choices: tuple[str | int, ...] | None
    description: str
    unit: str
    examples: tuple[Any, ...]
    limits: Mapping[str, Any]
    """Of ``minimum``, ``exclusiveMinimum``, ``maximum``, ``exclusiveMaximum``, ``minLength``, ``maxLength``,
    ``pattern`` those that there are."""


@dataclass(frozen=True)
class Subject:
    """A page's subject. ``by`` and ``k`` say whom recommendations are for, and how many there are."""

    project: str
    version: str
    labels: tuple[str, str]
    """Negative, positive."""
    fields: tuple[Field, ...]
    examples: Mapping[str, Mapping[str, Any]]
    """Requests by the name of what they are an example of."""
    by: Field | None
    k: int
    digest: str
    """Of all that a page is made from: not of the version."""


def read(document: Mapping[str, Any]) -> Subject | None:
    """Read a document; None while no version answers. Raises ``ServiceError`` when it is none of the service's."""
    try:
        post = document["paths"]["/v1/predict"]["post"]
        content = post["requestBody"]["content"]["application/json"]
        row = content["schema"]["oneOf"][0]
        if "properties" not in row:
            return None
        required = set(row["required"])
        fields = tuple(_field(name, one, name in required) for name, one in row["properties"].items())
        answer = post["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]
        negative, positive = answer["properties"]["label"]["enum"]
        examples = {one["summary"]: one["value"] for one in content.get("examples", {}).values()}
        by, k = _recommended(document["paths"])
        info = document["info"]
        made_from = orjson.dumps([info["title"], row, negative, positive, examples, by and by.examples, k])
        return Subject(
            info["title"],
            info["version"],
            (negative, positive),
            fields,
            examples,
            by,
            k,
            sha256(made_from).hexdigest()[:12],
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        said = t("What answers there is no service of Relevo, or of another version: {error}.", error=error)
        raise ServiceError(said) from error


def _field(name: str, schema: Mapping[str, Any], required: bool) -> Field:  # noqa: FBT001 - of the schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kind = _FORMATS.get(schema.get("format", ""), _KINDS[types[0]])
    limits = {one: schema[one] for one in (*_LIMITS, "minLength", "maxLength", "pattern") if one in schema}
    limits |= {one: schema[f"x-{one}"] for one in _LIMITS if f"x-{one}" in schema}
    choices = schema.get("enum")
    return Field(
        name,
        kind,
        required,
        "null" in types,
        schema.get("default"),
        tuple(one for one in choices if one is not None) if choices is not None else None,
        _description(schema),
        schema.get("x-unit", ""),
        tuple(schema.get("examples", ())),
        limits,
    )


def _description(schema: Mapping[str, Any]) -> str:
    """The contract's own words, without the limits of a date, which the page says itself."""
    said = str(schema.get("description", ""))
    for name in reversed(_LIMITS):
        said = said.removesuffix(f"{name}: {schema.get(f'x-{name}')}.").rstrip()
    return said.rstrip(".")


def _recommended(paths: Mapping[str, Any]) -> tuple[Field | None, int]:
    for path, entry in paths.items():
        if path.startswith(_RECOMMEND):
            key, k = entry["get"]["parameters"]
            return _field(key["name"], key["schema"], required=True), int(k["schema"]["default"])
    return None, 0
