"""The Open Inference Protocol: each API of the specification, with its shapes, over the one prediction path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support import asgi, small
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.asgi import Asker, Heard
    from support.service import Service

MODEL = "/v2/models/flights"
INFER = f"{MODEL}/infer"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with asgi.asking(tmp_path_factory.mktemp("served")) as asker:
        yield asker


def infer(ask: Asker, request: Any, path: str = INFER, **headers: str) -> Heard:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return ask("POST", path, body, {"content-type": "application/json"} | headers)


def inputs(rows: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """An inference request of rows; ``changes`` replace what each tensor holds."""
    names = list(rows[0])
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": "BYTES",
                "data": [row[name] for row in rows],
                **changes,
            }
            for name in names
        ]
    }


def one(**changes: Any) -> dict[str, Any]:
    """A request of one row, whose first tensor is changed."""
    request = inputs([GOOD])
    request["inputs"][0].update(changes)
    return request


def test_the_server_and_its_health_are_told(ask: Asker) -> None:
    server = ask("GET", "/v2")
    assert (server.status, set(server.json())) == (200, {"name", "version", "extensions"})
    assert ask("GET", "/v2/health/live").json() == {"live": True}
    assert ask("GET", "/v2/health/ready").json() == {"live": True, "ready": True}
    for path in (f"{MODEL}/ready", f"{MODEL}/versions/1.0.0/ready"):
        assert ask("GET", path).json() == {"name": "flights", "ready": True}


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1.0.0"])
def test_the_model_is_described_by_its_tensors(ask: Asker, path: str) -> None:
    found = ask("GET", path).json()
    assert (found["name"], found["versions"], found["platform"]) == ("flights", ["1.0.0"], "relevo")
    assert found["inputs"] == [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in GOOD]
    kinds = {"probability": "FP64", "decision": "BOOL", "label": "BYTES", "id": "BYTES"}
    assert found["outputs"] == [
        {"name": name, "datatype": kind, "shape": [-1]} for name, kind in kinds.items()
    ]


def test_rows_are_answered_as_predict_answers_them(ask: Asker) -> None:
    import random

    rng = random.Random(0)
    rows = [small.body(small.request(rng)) for _ in range(700)]
    found = infer(ask, {"id": "42", **inputs(rows), "parameters": {"content_type": "pd"}}).json()
    expected = ask("POST", "/v1/predict", json.dumps(rows).encode(), {"content-type": "application/json"})
    assert {k: v for k, v in found.items() if k != "outputs"} == {
        "model_name": "flights",
        "model_version": "1.0.0",
        "id": "42",
    }
    outputs = {output["name"]: output for output in found["outputs"]}
    assert list(outputs) == ["probability", "decision", "label", "id"]
    for name, datatype in (("probability", "FP64"), ("decision", "BOOL"), ("label", "BYTES")):
        assert outputs[name] == {
            "name": name,
            "shape": [700],
            "datatype": datatype,
            "data": [answer[name] for answer in expected.json()],
        }
    assert len(set(outputs["id"]["data"])) == 700


def test_nested_data_a_field_s_own_name_and_requested_outputs(ask: Asker) -> None:
    request = inputs([GOOD])
    for tensor in request["inputs"]:
        tensor["shape"], tensor["data"] = [1, 1], [tensor["data"]]
    request["inputs"][3]["name"] = "airline"
    request["outputs"] = [{"name": "label", "parameters": {"content_type": "str"}}, {"name": "decision"}]
    found = infer(ask, request).json()
    assert "id" not in found
    assert [output["name"] for output in found["outputs"]] == ["label", "decision"]


def test_a_null_is_null_and_a_tensor_left_out_takes_the_default(ask: Asker) -> None:
    with_null = infer(ask, inputs([{**GOOD, "Vlo-I": None}])).json()
    without = infer(ask, inputs([{name: value for name, value in GOOD.items() if name != "Vlo-I"}])).json()
    assert with_null["outputs"][0] == without["outputs"][0]


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (b"{", 400, "The body is not JSON."),
        (b"[]", 400, "it is no object"),
        ({}, 400, "it has no “inputs”"),
        ({"inputs": {}}, 400, "“inputs” must be a list of objects"),
        ({"id": 42, **inputs([GOOD])}, 400, "“id” must be a text"),
        (one(name=1), 400, "“name” must be a text"),
        (one(shape=[2], data=["a", "b"]), 400, "“Vlo-I” has 1 rows and the tensor before it 2"),
        (one(shape=[1, 2]), 400, "the shape of “Fecha-I” must be [n] or [n, 1]"),
        (one(shape=[True]), 400, "the shape of “Fecha-I” must be [n] or [n, 1]"),
        (one(shape=[0], data=[]), 400, "“Fecha-I” has no rows"),
        (one(data=["a", "b"]), 400, "the data of “Fecha-I” are not those 1 values of its shape"),
        (one(data="a"), 400, "the data of “Fecha-I” are not those 1 values of its shape"),
        (one(datatype="TEXT"), 400, "the datatype of “Fecha-I” is none of the protocol's"),
        (one(datatype=[]), 400, "the datatype of “Fecha-I” is none of the protocol's"),
        (one(datatype="UINT8", data=[256]), 400, "are not of the datatype UINT8"),
        (one(datatype="INT64", data=[True]), 400, "are not of the datatype INT64"),
        (one(datatype="FP32"), 400, "are not of the datatype FP32"),
        (one(name="Des-I"), 400, "“Des-I” is given twice"),
        (one(parameters={"binary_data_size": 9}), 415, "Binary tensors are not read or written."),
        ({**inputs([GOOD]), "parameters": 1}, 400, "“parameters” must be an object"),
        ({**inputs([GOOD]), "outputs": [{"name": "x"}]}, 400, "there is no output “x”"),
        ({**inputs([GOOD]), "parameters": {"binary_data_output": True}}, 415, "Binary tensors"),
        (inputs([{**GOOD, "TIPOVUELO": "O"}]), 422, "TIPOVUELO: must be one of: I, N."),
        (inputs([{"Vlo-I": "22"}]), 422, "Fecha-I: is required and absent."),
        (inputs([GOOD] * 10_001), 413, "At most 10000 rows"),
        (b" " * ((1 << 20) + 1), 413, "The body is too large."),
    ],
)
def test_errors_have_the_protocol_s_shape(ask: Asker, request_: Any, status: int, said: str) -> None:
    found = infer(ask, request_)
    assert (found.status, list(found.json())) == (status, ["error"])
    assert said in found.json()["error"]
    assert found.headers["content-type"] == "application/json"


def test_errors_speak_spanish_when_asked(ask: Asker) -> None:
    found = infer(ask, one(shape=[0]), **{"accept-language": "es"})
    assert "“Fecha-I” no tiene filas" in found.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", f"{MODEL}/versions/1.0.1", 404),
        ("GET", f"{MODEL}/versions/1.0.1/ready", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", f"{MODEL}/versions/1.0.1/infer", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", INFER, 405),
        ("POST", MODEL, 405),
    ],
)
def test_other_models_versions_and_methods_are_refused(
    ask: Asker, method: str, path: str, status: int
) -> None:
    found = ask(method, path, b"{}", {"content-type": "application/json"})
    assert (found.status, list(found.json())) == (status, ["error"])


def test_other_bodies_than_json_are_refused(ask: Asker) -> None:
    body = json.dumps(inputs([GOOD])).encode()
    for headers in (
        {"content-type": "application/octet-stream"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "inference-header-content-length": "9"},
    ):
        assert ask("POST", INFER, body, headers).status == 415


def test_the_specification_s_own_example_is_understood_and_its_tensors_are_named(ask: Asker) -> None:
    """Two tensors that are none of the model's, with a shape that is no column."""
    tensors = [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True]},
    ]
    found = infer(ask, {"id": "42", "inputs": tensors, "outputs": [{"name": "output0"}]})
    assert found.status == 400
    assert "there is no output “output0”, only probability, decision, label, id" in found.json()["error"]
    found = infer(ask, {"id": "42", "inputs": tensors})
    assert "the shape of “input0” must be [n] or [n, 1]" in found.json()["error"]


def test_without_a_model_it_is_live_but_not_ready(tmp_path: Path) -> None:
    with asgi.asking(tmp_path, release="") as nothing:
        assert nothing("GET", "/v2/health/live").status == 200
        for path in ("/v2/health/ready", f"{MODEL}/ready"):
            found = nothing("GET", path)
            assert (found.status, found.json()["ready"]) == (503, False)
        found = infer(nothing, inputs([GOOD]))
        assert (found.status, list(found.json())) == (503, ["error"])


def test_inferences_are_logged(tmp_path: Path) -> None:
    with asgi.asking(tmp_path) as asker:
        ids = infer(asker, inputs([GOOD, GOOD])).json()["outputs"][3]["data"]
        logged = [
            json.loads(line)
            for path in (tmp_path / ".relevo" / "log").iterdir()
            for line in path.read_text().splitlines()
        ]
    assert [line["id"] for line in logged] == ids
    assert [line["request"] for line in logged] == [GOOD, GOOD]


def test_it_answers_over_http(running: Service) -> None:
    found = running.client.post(INFER, json=inputs([GOOD]))
    assert (found.status_code, found.json()["model_name"]) == (200, "flights")
    assert running.metric("relevo_requests_total") > 0
