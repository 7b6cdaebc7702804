"""What came true: checked, in the log before it is answered, and in the lake once."""

from __future__ import annotations

import json
import os
import resource
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo import labels
from relevo.collect import collect_all
from support import service, small
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from support.service import Service

ID = "01936b7c-0000-7000-8000-000000000001"


def say(running: Service, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return running.client.post("/v1/labels", content=content, headers={"content-type": "application/json"})


def test_a_label_is_answered_with_what_was_kept(running: Service) -> None:
    answer = say(running, {"id": ID, "outcome": "late", "at": "2026-01-31T20:30:00-03:00"})
    assert answer.status_code == 200
    kept = answer.json()
    assert (kept["outcome"], kept["label"]) == (True, "late")
    assert set(kept) == {"id", "received_at", "outcome", "label"}


def test_a_list_is_answered_in_its_order(running: Service) -> None:
    by_key = {"key": {"Des-I": "SCFA", "Emp-I": "SKU"}, "time": "2026-01-31T23:30:00Z", "outcome": False}
    answer = say(running, [{"id": ID, "outcome": True}, by_key])
    assert [(one["outcome"], one["label"]) for one in answer.json()] == [(True, "late"), (False, "on time")]


def test_the_same_label_has_the_same_id_and_another_has_another(running: Service) -> None:
    first = {"id": ID, "outcome": "late", "at": "2026-01-31T23:30:00Z"}
    spelled = {"id": ID.upper(), "outcome": True, "at": "2026-01-31T20:30:00-03:00"}
    corrected = {**first, "outcome": "on time"}
    ids = [one["id"] for one in say(running, [first, spelled, corrected]).json()]
    assert ids[0] == ids[1] == say(running, first).json()["id"]
    assert ids[2] != ids[0]


def later() -> str:
    return (datetime.now(UTC) + timedelta(days=2)).isoformat()


WRONG: list[tuple[Any, str, str]] = [
    ({"id": ID, "outcome": "perhaps"}, "outcome", "must be true, false, “late” or “on time”."),
    ({"id": ID}, "outcome", "must be true, false"),
    ({"id": ID, "outcome": 1}, "outcome", "must be true, false"),
    ({"id": ID, "outcome": ["late"]}, "outcome", "must be true, false"),
    ({"id": "x", "outcome": True}, "id", "must be a prediction's id"),
    ({"id": 7, "outcome": True}, "id", "must be a prediction's id"),
    ({"id": ID.replace("-7000", "-4000"), "outcome": True}, "id", "must be a prediction's id"),
    ({"id": ID, "outcome": True, "at": later()}, "at", "must not be in the future."),
    ({"id": ID, "outcome": True, "at": "2026-01-31 23:30:00"}, "at", "with its time zone"),
    ({"id": ID, "outcome": True, "at": "yesterday"}, "at", "must be a moment"),
    ({"id": ID, "outcome": True, "at": "0001-01-01T00:00:00+14:00"}, "at", "must be a moment"),
    ({"id": ID, "outcome": True, "at": 1738366200}, "at", "must be a moment"),
    ({"id": ID, "outcome": True, "label": "late"}, "label", "is not a field of a label"),
    ({"outcome": True}, "id", "is needed, or key and time"),
    ({"key": {"Des-I": "SCFA"}, "outcome": True}, "id", "is needed, or key and time"),
    ({"id": ID, "time": "2026-01-31T23:30:00Z", "outcome": True}, "id", "is needed, or key and time"),
    ({"key": {}, "time": "2026-01-31T23:30:00Z", "outcome": True}, "key", "must be an object"),
    ({"key": {"x": 1}, "time": "2026-01-31T23:30:00Z", "outcome": True}, "x", "is not a field"),
    ({"key": {"Des-I": "scfa"}, "time": "2026-01-31T23:30:00Z", "outcome": True}, "Des-I", "must match"),
    ({"key": {"Des-I": "SCFA"}, "time": later(), "outcome": True}, "time", "must not be in the future."),
    (
        {"key": {"Des-I": "SCFA", "destination": "SCFA"}, "time": "2026-01-31T23:30:00Z", "outcome": True},
        "Des-I",
        "is given twice",
    ),
    (7, "body", "must be an object"),
]


@pytest.mark.parametrize(("body", "field", "problem"), WRONG, ids=range(len(WRONG)))
def test_a_bad_label_is_refused_by_row_and_field(
    running: Service, body: Any, field: str, problem: str
) -> None:
    before = running.metric("relevo_labels_total")
    answer = say(running, [{"id": ID, "outcome": True}, body])
    assert answer.status_code == 422
    [told] = answer.json()["problems"]
    assert (told["row"], told["field"]) == (1, field)
    assert problem in told["problem"]
    assert running.metric("relevo_labels_total") == before  # all or none


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[]", 422),
        (b"{", 400),
        (b'{"id":1,"id":2}', 400),
        (b"[" * 2000, 400),
        (b" " * (1 << 20) + b"1", 413),
    ],
)
def test_a_body_that_is_no_list_of_labels_is_refused(running: Service, content: bytes, status: int) -> None:
    assert say(running, content).status_code == status


def test_too_many_and_other_methods_are_refused(running: Service) -> None:
    assert say(running, [{}] * 10_001).status_code == 413
    answer = running.client.get("/v1/labels")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    undeclared = running.client.post("/v1/labels", content=b"{}", headers={"content-type": "text/plain"})
    assert undeclared.status_code == 415


def test_the_document_has_labels(running: Service) -> None:
    entry = running.client.get("/openapi.json").json()["paths"]["/v1/labels"]["post"]
    one = entry["requestBody"]["content"]["application/json"]["schema"]["oneOf"][0]
    assert set(one["properties"]) == {"id", "key", "time", "outcome", "at"}


def test_what_was_labelled_before_a_kill_is_beside_its_prediction(tmp_path: Path) -> None:
    made = service.workspace(tmp_path)
    running = service.start(tmp_path, workers=2)
    ids = [answer["id"] for answer in running.ask([GOOD] * 3).json()]
    said = [
        {"id": ids[0], "outcome": True},
        {"id": ids[1], "outcome": True},
        {"id": ids[1], "outcome": False},
    ]
    assert say(running, said).status_code == 200
    assert say(running, said[0]).status_code == 200
    assert running.metric("relevo_labels_total") >= 3
    for pid in service.workers(running):
        os.kill(pid, signal.SIGKILL)
    running.stop(signal.SIGKILL)
    collect_all(made)
    with made.lake.connect() as connection:
        found = labels.current(connection, made.lake, "flights", small.definition().request)
        rows = found.project("id, outcome, corrections").order("id").fetchall()
    assert rows == [(ids[0], True, 0), (ids[1], False, 1)]


@pytest.mark.slow
def test_a_full_disk_refuses_labels_too(tmp_path: Path) -> None:
    service.workspace(tmp_path)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    running = service.start(tmp_path, preexec_fn=small_files)
    answer = say(running, [{"id": ID, "outcome": True}] * 20)
    assert (answer.status_code, answer.json()["type"]) == (503, "/docs#not-logged")
    assert answer.headers["retry-after"] == "5"
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert say(running, [{"id": ID, "outcome": True}] * 20).status_code == 200
    running.stop(signal.SIGKILL)
