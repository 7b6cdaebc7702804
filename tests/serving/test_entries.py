"""The OpenAPI document: valid, complete, and with examples that are true."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from relevo.package import ModelPackage
from support import asgi, small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.asgi import Asker

JSON = {"content-type": "application/json"}


def golden(folder: Path, count: int = 30) -> list[dict[str, Any]]:
    """Rows as ``pack`` makes them."""
    small.write(folder)
    package = ModelPackage.load(folder)
    rng = random.Random(3)
    found = []
    for _ in range(count):
        request = small.request(rng)
        features = package.features(request)
        probability = float(package.score([features])[0])
        found.append(
            {
                "request": small.body(request),
                "features": list(features),
                "probability": probability,
                "decision": probability >= package.threshold,
            }
        )
    return found


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    rows = golden(tmp_path_factory.mktemp("draft"))
    with asgi.asking(tmp_path_factory.mktemp("served"), {"golden": rows}) as asker:
        yield asker


def test_the_document_is_valid(ask: Asker) -> None:
    document = ask("GET", "/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    spanish = ask("GET", "/openapi.json", headers={"accept-language": "es"}).json()
    OpenAPIV31SpecValidator(spanish).validate()
    assert spanish["paths"]["/v1/score"]["post"]["summary"] == "Califica un flujo de filas."


def test_it_is_valid_before_there_is_a_model(tmp_path: Path) -> None:
    with asgi.asking(tmp_path, release="") as nothing:
        document = nothing("GET", "/openapi.json").json()
        OpenAPIV31SpecValidator(document).validate()
        assert "/v1/score" in document["paths"]


def test_golden_rows_are_examples_that_are_answered_so(ask: Asker) -> None:
    operation = ask("GET", "/openapi.json").json()["paths"]["/v1/predict"]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["examples"]
    told = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert set(asked) == set(told) == {"least-likely", "median", "likeliest"}
    import orjson

    for name, example in asked.items():
        answer = ask("POST", "/v1/predict", orjson.dumps(example["value"]), JSON).json()
        assert {**answer, "id": ""} == {**told[name]["value"], "id": ""}


def test_the_examples_of_streams_and_tensors_are_answered(ask: Asker) -> None:
    import orjson

    paths = ask("GET", "/openapi.json").json()["paths"]
    for media, content in paths["/v1/score"]["post"]["requestBody"]["content"].items():
        if "example" in content:
            heard = ask("POST", "/v1/score", content["example"].encode(), {"content-type": media})
            assert heard.status == 200
            told = paths["/v1/score"]["post"]["responses"]["200"]["content"][media]["example"]
            assert heard.body.count(b"\n") == told.count("\n")
            assert b"late" in heard.body or b"on time" in heard.body
    request = paths["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"][
        "example"
    ]
    assert ask("POST", "/v2/models/flights/infer", orjson.dumps(request), JSON).status == 200


def test_every_route_is_described(ask: Asker) -> None:
    described = {
        path.replace("{name}", "flights").replace("{version}", "1.0.0")
        for path in ask("GET", "/openapi.json").json()["paths"]
    }
    unlisted = {"/openapi.json", "/docs", "/v2/", "/v1/recommend/{key:path}"}
    for route in ask.app.admin.rest.routes:
        path = str(getattr(route, "path", "")).replace("{name}", "flights").replace("{version}", "1.0.0")
        assert path in described | unlisted
