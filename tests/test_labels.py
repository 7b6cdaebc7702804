"""Labels arrive late, twice, corrected, by id or by key; each prediction has the outcome that counts now."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from relevo import labels
from relevo.collect import collect, collect_all
from relevo.ids import uuid7
from relevo.journal import LABELS, Journal
from relevo.workspace import Workspace
from support import small

if TYPE_CHECKING:
    from pathlib import Path

FLIGHT = {
    "Fecha-I": "2017-07-14 19:35:00",
    "Vlo-I": "226",
    "Des-I": "SCFA",
    "Emp-I": "SKU",
    "TIPOVUELO": "N",
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RELEVO_THREADS", "1")
    return Workspace.open(tmp_path)


def asked(workspace: Workspace, at: str, **request: Any) -> str:
    """Log a prediction at that hour; its id."""
    identity = uuid7()
    line = {
        "id": identity,
        "at": f"2026-01-31T{at}:00+00:00",
        "project": "flights",
        "version": "1.0.0",
        "digest": "d" * 64,
        "probability": 0.5,
        "decision": True,
        "label": "late",
        "request": {**FLIGHT, **request},
    }
    journal = Journal.open(workspace.logs)
    journal.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    journal.close()
    return identity


def labelled(
    workspace: Workspace,
    received: str,
    label: str,
    prediction: str | None = None,
    **more: Any,
) -> None:
    said = {
        "prediction": prediction,
        "key": None,
        "time": None,
        "outcome": label == "late",
        "at": None,
        **more,
    }
    line = {
        "id": sha256(json.dumps(said).encode()).hexdigest()[:32],
        "received_at": f"2026-02-01T{received}:00+00:00",
        "project": "flights",
        **said,
        "label": label,
    }
    journal = Journal.open(workspace.logs, LABELS)
    journal.write(json.dumps(line).encode() + b"\n")
    journal.close()


def current(workspace: Workspace, columns: str = "id, outcome, corrections") -> list[tuple[Any, ...]]:
    collect_all(workspace)
    with workspace.lake.connect() as connection:
        found = labels.current(connection, workspace.lake, "flights", small.definition().request)
        rows: list[tuple[Any, ...]] = found.order('"at", id').project(columns).fetchall()
    return rows


def count(workspace: Workspace) -> int:
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, "labels", as_="found")
        row = connection.execute("select count(*) from found").fetchone()
    assert row is not None
    return int(row[0])


def test_without_anything_there_is_nothing(workspace: Workspace) -> None:
    assert current(workspace) == []
    asked(workspace, "10:00")
    assert current(workspace) == []


def test_a_label_is_beside_its_prediction(workspace: Workspace) -> None:
    first = asked(workspace, "10:00")
    asked(workspace, "11:00")
    labelled(workspace, "08:00", "late", first, at="2026-01-31T12:00:00+00:00")
    columns = "id, probability, label, outcome, outcome_label, outcome_at, received_at, corrections"
    assert current(workspace, columns) == [
        (first, 0.5, "late", True, "late", datetime(2026, 1, 31, 12), datetime(2026, 2, 1, 8), 0)
    ]


def test_the_same_label_twice_is_one(workspace: Workspace) -> None:
    """Within one collection, and in a later one."""
    first = asked(workspace, "10:00")
    labelled(workspace, "08:00", "late", first)
    labelled(workspace, "08:01", "late", first)
    assert current(workspace) == [(first, True, 0)]
    labelled(workspace, "09:00", "late", first)
    assert collect(workspace, LABELS) == 0
    assert current(workspace) == [(first, True, 0)]
    assert count(workspace) == 1


def test_a_correction_counts_and_what_was_said_before_is_kept(workspace: Workspace) -> None:
    first = asked(workspace, "10:00")
    labelled(workspace, "08:00", "late", first)
    assert current(workspace) == [(first, True, 0)]
    labelled(workspace, "09:00", "on time", first)
    assert current(workspace) == [(first, False, 1)]
    labelled(workspace, "10:00", "late", first)
    assert current(workspace) == [(first, True, 2)]
    assert count(workspace) == 3


def test_a_label_collected_late_does_not_take_the_place_of_a_newer_one(workspace: Workspace) -> None:
    """Two servers: the one that was told first is collected last."""
    first = asked(workspace, "10:00")
    labelled(workspace, "09:00", "on time", first)
    assert current(workspace) == [(first, False, 0)]
    labelled(workspace, "08:00", "late", first)
    assert current(workspace) == [(first, False, 1)]


def test_a_label_waits_for_its_prediction(workspace: Workspace) -> None:
    unknown = uuid7()
    labelled(workspace, "08:00", "late", unknown)
    assert current(workspace) == []
    assert count(workspace) == 1


def test_a_key_means_the_newest_prediction_asked_by_then(workspace: Workspace) -> None:
    early = asked(workspace, "09:00")
    late = asked(workspace, "11:00")
    other = asked(workspace, "11:30", **{"Des-I": "SPJC"})
    key = {"Des-I": "SCFA", "Fecha-I": "2017-07-14 19:35:00"}
    labelled(workspace, "08:00", "late", key=key, time="2026-01-31T10:00:00+00:00")
    assert current(workspace) == [(early, True, 0)]
    labelled(workspace, "08:30", "late", key=key, time="2026-01-31T23:00:00+00:00")
    labelled(workspace, "08:40", "on time", key={"Des-I": "SPJC"}, time="2026-01-31T23:00:00+00:00")
    labelled(workspace, "08:50", "on time", key=key, time="2026-01-31T08:00:00+00:00")
    assert current(workspace) == [(early, True, 0), (late, True, 0), (other, False, 0)]


def test_a_key_is_compared_by_value_not_by_spelling(workspace: Workspace) -> None:
    found = asked(workspace, "09:00", **{"Fecha-I": "2017-07-14T19:35", "Vlo-I": None})
    key = {"Fecha-I": "2017-07-14 19:35:00", "Vlo-I": None}
    labelled(workspace, "08:00", "late", key=key, time="2026-01-31T10:00:00+00:00")
    assert current(workspace) == [(found, True, 0)]


def test_of_a_label_by_key_and_one_by_id_the_newer_counts(workspace: Workspace) -> None:
    first = asked(workspace, "09:00")
    labelled(workspace, "08:00", "late", key={"Emp-I": "SKU"}, time="2026-01-31T10:00:00+00:00")
    labelled(workspace, "09:00", "on time", first)
    assert current(workspace) == [(first, False, 1)]


def test_another_project_s_labels_are_its_own(workspace: Workspace) -> None:
    first = asked(workspace, "09:00")
    labelled(workspace, "08:00", "late", first, project="other")
    assert current(workspace) == []


def test_a_collection_killed_before_the_removal_does_not_repeat_it(workspace: Workspace) -> None:
    first = asked(workspace, "09:00")
    labelled(workspace, "08:00", "late", first)
    [path] = workspace.logs.glob("labels-*")
    content = path.read_bytes()
    assert collect(workspace, LABELS) == 1
    path.write_bytes(content)
    collect(workspace, LABELS)
    assert count(workspace) == 1
    assert list(workspace.logs.glob("labels-*")) == []


def test_a_damaged_label_is_kept_aside(workspace: Workspace) -> None:
    labelled(workspace, "08:00", "late", uuid7())
    labelled(workspace, "08:00", "late", None)
    said: list[str] = []
    assert collect(workspace, LABELS, report=said.append) == 1
    assert len(said) == 1
    assert [path.suffix for path in workspace.logs.iterdir()] == [".damaged"]
