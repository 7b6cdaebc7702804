"""Predictions come out of the lake by windows of a time zone, with the outcomes that are known so far."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import labelled, performance
from relevo.collect import collect_all
from relevo.ids import uuid7
from relevo.journal import LABELS, Journal
from relevo.workspace import Workspace
from support import small

if TYPE_CHECKING:
    from pathlib import Path

FLIGHT = {"Fecha-I": "2026-03-14 19:35:00", "Vlo-I": "226", "Des-I": "SCFA", "Emp-I": "SKU", "TIPOVUELO": "N"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RELEVO_THREADS", "1")
    return Workspace.open(tmp_path)


def asked(
    workspace: Workspace, at: str, probability: float, *, version: str = "1.0.0", **request: Any
) -> str:
    identity = uuid7()
    line = {
        "id": identity,
        "at": f"{at}+00:00",
        "project": "flights",
        "version": version,
        "digest": "d" * 64,
        "probability": probability,
        "decision": probability >= 0.5,
        "label": "late" if probability >= 0.5 else "on time",
        "request": {**FLIGHT, **request},
    }
    journal = Journal.open(workspace.logs)
    journal.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    journal.close()
    return identity


def labelled_as(workspace: Workspace, prediction: str, received: str, *, late: bool) -> None:
    line = {
        "id": sha256(f"{prediction}{received}{late}".encode()).hexdigest()[:32],
        "received_at": f"{received}+00:00",
        "project": "flights",
        "prediction": prediction,
        "key": None,
        "time": None,
        "outcome": late,
        "at": None,
        "label": "late" if late else "on time",
    }
    journal = Journal.open(workspace.logs, LABELS)
    journal.write(json.dumps(line).encode() + b"\n")
    journal.close()


def windows(workspace: Workspace, unit: str = "day", **more: Any) -> dict[str, performance.Answered]:
    collect_all(workspace)
    given: dict[str, Any] = {
        "version": "1.0.0",
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "until": datetime(2026, 12, 1, tzinfo=UTC),
        **more,
    }
    request = small.definition().request
    found = labelled.windows(workspace.lake, "flights", request, unit=unit, **given)
    return {span.name: answered for span, answered in found}


def test_without_predictions_there_are_no_windows(workspace: Workspace) -> None:
    assert windows(workspace) == {}


def test_predictions_come_by_day_with_what_is_known_of_them(workspace: Workspace) -> None:
    """A label that was corrected counts once, as it is now; a day without predictions is left out."""
    first = asked(workspace, "2026-03-10T10:00:00", 0.25)
    asked(workspace, "2026-03-10T12:00:00", 0.75)
    last = asked(workspace, "2026-03-13T00:00:00", 0.875)
    labelled_as(workspace, first, "2026-03-11T10:00:00", late=True)
    labelled_as(workspace, last, "2026-03-14T00:00:00", late=True)
    labelled_as(workspace, last, "2026-03-15T12:00:00", late=False)
    found = windows(workspace)
    assert list(found) == ["2026-03-10", "2026-03-13"]
    one, other = found.values()
    assert one.probability.tolist() == [0.25, 0.75]
    assert one.decision.tolist() == [False, True]
    assert one.outcome[0] == 1
    assert np.isnan(one.outcome[1])
    assert one.delay is not None
    assert one.delay[0] == 1.0
    assert np.isnan(one.delay[1])
    assert other.outcome.tolist() == [0]
    assert other.delay is not None
    assert other.delay.tolist() == [2.5]


def test_windows_are_those_of_the_time_zone(workspace: Workspace) -> None:
    """Half past two on Monday in UTC is Sunday in Santiago."""
    asked(workspace, "2026-03-16T02:30:00", 0.25)
    asked(workspace, "2026-03-16T03:30:00", 0.75)
    assert list(windows(workspace)) == ["2026-03-16"]
    assert list(windows(workspace, timezone="America/Santiago")) == ["2026-03-15", "2026-03-16"]
    assert list(windows(workspace, "week", timezone="America/Santiago")) == ["2026-03-09", "2026-03-16"]
    assert list(windows(workspace, "hour")) == ["2026-03-16T02:00+00:00", "2026-03-16T03:00+00:00"]


def test_only_the_version_and_the_time_asked_for(workspace: Workspace) -> None:
    asked(workspace, "2026-03-10T10:00:00", 0.25)
    asked(workspace, "2026-03-10T11:00:00", 0.75, version="1.1.0")
    asked(workspace, "2026-03-10T12:00:00", 0.5)
    found = windows(workspace, until=datetime(2026, 3, 10, 12, tzinfo=UTC))
    assert found["2026-03-10"].probability.tolist() == [0.25]


def test_slices_are_read_under_either_name_of_a_field(workspace: Workspace) -> None:
    asked(workspace, "2026-03-10T10:00:00", 0.25)
    asked(workspace, "2026-03-10T11:00:00", 0.75, **{"Emp-I": "LAN"})
    nobody: dict[str, Any] = {"Emp-I": None}
    asked(workspace, "2026-03-10T12:00:00", 0.75, **nobody)
    found = windows(workspace, slices=["airline", "flight_type"])["2026-03-10"]
    assert {name: list(values) for name, values in found.slices.items()} == {
        "airline": ["SKU", "LAN", None],
        "flight_type": ["N", "N", "N"],
    }


def test_a_key_finds_its_prediction_although_windows_are_cut_apart(workspace: Workspace) -> None:
    """Labels by key mean the newest prediction before their time, also when an older one is all that is asked for."""
    asked(workspace, "2026-03-10T10:00:00", 0.25)
    asked(workspace, "2026-03-12T10:00:00", 0.75)
    line = {
        "id": "k" * 32,
        "received_at": "2026-03-13T00:00:00+00:00",
        "project": "flights",
        "prediction": None,
        "key": {"Vlo-I": "226"},
        "time": "2026-03-12T20:00:00+00:00",
        "outcome": True,
        "at": None,
        "label": "late",
    }
    journal = Journal.open(workspace.logs, LABELS)
    journal.write(json.dumps(line).encode() + b"\n")
    journal.close()
    early = windows(workspace, until=datetime(2026, 3, 11, tzinfo=UTC))
    assert np.isnan(early["2026-03-10"].outcome).all()
    assert windows(workspace)["2026-03-12"].outcome.tolist() == [1]


def test_figures_come_from_the_lake(workspace: Workspace) -> None:
    for place in range(20):
        at = f"2026-03-10T10:{place:02}:00"
        made = asked(workspace, at, 0.9 if place % 4 == 0 else 0.1)
        if place < 15:
            labelled_as(workspace, made, "2026-03-11T10:00:00", late=place % 4 == 0)
    (answered,) = windows(workspace).values()
    found = performance.realised(answered, label_delay=0)
    assert (found["rows"], found["predicted"], found["positives"]) == (15, 20, 4)
    assert found["metrics"]["f1"]["value"] == 1
    assert found["metrics"]["f1"]["low"] < 0.85
