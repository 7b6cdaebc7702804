"""A canary answers its share, always the same callers, and none of them ever sees it fail."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from relevo import challenge
from relevo.collect import collect
from relevo.package import ModelPackage
from relevo.records import CHALLENGER
from relevo.serving.app import create_app
from support import asgi, planted, service, small
from support.service import GOOD, SECOND, until

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Release
    from relevo.workspace import Workspace

pytestmark = pytest.mark.slow  # each test starts services of its own
JSON = {"content-type": "application/json"}


def begin(made: Workspace, share: float = 0.5, by: str = "") -> Release:
    newest = made.ledger.versions("flights")[0].version
    return challenge.canary(made, "flights", newest, share=share, by=by, who="test")


def answering(running: service.Service) -> str:
    """The version that is tried, as the service says."""
    tried = running.client.get("/v1/model").json()["challenger"]
    return str(tried["version"]) if tried else ""


def flights(number: int, seed: int = 3) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [small.body(small.request(rng)) for _ in range(number)]


def started(root: Path, share: float = 0.5, by: str = "", **change: Any) -> tuple[Workspace, service.Service]:
    made = service.workspace(root, {}, change or SECOND)
    tried = begin(made, share, by)
    running = service.start(root)
    assert answering(running) == tried.version
    return made, running


def test_a_share_of_the_callers_is_answered_by_the_canary_and_always_the_same(tmp_path: Path) -> None:
    made, running = started(tmp_path, 0.25, "Vlo-I")
    asked = [GOOD | {"Vlo-I": str(number)} for number in range(400)]

    def versions() -> dict[str, str]:
        found = running.ask([body | {"TIPOVUELO": "I"} for body in asked]).json()
        return {body["Vlo-I"]: one["version"] for body, one in zip(asked, found, strict=True)}

    first = versions()
    assert 0.15 < list(first.values()).count("1.0.1") / len(first) < 0.35
    assert {body["Vlo-I"]: running.ask(body).json()["version"] for body in asked[:40]}.items() < first.items()
    begin(made, 0.5, "Vlo-I")
    until(lambda: list(versions().values()).count("1.0.1") > 160)
    more = versions()
    assert list(more.values()).count("1.0.1") < 240
    assert all(more[flight] == "1.0.1" for flight, version in first.items() if version == "1.0.1")
    assert running.stop() == 0
    running = service.start(tmp_path)
    assert versions() == more
    assert running.stop() == 0


def test_every_answer_is_of_one_version_and_logged_under_it(tmp_path: Path) -> None:
    made, running = started(tmp_path)
    asked = flights(100)
    load = service.press(
        running.url, asked, lambda: until(lambda: running.metric("relevo_predictions_total") > 2_000)
    )
    lists = running.ask(asked).json()
    assert running.stop() == 0
    assert (load.others, load.broken) == ([], 0)
    truth = {}
    for name, folder in (("1.0.0", "package0"), ("1.0.1", "package1")):
        package = ModelPackage.load(tmp_path / folder)
        requests = [package.validators.one.validate_python(body) for body in asked]
        for body, answer in zip(asked, package.predict(requests), strict=True):
            truth[name, str(body)] = answer.probability
    answers = [*load.answers, *zip(asked, lists, strict=True)]
    assert {answer["version"] for _, answer in answers} == {"1.0.0", "1.0.1"}
    for body, answer in answers:
        assert answer["probability"] == truth[answer["version"], str(body)]
    collect(made)
    with made.lake.connect() as connection:
        made.lake.bind(connection, "predictions", as_="found")
        found = dict(connection.execute("select id, version from found").fetchall())
    assert found == {answer["id"]: answer["version"] for _, answer in answers}


def test_a_request_without_a_caller_is_the_same_however_it_is_spelled(tmp_path: Path) -> None:
    """Alone or in a list, with or without blanks, its fields in any order."""
    _, running = started(tmp_path)
    asked = flights(60)
    listed = [one["version"] for one in running.ask(asked).json()]
    assert {"1.0.0", "1.0.1"} == set(listed)
    for spell in (
        json.dumps,
        lambda body: json.dumps(body, separators=(",", ":")),
        lambda body: json.dumps(dict(reversed(body.items()))),
    ):
        bodies = [spell(body) for body in asked]
        found = [
            running.client.post("/v1/predict", content=body, headers=JSON).json()["version"]
            for body in bodies
        ]
        assert found == listed
    assert running.stop() == 0


@pytest.mark.parametrize("fault", ["failing", "raising", "silent", "strict"])
def test_whatever_the_canary_fails_at_is_answered_by_the_champion(tmp_path: Path, fault: str) -> None:
    make: dict[str, Any] = {
        "failing": lambda: planted.failing(tmp_path / "changed"),
        "raising": planted.raising,
        "silent": planted.silent,
        "strict": planted.strict,
    }
    _, running = started(tmp_path, 1.0, **make[fault]())
    asked = flights(40)
    truth = ModelPackage.load(tmp_path / "package0")
    for body in asked[:20]:
        response = running.ask(body)
        assert response.status_code == 200
        if response.json()["version"] == "1.0.0":
            request = truth.validators.one.validate_python(body)
            assert response.json()["probability"] == truth.predict([request])[0].probability
    answers = running.ask(asked).json()
    assert len(answers) == 40
    by = {answer["version"] for answer in answers}
    assert "1.0.0" in by
    assert len(by) == (1 if fault in ("raising", "silent") else 2)
    counts = running.client.get("/v1/model").json()["challenger"]["counts"]
    assert counts["refused" if fault == "strict" else "failed"] > 10
    assert running.metric("relevo_refusals_total") == 0
    assert running.stop() == 0


def test_of_lists_too_the_champion_counts_only_what_is_its_own(tmp_path: Path) -> None:
    """What a canary fails at is no fair sample: with it beside its own, the guard would see no difference."""
    made = service.workspace(tmp_path, {}, planted.strict())
    begin(made, 0.5, "Vlo-I")
    asked = flights(300)
    wrong: list[dict[str, Any]] = [{**GOOD, "Vlo-I": str(number), "Des-I": None} for number in range(40)]
    with asgi.over(create_app(made, "flights", collect=False)) as ask:

        def counted(*bodies: Any) -> dict[str, list[int]]:
            before = _counts(ask)
            found = [ask("POST", "/v1/predict", json.dumps(body).encode(), JSON).status for body in bodies]
            assert set(found) <= {200, 422}
            after = _counts(ask)
            return {key: [b - a for a, b in zip(before[key], after[key], strict=True)] for key in after}

        singly = counted(*asked, *wrong)
        assert singly == counted(asked, *([one] for one in wrong))
        assert singly["2@1"][1] > 50
        assert 0 < singly["1+2"][1] < 40
        heard = ask("POST", "/v1/predict", json.dumps([*asked, *wrong]).encode(), JSON)
        assert heard.status == 422
        places = [problem["row"] for problem in heard.json()["problems"]]
        assert places == sorted(places)
        assert places[0] == len(asked)
        canary = ask.app.predict.canary
        assert canary is not None
        assert canary.instead is not None
        assert canary.instead.counts.found
        ask.app.metrics.tally.age(ask.app.predict.served, canary)
        assert not canary.instead.counts.found


def _counts(ask: asgi.Asker) -> dict[str, list[int]]:
    found = ask.app.metrics.tally.to_json()
    numbers = ("answered", "refused", "failed")
    return {key: [counts[name] for name in numbers] for key, counts in found.items()}


def test_what_no_version_takes_is_refused_as_without_a_canary(tmp_path: Path) -> None:
    made, running = started(tmp_path, 1.0, "Vlo-I")
    bodies: list[Any] = [
        b"", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b"[1]", [GOOD, {}], GOOD | {"Vlo-I": [[{}]]},
        GOOD | {"Vlo-I": "x" * 9}, b'{"Vlo-I":"\\ud800"}', GOOD | {"Des-I": None}, GOOD | {"Vlo-I": 1e300},
    ]  # fmt: skip
    with_canary = [running.ask(body) for body in bodies]
    challenge.end(made.ledger, "flights", who="test")
    until(lambda: answering(running) == "")
    without = [running.ask(body) for body in bodies]
    for one, other in zip(with_canary, without, strict=True):
        assert 400 <= one.status_code < 500
        own = {"id": ""}
        assert (one.status_code, one.json() | own) == (other.status_code, other.json() | own)
    assert running.stop() == 0


def test_it_begins_and_ends_without_a_restart_or_a_failed_request(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    running = service.start(tmp_path)

    def try_and_end() -> None:
        for _ in range(3):
            begin(made)
            until(lambda: answering(running) == "1.0.1")
            challenge.end(made.ledger, "flights", who="test")
            until(lambda: answering(running) == "")

    load = service.press(running.url, flights(50), try_and_end)
    assert (load.others, load.broken) == ([], 0)
    assert {answer["version"] for _, answer in load.answers} == {"1.0.0", "1.0.1"}
    begin(made)
    until(lambda: answering(running) == "1.0.1")
    service.promote(made, "1.0.1")
    until(lambda: answering(running) == "")
    until(lambda: running.ask(GOOD).json()["version"] == "1.0.1")
    assert made.ledger.standing("flights", CHALLENGER) is None
    assert running.stop() == 0


def test_a_canary_that_cannot_be_loaded_answers_nobody(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    tried = made.ledger.version("flights", "1.0.1")
    assert tried is not None
    begin(made, 1.0)
    model = made.blobs.folder(tried.digest) / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:100])
    running = service.start(tmp_path)
    card = running.client.get("/v1/model").json()
    assert running.ask(GOOD).json()["version"] == "1.0.0"
    assert "model.onnx" in card["challenger"]["note"]
    model.write_bytes(whole)
    until(lambda: running.ask(GOOD).json()["version"] == "1.0.1")
    assert running.stop() == 0


def test_metrics_tell_what_is_tried(tmp_path: Path) -> None:
    _, running = started(tmp_path, 1.0)
    for body in flights(10):
        running.ask(body)
    text = running.client.get("/metrics").text
    assert 'relevo_challenger_info{version="1.0.1",mode="canary"} 1' in text
    assert 'relevo_challenger_requests_total{outcome="answered"} 10' in text
    assert "relevo_rollbacks_total 0" in text
    card = running.client.get("/v1/model").json()["challenger"]
    assert (card["mode"], card["share"], card["counts"]["answered"]) == ("canary", 1.0, 10)
    assert json.dumps(card)
    assert running.stop() == 0
