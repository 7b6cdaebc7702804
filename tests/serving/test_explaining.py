"""Explanations over HTTP: the predictions' own answers, explained by field, in the caller's language."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from relevo import explain
from relevo.package import ModelPackage
from relevo.records import Verdict
from relevo.register import register
from relevo.serving import create_app, explaining
from relevo.serving.explaining import MOST
from relevo.workspace import Workspace
from support import histories, numbers, service, small
from support.asgi import Asker, asking
from support.service import GOOD, UNCOLLECTED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.service import Service

pytestmark = pytest.mark.xdist_group("explaining")  # one process makes what they share

WHOLE = {"probability", "decision", "label", "threshold", "version", "explanation"}


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose package has rows to compare with."""
    root = tmp_path_factory.mktemp("explained")
    rng = random.Random(1)
    service.workspace(root, {"background": [small.body(small.request(rng)) for _ in range(30)]})
    started = service.start(root, variables=UNCOLLECTED)
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """The same package without a network."""
    rng = random.Random(1)
    background = [small.body(small.request(rng)) for _ in range(30)]
    with asking(tmp_path_factory.mktemp("asked"), {"background": background}) as made:
        yield made


def post(running: Service, body: Any, path: str = "/v1/explain", **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return running.client.post(path, content=content, headers=sent)


def test_an_explanation_is_no_part_of_the_next_answers_time(asker: Asker) -> None:
    """The guard judges by those times: an explanation long ago must not make a version look slow."""
    sent = {"content-type": "application/json"}
    seconds = asker.app.predict.serving().counts.seconds
    for _ in range(3):  # an answer may have to wait for the processor
        assert asker("POST", "/v1/explain", json.dumps(GOOD).encode(), sent).status == 200
        time.sleep(1)
        before = len(seconds)
        assert asker("POST", "/v1/predict", json.dumps(GOOD).encode(), sent).status == 200
        assert len(seconds) == before + 1
        if seconds[-1] < 1:
            break
    assert seconds[-1] < 1


def test_explanations_that_would_wait_too_long_are_refused(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "WAITING", 2)
    sent, body = {"content-type": "application/json"}, json.dumps([GOOD] * MOST).encode()

    async def ask() -> list[int]:
        found = await asyncio.gather(*(asker._ask("POST", "/v1/explain", [body], sent) for _ in range(4)))
        return sorted(one.status for one in found)

    assert asker.loop.run_until_complete(ask()) == [200, 200, 503, 503]
    assert asker("POST", "/v1/explain", body, sent).status == 200


def test_the_answer_is_predict_s_and_is_explained_in_full(flights: Service) -> None:
    answer = post(flights, GOOD).json()
    assert set(answer) == WHOLE
    predicted = flights.ask(GOOD).json()
    assert {name: answer[name] for name in answer if name != "explanation"} == {
        name: predicted[name] for name in predicted if name != "id"
    }
    found = answer["explanation"]
    total = found["base"] + sum(one["contribution"] for one in found["fields"])
    assert total == pytest.approx(answer["probability"], abs=1e-9)
    package = ModelPackage.load(flights.said.parent / "package0")
    wanted = explain(package, GOOD)
    assert [(one["field"], one["contribution"], one["error"]) for one in found["fields"]] == [
        (share.field.alias, share.contribution, share.error) for share in wanted.shares
    ]
    assert (found["method"], found["rows"], found["base"]) == ("exact", 30, wanted.base)
    assert found["labels"] == {"negative": "on time", "positive": "late"}
    sizes = [abs(one["contribution"]) for one in found["fields"]]
    assert sizes == sorted(sizes, reverse=True)
    values = {one["field"]: one["value"] for one in found["fields"]}
    assert values == GOOD


def test_sentences_are_in_the_caller_s_language(flights: Service) -> None:
    found = post(flights, GOOD).json()["explanation"]
    airline = next(one for one in found["fields"] if one["field"] == "Emp-I")
    points = f"{100 * airline['contribution']:.1f}"
    assert airline["description"] == "Airline, ICAO code"
    assert airline["sentence"] == f"Emp-I SKU raises the probability of “late” by {points} points."
    assert found["summary"][0] == (
        f"The probability of “late” is {found['probability']:.1%}; on average over 30 requests to compare with"
        f" it is {found['base']:.1%}."
    )
    spanish = post(flights, GOOD, accept_language="es-CL").json()["explanation"]
    told = next(one for one in spanish["fields"] if one["field"] == "Emp-I")
    assert told["sentence"] == f"Emp-I SKU sube la probabilidad de “late” en {points} puntos."
    assert spanish["summary"][0].startswith("La probabilidad de “late” es del ")
    nothing = post(flights, {**GOOD, "Vlo-I": None}).json()["explanation"]["fields"]
    assert next(one for one in nothing if one["field"] == "Vlo-I")["sentence"].startswith("Vlo-I (no value) ")


def test_a_list_is_answered_in_order(flights: Service) -> None:
    asked = [{**GOOD, "Emp-I": airline} for airline in ("SKU", "LAN", "SKU")]
    answers = post(flights, asked).json()
    assert answers == [post(flights, one).json() for one in asked]
    assert answers[0] == answers[2] != answers[1]


def test_explain_logs_nothing_and_predict_with_explain_does(flights: Service) -> None:
    count, logs = flights.metric("relevo_predictions_total"), Workspace.open(flights.said.parent).logs
    explained = post(flights, GOOD).json()
    assert flights.metric("relevo_predictions_total") == count
    answer = post(flights, GOOD, "/v1/predict?explain=true").json()
    assert answer["explanation"] == explained["explanation"]
    assert set(answer) == WHOLE | {"id"}
    many = post(flights, [GOOD, GOOD], "/v1/predict?explain=true").json()
    assert flights.metric("relevo_predictions_total") == count + 3
    logged = b"".join(path.read_bytes() for path in logs.rglob("*") if path.is_file())
    assert all(logged.count(one["id"].encode()) == 1 for one in (answer, *many))
    plain = post(flights, GOOD, "/v1/predict?explain=false").json()
    assert set(plain) == set(flights.ask(GOOD).json())


def test_texts_that_the_model_does_not_know_count_once_and_only_of_what_is_logged(asker: Asker) -> None:
    body = json.dumps({**GOOD, "Emp-I": "ZZZ"}).encode()

    def met(path: str) -> dict[str, int]:
        before = asker.app.metrics.state()["unseen"]
        assert asker("POST", path, body, {"content-type": "application/json"}).status == 200
        after = asker.app.metrics.state()["unseen"]
        return {name: after[name] - before[name] for name in after}

    usual = met("/v1/predict")
    assert usual["airline"] == 1
    assert met("/v1/predict?explain=true") == usual
    for path in ("/v1/explain", "/v1/predict?log=false", "/v1/predict?log=false&explain=true"):
        assert not any(met(path).values())


@pytest.mark.parametrize("body", [GOOD, [GOOD, {**GOOD, "Emp-I": "LAN"}]])
def test_without_log_an_answer_is_explained_and_leaves_nothing_behind(asker: Asker, body: Any) -> None:
    def ask(query: str) -> Any:
        sent = {"content-type": "application/json"}
        return asker("POST", f"/v1/predict?{query}", json.dumps(body).encode(), sent).json()

    def left() -> Any:
        served, logs = asker.app.predict.serving(), asker.app.access._workspace.logs
        logged = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
        return len(served.counts.found), list(served.decided), list(asker.app.metrics.seconds), logged

    usual = ask("explain=true")
    before = left()
    quiet = ask("explain=true&log=false")
    assert left() == before
    several = isinstance(body, list)
    for one, other in zip(usual, quiet, strict=True) if several else [(usual, quiet)]:
        assert one.pop("id") != other.pop("id")
        assert one == other
        assert one["explanation"]["fields"]


@pytest.mark.parametrize(
    "query", ["explain=yes", "explain=", "explain=true&explain=false", "explain=" + "t" * 5000]
)
def test_whether_to_explain_is_yes_or_no(flights: Service, query: str) -> None:
    response = post(flights, GOOD, f"/v1/predict?{query}")
    assert response.status_code == 422
    assert response.json()["problems"] == [{"field": "explain", "problem": "must be true or false."}]


@pytest.mark.parametrize("path", ["/v1/explain", "/v1/predict?explain=true"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "not-json"),
        (b"[" * 100_000, 400, "not-json"),
        (b'{"a":1,"a":2}', 400, "duplicate-field"),
        (b"7", 422, "contract"),
        (b"[]", 422, "contract"),
        (b"[[]]", 422, "contract"),
        (b"{}", 422, "contract"),
        ([GOOD] * (MOST + 1), 413, "too-many-rows"),
        (b" " * (2 << 20), 413, "too-large"),
        ([GOOD, {**GOOD, "TIPOVUELO": "X"}], 422, "contract"),
    ],
)
def test_a_body_that_cannot_be_explained_gets_a_problem(
    flights: Service, path: str, body: Any, status: int, kind: str
) -> None:
    before = flights.metric("relevo_predictions_total")
    response = post(flights, body, path)
    assert (response.status_code, response.json()["type"]) == (status, f"/docs#{kind}")
    assert response.headers["content-type"] == "application/problem+json"
    assert flights.metric("relevo_predictions_total") == before


