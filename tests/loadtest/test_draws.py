"""Requests drawn from a contract."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from relevo.errors import LoadTestError
from relevo.loadtest import bodies, draws
from relevo.loadtest.draws import Draw, draw
from relevo.loadtest.target import target
from support.loopback import answering, reply


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"const": 7}, Draw("choice", ([7],))),
        ({"type": "string", "enum": ["a", "b"]}, Draw("choice", (["a", "b"],))),
        ({"type": "boolean"}, Draw("choice", ([False, True],))),
        ({"type": ["boolean", "null"]}, Draw("choice", ([False, True, None],))),
        ({"type": "integer", "minimum": 18, "maximum": 99}, Draw("randint", (18, 99))),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 5}, Draw("randint", (1, 5))),
        ({"type": "integer", "minimum": 0, "maximum": 10, "multipleOf": 5}, Draw("choice", ([0, 5, 10],))),
        ({"type": "integer", "examples": [300]}, Draw("randint", (0, 600))),
        ({"type": "number", "minimum": 0, "maximum": 2.5}, Draw("uniform", (0.0, 2.5))),
        ({"type": "string", "pattern": "^x$", "examples": ["x"]}, Draw("choice", (["x"],))),
        ({"type": "string"}, Draw("choice", ([None],))),
    ],
)
def test_a_field_is_drawn_from_what_its_schema_says(schema: dict[str, Any], wanted: Draw) -> None:
    assert draw(schema) == wanted


def test_a_number_that_may_be_null_is_sometimes() -> None:
    method, (values,) = draw({"type": ["integer", "null"], "minimum": 1, "maximum": 3})
    assert (method, values) == ("choice", [1, 2, 3, None])


@pytest.mark.parametrize("example", ["2017-01-31", "2017-01-31 23:30:00", "2017-01-31T23:30:00"])
def test_dates_and_times_vary_in_their_own_form(example: str) -> None:
    (values,) = draw({"type": "string", "examples": [example]}).arguments
    assert values[0] == example
    assert len(values) > 40
    assert {len(value) for value in values} == {len(example)}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 10**400, "maximum": 1},
        {"type": "number", "minimum": -1e308, "maximum": 1e308},
        {"type": "number", "examples": [1e308]},
        {"type": "integer", "multipleOf": 2, "minimum": 0, "maximum": 10**40},
        {"type": ["number", "null"], "minimum": "x", "maximum": True},
        {"type": "string", "examples": ["9999-12-31", "9999-12-31 23:00:00", "\ud800"]},
        {"type": [], "enum": [], "examples": "no list"},
        {"type": "object"},
    ],
)
def test_a_strange_schema_is_drawn_from_all_the_same(schema: dict[str, Any]) -> None:
    rng = random.Random(0)
    for _ in range(50):
        json.dumps(draw(schema).value(rng), allow_nan=False).encode()


def document(schema: Any, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, **more}}
    return {"info": {"title": "a"}, "paths": {"/v1/predict": {"post": {"requestBody": {"content": content}}}}}


ROW = {"type": "object", "properties": {"a": {"type": "string", "examples": ["x"]}}}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (document(ROW), ["x"]),
        (document({"oneOf": [{"type": "array", "items": ROW}, ROW]}), ["x"]),
        (document({"$ref": "#/components/Row"}) | {"components": {"Row": ROW}}, ["x"]),
        (document(ROW, examples={"golden": {"value": {"a": "y"}}}), ["x", "y"]),
        (document(ROW, example=[{"a": "z"}]), ["x", "z"]),
    ],
)
def test_the_contract_is_found_in_an_openapi_document(found: dict[str, Any], wanted: list[str]) -> None:
    with answering(lambda _: reply(200, found)) as server:
        form = draws.form(target(server.url))
    assert form.fields == {"a": Draw("choice", (wanted,))}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"paths": NaN}',
        json.dumps(document({"$ref": "#/paths"})).encode(),
        json.dumps(document({"type": "object", "properties": {}})).encode(),
        json.dumps(document(ROW)).replace('"x"', "1e999").encode(),
        json.dumps({"paths": {"/v1/predict": 7}}).encode(),
    ],
)
def test_a_document_without_a_contract_asks_for_bodies(body: bytes) -> None:
    with answering(lambda _: reply(200, body)) as server, pytest.raises(LoadTestError, match="--body FILE"):
        draws.form(target(server.url))


def test_bodies_are_the_same_for_the_same_seed_and_vary() -> None:
    form = draws.Form("a", {"n": Draw("randint", (0, 10**9))})
    assert bodies.drawn(form, 3, 20) == bodies.drawn(form, 3, 20) != bodies.drawn(form, 4, 20)
    assert len(set(bodies.drawn(form, 3, 20))) == 20
