"""The service follows the champion: without a restart, without a failed request, and never with a mixed answer."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from relevo.package import ModelPackage
from relevo.records import CHAMPION
from relevo.serving.app import create_app
from support import asgi, service, small
from support.service import GOOD, SECOND, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # each test starts services of its own


def version(running: service.Service) -> str:
    """The version that answers."""
    found: str = running.ask(GOOD).json()["version"]
    return found


def answers_by_version(root: Path, asked: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """What each version answers to each request."""
    found = {}
    for name, folder in (("1.0.0", "package0"), ("1.0.1", "package1")):
        package = ModelPackage.load(root / folder)
        requests = [package.validators.one.validate_python(body) for body in asked]
        for body, answer in zip(asked, package.predict(requests), strict=True):
            found[name, str(body)] = answer.probability
    return found


def test_promotions_under_load_fail_and_mix_no_answer(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    rng = random.Random(3)
    asked = [small.body(small.request(rng)) for _ in range(50)]
    running = service.start(tmp_path)
    swaps = 8

    def promote() -> None:
        for number in range(swaps):
            wanted = "1.0.1" if number % 2 == 0 else "1.0.0"
            service.promote(made, wanted)
            until(lambda wanted=wanted: running.client.get("/ready").json()["version"] == wanted)  # type: ignore[misc]

    load = service.press(running.url, asked, promote)
    assert running.metric("relevo_swaps_total") == swaps
    assert running.stop() == 0
    assert (load.others, load.broken) == ([], 0)
    truth = answers_by_version(tmp_path, asked)
    assert {answer["version"] for _, answer in load.answers} == {"1.0.0", "1.0.1"}
    for body, answer in load.answers:
        assert answer["probability"] == truth[answer["version"], str(body)]
        assert answer["threshold"] == (0.9 if answer["version"] == "1.0.1" else small.fitted().threshold)
        assert answer["decision"] is (answer["probability"] >= answer["threshold"])
    made.ledger.verify("flights")


def test_a_list_is_answered_by_one_version(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    running = service.start(tmp_path)
    lists: list[list[dict[str, Any]]] = []

    def answered_by(wanted: str) -> bool:
        lists.append(running.ask([GOOD] * 3_000).json())
        return any(answer["version"] == wanted for answer in lists[-1])

    for wanted in ("1.0.1", "1.0.0") * 2:
        service.promote(made, wanted)
        for _ in range(8):
            answered_by(wanted)
        until(lambda wanted=wanted: answered_by(wanted))  # type: ignore[misc]
    running.stop()
    for answers in lists:
        assert len({answer["version"] for answer in answers}) == 1
    assert len({answers[0]["version"] for answers in lists}) == 2


def test_without_a_champion_it_waits_for_one(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, release="")
    running = service.start(tmp_path)
    for response in (running.ask(GOOD), running.client.get("/ready"), running.client.get("/v1/model")):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert response.json()["type"] == "/docs#no-model"
        assert "relevo run" in response.json()["detail"]
    assert running.client.get("/health").status_code == 200
    assert running.client.get("/docs").status_code == 200
    assert running.client.get("/openapi.json").status_code == 200
    assert running.metric("relevo_model_info") == 0
    service.promote(made, "1.0.0")
    until(lambda: running.client.get("/ready").status_code == 200)
    assert version(running) == "1.0.0"
    assert running.stop() == 0


def test_a_package_that_cannot_be_loaded_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    second = made.ledger.version("flights", "1.0.1")
    assert second is not None
    model = made.blobs.folder(second.digest) / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    running = service.start(tmp_path)
    service.promote(made, "1.0.1")
    until(lambda: running.metric("relevo_refused_packages_total") == 1)
    assert version(running) == "1.0.0"
    until(lambda: "model.onnx" in running.client.get("/v1/model").json()["note"])
    until(lambda: "model.onnx" in running.said.read_text())
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "whole").replace(model)
    until(lambda: version(running) == "1.0.1")
    until(lambda: running.client.get("/v1/model").json()["note"] == "")
    assert running.metric("relevo_refused_packages_total") == 1
    assert running.stop() == 0


def test_what_answers_is_under_the_release_in_force(tmp_path: Path) -> None:
    """Else the guard would watch, and take back, one that is over."""
    made = service.workspace(tmp_path, {}, SECOND)
    first = made.ledger.version("flights", "1.0.0")
    assert first is not None
    service.promote(made, "1.0.1")
    with asgi.over(create_app(made, "flights", collect=False)) as ask:
        follower, predict = ask.app.follower, ask.app.predict
        before = predict.serving()
        assert before.release.number == 2
        (made.blobs.folder(first.digest) / "model.onnx").write_bytes(b"")
        made.ledger.release("flights", CHAMPION, "1.0.0", who="test", why="", act="rollback")
        assert follower.look() is None
        assert "model.onnx" in follower.note
        service.promote(made, "1.0.1")
        found = follower.look()
        assert found is not None
        follower.take(found)
        assert follower.look() is None
        served = predict.serving()
        assert (served.release.number, served.version, served.live) == (4, before.version, before.live)
        assert served.counts is not before.counts
        assert (ask.app.metrics.swaps, ask.app.metrics.lookup_swaps, follower.note) == (0, 0, "")
        ended = made.ledger.end(served.release, who="guard", why="", to="1.0.0")
        assert ended is not None


def test_it_answers_while_the_ledger_is_away(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    running = service.start(tmp_path)
    ledger, away = tmp_path / ".relevo", tmp_path / "away"
    away.mkdir()
    files = [path for path in ledger.iterdir() if path.name.startswith("ledger.db")]
    made.ledger.close()
    for path in files:
        shutil.move(path, away / path.name)
    until(lambda: running.metric("relevo_ledger_up") == 0)
    assert version(running) == "1.0.0"
    assert running.client.get("/ready").status_code == 200
    card = running.client.get("/v1/model").json()
    assert (card["ledger"], bool(card["note"])) == (False, True)
    for path in files:
        shutil.move(away / path.name, path)
    until(lambda: running.metric("relevo_ledger_up") == 1)
    service.promote(made, "1.0.1")
    until(lambda: version(running) == "1.0.1")
    assert running.client.get("/v1/model").json()["note"] == ""
    assert running.stop() == 0
