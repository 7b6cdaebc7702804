"""A shadow answers what the champion was asked, off the path, and its answers are in the lake once."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from relevo import challenge
from relevo.collect import collect_all
from relevo.package import ModelPackage
from relevo.serving.collecting import hurry
from support import service, small
from support.planted import strict
from support.service import SECOND, UNCOLLECTED, until, until_idle

if TYPE_CHECKING:
    from relevo.workspace import Workspace

pytestmark = pytest.mark.slow  # each test starts services of its own

FLIGHTS = [small.body(small.request(random.Random(seed))) for seed in range(100)]


def begin(made: Workspace, cpu: float = 1.0) -> None:
    newest = made.ledger.versions("flights")[0].version
    challenge.shadow(made, "flights", newest, cpu=cpu, who="test")


def counts(running: service.Service) -> dict[str, int]:
    """What the service shows of its shadow."""
    tried = running.client.get("/v1/model").json()["challenger"]
    found: dict[str, int] = tried["counts"] if tried else {}
    return found


def pid(root: Path) -> int:
    """The shadow's process, once it follows the journal; 0 before."""
    try:
        return int(json.loads((root / ".relevo" / "shadow.json").read_bytes())["pid"])
    except OSError:
        return 0


def lives(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def idles(running: service.Service) -> bool:
    """Whether a child of the service works only when nobody else wants the processor."""
    children = psutil.Process(running.process.pid).children()
    return os.SCHED_IDLE in [os.sched_getscheduler(child.pid) for child in children]


def in_the_lake(made: Workspace, table: str) -> dict[str, tuple[Any, ...]]:
    more = ", differs" if table == "shadows" else ""
    with made.lake.connect() as connection:
        made.lake.bind(connection, table, as_="found")
        query = f'select id, "at", version, probability, decision{more} from found'
        rows = connection.execute(query).fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}


def test_it_answers_every_request_as_the_challenger_would(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, SECOND)
    begin(made)
    running = service.start(tmp_path)
    until(lambda: idles(running))
    until_idle(running, lambda: pid(tmp_path) > 0)
    answers = {}
    for body in FLIGHTS[:20]:
        answer = running.ask(body).json()
        answers[answer["id"]] = body
    for body, answer in zip(FLIGHTS, running.ask(FLIGHTS).json(), strict=True):
        answers[answer["id"]] = body
        assert answer["version"] == "1.0.0"
    until_idle(running, lambda: counts(running).get("answered") == 120)
    shown = counts(running)
    text = running.client.get("/metrics").text
    assert 'relevo_challenger_requests_total{outcome="answered"} 120' in text
    shadow = pid(tmp_path)
    assert running.stop() == 0
    assert not lives(shadow)
    collect_all(made)
    shadows, predictions = in_the_lake(made, "shadows"), in_the_lake(made, "predictions")
    package = ModelPackage.load(tmp_path / "package1")
    assert set(shadows) == set(answers)
    differing = 0
    for id_, (at, version, probability, decision, differs) in shadows.items():
        request = package.validators.one.validate_python(answers[id_])
        [truth] = package.predict([request])
        assert (version, probability, decision) == ("1.0.1", truth.probability, truth.decision)
        asked_at, champion, _, decided = predictions[id_]
        assert (asked_at, champion) == (at, "1.0.0")
        assert differs is (decision is not decided)
        differing += differs
    assert shown == {"answered": 120, "differing": differing, "refused": 0, "failed": 0, "skipped": 0}
    assert differing > 0


def test_it_begins_and_ends_with_its_strategy_and_with_its_service(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, strict())
    running = service.start(tmp_path, variables=UNCOLLECTED)
    assert counts(running) == {}
    begin(made)
    until_idle(running, lambda: lives(pid(tmp_path)))
    running.ask(FLIGHTS)
    until_idle(running, lambda: counts(running).get("refused", 0) + counts(running).get("answered", 0) == 100)
    assert counts(running)["refused"] == sum(body["TIPOVUELO"] == "N" for body in FLIGHTS)
    first = pid(tmp_path)
    os.kill(first, signal.SIGKILL)
    until_idle(running, lambda: pid(tmp_path) != first)
    second = pid(tmp_path)
    challenge.end(made.ledger, "flights", who="test")
    until_idle(running, lambda: not lives(second))
    until(lambda: running.client.get("/v1/model").json()["challenger"] is None)
    begin(made)
    until_idle(running, lambda: pid(tmp_path) != second)
    third = pid(tmp_path)
    hurry(third)
    running.stop(signal.SIGKILL)
    until(lambda: not lives(third))
    assert collect_all(made)["predictions"] == 100
    assert len(in_the_lake(made, "shadows")) == sum(body["TIPOVUELO"] == "I" for body in FLIGHTS)