def test_problems_of_a_list_name_their_rows(flights: Service) -> None:
    response = post(flights, [GOOD, {**GOOD, "TIPOVUELO": "X"}, {**GOOD, "Des-I": None}])
    assert [(one["row"], one["field"]) for one in response.json()["problems"]] == [
        (1, "TIPOVUELO"),
        (2, "Des-I"),
    ]


def test_only_json_is_taken_and_only_by_post(flights: Service) -> None:
    assert post(flights, GOOD, content_type="text/plain").status_code == 415
    asked = flights.client.get("/v1/explain")
    assert (asked.status_code, asked.headers["allow"]) == (405, "POST")


def test_the_document_describes_explanations(flights: Service) -> None:
    paths = flights.client.get("/openapi.json").json()["paths"]
    entry = paths["/v1/explain"]["post"]
    row, many = entry["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert many["maxItems"] == MOST
    promised = entry["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]
    answer = post(flights, row["examples"][0]).json()
    assert set(answer) == set(promised["required"]) == set(promised["properties"])
    shown = promised["properties"]["explanation"]
    assert set(answer["explanation"]) == set(shown["required"]) == set(shown["properties"])
    kinds = {one["name"]: one["schema"]["type"] for one in paths["/v1/predict"]["post"]["parameters"]}
    assert kinds["explain"] == "boolean"


def numbered(root: Path, **changes: Any) -> Workspace:
    """A workspace with one released version over twenty plain numbers."""
    made = Workspace.open(root)
    made.remember("numbers")
    numbers.package(root / "package", 20, **changes)
    register(made, root / "package", verdict=Verdict(accepted=True, reasons=()), run="test")
    made.ledger.release("numbers", "champion", "1.0.0", who="test", why="", act="promote")
    return made


async def asked(app: Any, *calls: tuple[str, Any]) -> list[tuple[str, httpx.Response]]:
    """Ask all at once, in this process; gives the answers in the order in which they came."""
    found = []

    async def ask(path: str, body: Any) -> None:
        found.append((path, await client.post(path, json=body)))

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        await asyncio.gather(*(ask(path, body) for path, body in calls))
    return found


def test_other_requests_are_answered_in_between(tmp_path: Path) -> None:
    """Ten explanations that were asked for before ten predictions do not keep these waiting."""
    app = create_app(numbered(tmp_path), "numbers", collect=False)
    body = numbers.requests(numbers.drawn(20, 1, seed=9))[0]
    calls = [*[("/v1/explain", body)] * 10, *[("/v1/predict", body)] * 10]
    found = asyncio.run(asked(app, *calls))
    assert [answer.status_code for _, answer in found] == [200] * 20
    assert [path for path, _ in found[:10]] == ["/v1/predict"] * 10
    assert len({answer.content for path, answer in found if path == "/v1/explain"}) == 1
    app.journal.close()


def test_units_come_from_the_contract(tmp_path: Path) -> None:
    app = create_app(numbered(tmp_path), "numbers", collect=False)
    body = {**numbers.requests(numbers.drawn(20, 1, seed=9))[0], "x0": 2.5}
    [(_, answer)] = asyncio.run(asked(app, ("/v1/explain", body)))
    fields = answer.json()["explanation"]["fields"]
    first = next(one for one in fields if one["field"] == "X0")
    assert (first["unit"], first["description"]) == ("km", "How far it is")
    assert first["sentence"].startswith("X0 2.5 km ")
    assert all("unit" not in one for one in fields if one["field"] != "X0")
    assert answer.json()["explanation"]["method"] == "sampled"
    app.journal.close()


def test_nothing_to_compare_with_is_a_problem_and_nothing_is_logged(tmp_path: Path) -> None:
    app = create_app(numbered(tmp_path, background=()), "numbers", collect=False)
    body = numbers.requests(numbers.drawn(20, 1, seed=9))[0]
    found = asyncio.run(
        asked(app, ("/v1/explain", body), ("/v1/predict?explain=true", body), ("/v1/predict", body))
    )
    by_path = dict(found)
    for path in ("/v1/explain", "/v1/predict?explain=true"):
        assert by_path[path].status_code == 404
        assert by_path[path].json()["type"] == "/docs#no-reference"
    assert by_path["/v1/predict"].status_code == 200
    assert app.predict.served is not None
    assert sum(app.predict.served.decided) == 1
    app.journal.close()


def test_histories_are_those_that_answer_and_composed_keys_are_not_counted(tmp_path: Path) -> None:
    background = [{"customer": customer, "product": 3} for customer in (100, 101, 5, 6)]
    made = histories.workspace(tmp_path, {"background": background})
    app = create_app(made, histories.PROJECT, collect=False)
    body = {"customer": 103, "product": 7}
    new = {"customer": 1, "product": 999}
    quiet = [("/v1/predict?log=false", new), ("/v1/predict?log=false", [new] * 3), ("/v1/explain", new)]
    [(_, before)] = asyncio.run(asked(app, ("/v1/explain", body)))
    assert {answer.status_code for _, answer in asyncio.run(asked(app, *quiet))} == {200}
    package = ModelPackage.load(tmp_path / "package0")
    package.bind(histories.newest(4))
    found = before.json()["explanation"]
    wanted = {share.field.alias: share.contribution for share in explain(package, body).shares}
    assert {one["field"]: one["contribution"] for one in found["fields"]} == pytest.approx(wanted, abs=1e-12)
    assert app.predict.served is not None
    assert not any(file.missing for file in app.predict.served.histories.values())
    asyncio.run(asked(app, ("/v1/predict?explain=true", new)))
    misses = {name: file.missing for name, file in app.predict.served.histories.items()}
    asyncio.run(asked(app, ("/v1/predict", new)))
    once = {name: file.missing - misses[name] for name, file in app.predict.served.histories.items()}
    assert misses == once  # as a prediction's own keys are
    assert any(once.values())
    app.journal.close()
    histories.refresh(made, 6)
    again = create_app(made, histories.PROJECT, collect=False)
    [(_, after)] = asyncio.run(asked(again, ("/v1/explain", body)))
    assert after.json()["explanation"]["base"] != found["base"]
    again.journal.close()
