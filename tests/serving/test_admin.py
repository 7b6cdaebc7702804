"""Everything beside predict: what answers, whether it does, counters, and a documentation that needs no internet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from relevo.contract import Field
from relevo.serving.openapi import example, field_schema
from support.asgi import asking
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from support.service import Service


def test_health_and_ready(running: Service) -> None:
    assert running.client.get("/health").json() == {"status": "ok"}
    assert running.client.get("/ready").json() == {"status": "ready", "version": "1.0.0"}


def test_why_there_is_no_version_is_told_only_to_those_who_may_read_it(tmp_path: Path) -> None:
    """The reason names files and hosts; where keys are needed, a path that is open leaves it out."""
    with asking(tmp_path, release="") as ask:
        ask.app.follower.note = "/srv/models/7 is damaged"
        assert ask("GET", "/ready").json()["reason"] == "/srv/models/7 is damaged"
        ask.app.access.required = True
        refused = ask("GET", "/ready")
    assert (refused.status, b"/srv" in refused.body) == (503, False)


def test_the_model_is_described(running: Service) -> None:
    card = running.client.get("/v1/model").json()
    assert (card["project"], card["version"], card["alias"]) == ("flights", "1.0.0", "champion")
    assert card["labels"] == {"negative": "on time", "positive": "late"}
    assert card["released"]["who"] == "test"
    assert card["request"]["required"] == ["Fecha-I", "Des-I", "Emp-I", "TIPOVUELO"]
    assert card["ledger"] is True
    assert card["note"] == ""


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("POST", "/nothing", 404, "not-found"),
        ("GET", "/v1/model/", 404, "not-found"),
        ("GET", "/v1/predict", 405, "method"),
        ("PUT", "/v1/predict", 405, "method"),
        ("DELETE", "/health", 405, "method"),
    ],
)
def test_other_paths_and_methods_are_problems(
    running: Service, method: str, path: str, status: int, kind: str
) -> None:
    response = running.client.request(method, path)
    assert (response.status_code, response.json()["type"]) == (status, f"/docs#{kind}")
    assert response.headers["content-type"] == "application/problem+json"
    if status == 405:
        assert response.headers["allow"] == ("POST" if path == "/v1/predict" else "GET")


def test_the_document_describes_predict_by_its_contract(running: Service) -> None:
    document = running.client.get("/openapi.json").json()
    own = {path for path in document["paths"] if not path.startswith("/v2")}
    others = {"/v1/model", "/health", "/ready", "/metrics"}
    assert own == {"/v1/predict", "/v1/explain", "/v1/score", "/v1/labels", *others}
    predict = document["paths"]["/v1/predict"]["post"]
    row, many = predict["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert row["properties"]["TIPOVUELO"]["enum"] == ["I", "N"]
    assert row["properties"]["Des-I"]["pattern"] == "^[A-Z]{4}$"
    assert row["properties"]["Vlo-I"]["type"] == ["string", "null"]
    assert row["properties"]["Fecha-I"]["description"] == "Scheduled departure, local time"
    assert (many["type"], many["maxItems"]) == ("array", 10_000)
    assert {"200", "400", "413", "415", "422", "503"} <= set(predict["responses"])


def test_the_document_s_example_is_answered_as_it_promises(running: Service) -> None:
    predict = running.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    asked = predict["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]["examples"][0]
    answer = running.ask(asked)
    promised = predict["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]
    assert answer.status_code == 200
    assert set(answer.json()) == set(promised["required"])
    assert set(promised["properties"]) == {*promised["required"], "explanation"}


def test_the_documentation_needs_nothing_from_elsewhere(running: Service) -> None:
    page = running.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page.text)
    assert "{{" not in page.text
    assert '<html lang="en">' in page.text
    assert "script-src 'sha256-" in page.headers["content-security-policy"]


def test_the_documentation_speaks_spanish_when_asked(running: Service) -> None:
    page = running.client.get("/docs", headers={"accept-language": "es"})
    assert '<html lang="es">' in page.text


def test_what_problems_point_to_is_on_the_page(running: Service) -> None:
    kind = running.ask(b"x").json()["type"]
    assert f'id="{kind.removeprefix("/docs#")}"' in running.client.get("/docs").text


def test_metrics_count_what_happens(running: Service) -> None:
    before = running.metric("relevo_predictions_total"), running.metric("relevo_refusals_total")
    running.ask([GOOD] * 5)
    running.ask(b"x")
    assert running.metric("relevo_predictions_total") == before[0] + 5
    assert running.metric("relevo_refusals_total") == before[1] + 1
    assert running.metric("relevo_ledger_up") == 1
    assert running.metric("relevo_journal_backlog_bytes") > 0
    assert running.metric("relevo_model_info") == 1


def test_metrics_are_prometheus_text(running: Service) -> None:
    response = running.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    sample = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)*\})? [-+0-9.e]+')
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not sample.fullmatch(line)] == []
    count = next(line for line in lines if line.startswith("relevo_predict_seconds_count"))
    last = next(line for line in lines if 'le="+Inf"' in line)
    assert count.split()[1] == last.split()[1]


FIELDS: list[tuple[dict[str, Any], dict[str, Any], Any]] = [
    ({"type": "integer", "ge": 0, "lt": 10}, {"type": "integer", "minimum": 0, "exclusiveMaximum": 10}, 0),
    ({"type": "double", "required": False, "default": 2.5}, {"type": "number", "default": 2.5}, 2.5),
    (
        {"type": "text", "min_length": 1, "max_length": 3},
        {"type": "string", "minLength": 1, "maxLength": 3},
        "A",
    ),
    (
        {"type": "integer", "choices": (3, 4), "nullable": True},
        {"type": ["integer", "null"], "enum": [3, 4, None]},
        3,
    ),
    ({"type": "date"}, {"type": "string", "format": "date"}, "2017-01-31"),
    ({"type": "boolean", "examples": (False,)}, {"type": "boolean"}, False),
]


@pytest.mark.parametrize(("rules", "schema", "shown"), FIELDS)
def test_a_field_becomes_json_schema(rules: dict[str, Any], schema: dict[str, Any], shown: object) -> None:
    field = Field(name="x", alias="X", **rules)
    found = field_schema(field)
    assert {name: value for name, value in found.items() if name not in ("description", "examples")} == schema
    assert example(field) == shown


def test_a_date_s_limit_is_told_in_words() -> None:
    field = Field(name="x", alias="X", type="date", ge="2000-01-01", description="A day.")
    assert field_schema(field)["description"] == "A day. minimum: 2000-01-01."
