"""What a version would have decided of what was asked before: counted, with the costliest, by slice."""

from __future__ import annotations

import json
import random
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from relevo.bounds import interval
from relevo.collect import collect
from relevo.ids import uuid7
from relevo.journal import Journal
from relevo.package import ModelPackage
from relevo.replay import COSTLIEST, Replay, replay
from support import histories, planted, service, small

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from relevo.workspace import Workspace

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=7)
COSTS = {
    "rule": "costs",
    "false_positive": 1.0,
    "false_negative": 9.0,
    "true_positive": 2.0,
    "true_negative": 0.0,
}


def line(package: ModelPackage, body: Any, at: datetime = NOW, version: str = "1.0.0") -> bytes:
    """A prediction as a service logs it."""
    [answer] = package.predict([package.validators.one.validate_python(body)])
    return told(at, version, answer.probability, answer.decision, body)


def told(at: datetime, version: str, probability: float, decision: bool, body: Any) -> bytes:
    row = {
        "id": uuid7(),
        "at": at.isoformat(timespec="microseconds"),
        "project": "flights",
        "version": version,
        "digest": "d" * 64,
        "probability": probability,
        "decision": decision,
        "label": "late" if decision else "on time",
        "request": body,
    }
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def write(made: Workspace, *lines: bytes) -> Journal:
    journal = Journal.open(made.logs)
    journal.write(b"".join(lines))
    return journal


def flights(number: int, seed: int = 3) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [small.body(small.request(rng)) for _ in range(number)]


def packages(root: Path, **second: Any) -> tuple[Workspace, ModelPackage, ModelPackage]:
    made = service.workspace(root, {}, second or service.SECOND)
    return made, ModelPackage.load(root / "package0"), ModelPackage.load(root / "package1")


def slices(found: Replay, field: str) -> dict[Any, tuple[int, int, int]]:
    return {one.value: (one.rows, one.to_yes, one.to_no) for one in found.slices if one.field == field}


def test_it_counts_every_changed_decision_both_ways_and_by_slice(tmp_path: Path) -> None:
    made, champion, other = packages(tmp_path, calibration={"a": -1.0, "b": 0.0}, threshold=0.5)
    asked = flights(300)
    write(made, *(line(champion, body) for body in asked)).close()
    collect(made)
    found = replay(made, other, "1.0.1", SINCE)
    requests = [champion.validators.one.validate_python(body) for body in asked]
    pairs = list(zip(requests, champion.predict(requests), other.predict(requests), strict=True))
    to_yes = [r for r, a, b in pairs if b.decision and not a.decision]
    to_no = [r for r, a, b in pairs if a.decision and not b.decision]
    assert to_yes
    assert to_no
    assert (found.rows, found.to_yes, found.to_no) == (300, len(to_yes), len(to_no))
    assert found.share == (len(to_yes) + len(to_no)) / 300
    assert (found.low, found.high) == interval(len(to_yes) + len(to_no), 300)
    for field in ("airline", "flight_type", "flight"):
        assert slices(found, field) == {
            value: (
                sum(r[field] == value for r in requests),
                sum(r[field] == value for r in to_yes),
                sum(r[field] == value for r in to_no),
            )
            for value in {r[field] for r in requests}
        }
    assert "scheduled_at" not in {one.field for one in found.slices}
    moves = sorted(
        (abs(b.probability - a.probability) for _, a, b in pairs if a.decision != b.decision), reverse=True
    )
    assert found.by == "probability"
    assert [one["stake"] for one in found.costliest] == pytest.approx(moves[:COSTLIEST])
    assert json.dumps(found.to_json())


def test_the_same_version_changes_nothing(tmp_path: Path) -> None:
    made, champion, _ = packages(tmp_path)
    write(made, *(line(champion, body, version="0.9.0") for body in flights(50))).close()
    found = replay(made, champion, "1.0.0", SINCE)
    assert (found.rows, found.share, found.costliest) == (50, 0, [])
    assert found.high > 0


def test_the_costliest_are_those_that_cost_most_if_the_probability_then_was_right(tmp_path: Path) -> None:
    made, _, other = packages(tmp_path, decision=COSTS, threshold=0.1)
    body = flights(1)[0]
    [now] = other.predict([other.validators.one.validate_python(body)])
    before = (0.02, 0.05, 0.07)
    write(made, *(told(NOW, "1.0.0", p, not now.decision, body) for p in before)).close()
    found = replay(made, other, "1.0.1", SINCE)
    sign = 1 if now.decision else -1
    costs = [sign * ((p * 2 + (1 - p) * 1) - p * 9) for p in before]
    assert found.by == "cost"
    assert [one["stake"] for one in found.costliest] == pytest.approx(sorted(costs, reverse=True))


def test_own_older_and_foreign_predictions_are_left_out(tmp_path: Path) -> None:
    made, champion, other = packages(tmp_path)
    one, two, three = flights(3)
    foreign = line(champion, three).replace(b'"project":"flights"', b'"project":"other"')
    write(
        made,
        line(champion, one),
        line(other, two, version="1.0.1"),
        line(champion, three, at=SINCE - timedelta(seconds=1)),
        foreign,
        b"not a prediction\n",
    ).close()
    for _ in range(2):
        found = replay(made, other, "1.0.1", SINCE)
        assert (found.rows, found.own, found.refused) == (1, 1, 0)
        collect(made, report=lambda _: None)


def test_what_it_cannot_answer_is_counted_by_field(tmp_path: Path) -> None:
    made, champion, other = packages(tmp_path, **planted.strict())
    asked = flights(60)
    strange: list[Any] = [{}, None, [1]]
    broken = [told(NOW, "1.0.0", 0.5, decision=True, body=body) for body in strange]
    write(made, *(line(champion, body) for body in asked), *broken).close()
    collect(made)
    national = sum(body["TIPOVUELO"] == "N" for body in asked)
    found = replay(made, other, "2.0.0", SINCE)
    assert (found.rows, found.refused) == (60 - national, national + 3)
    assert found.reasons["TIPOVUELO"] == national
    features = planted.failing(tmp_path / "changed")
    small.write(tmp_path / "failing", **features)
    found = replay(made, ModelPackage.load(tmp_path / "failing"), "3.0.0", SINCE)
    assert found.reasons["weekday"] == sum(body["Emp-I"] == "SKU" for body in asked)
    small.write(tmp_path / "silent", **planted.silent())
    found = replay(made, ModelPackage.load(tmp_path / "silent"), "4.0.0", SINCE)
    assert (found.rows, found.refused, found.share, found.low, found.high) == (0, 63, 0, 0, 1)


def test_what_is_still_in_the_journal_counts_once(tmp_path: Path) -> None:
    made, champion, other = packages(tmp_path)
    asked = flights(30)
    assert replay(made, other, "1.0.1", SINCE).rows == 0
    journal = write(made, *(line(champion, body) for body in asked[:10]))
    assert replay(made, other, "1.0.1", SINCE).rows == 10
    journal.close()
    assert replay(made, other, "1.0.1", SINCE).rows == 10
    collect(made)
    journal = write(made, *(line(champion, body) for body in asked[10:]))
    assert replay(made, other, "1.0.1", SINCE).rows == 30
    journal.close()


def test_history_is_that_of_the_predictions_time(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=4)
    package = ModelPackage.load(tmp_path / "package0")
    asked = {"customer": 100, "product": 2}
    expected, lines = [], []
    for weeks, at in ((2, datetime(2024, 1, 10)), (4, datetime(2024, 1, 24))):
        package.bind(histories.newest(weeks))
        [answer] = package.predict([package.validators.one.validate_python(asked)])
        expected.append(answer.probability)
        logged = told(at.astimezone(UTC), "0.9.0", 0.5, not answer.decision, asked)
        own = package.manifest.project.encode()
        lines.append(logged.replace(b'"project":"flights"', b'"project":"%b"' % own))
    assert expected[0] != expected[1]
    write(made, *lines).close()
    sold = histories.clean(made, 4)["sales"]

    def bind(connection: DuckDBPyConnection) -> None:
        made.lake.bind(connection, sold.table, as_="sales", version=sold.version)
        for history in package.histories:
            connection.execute(f"create temp table {history['name']} as {history['sql']}")

    found = replay(made, package, "9.0.0", datetime(2020, 1, 1, tzinfo=UTC), bind=bind)
    assert sorted(one["probability"] for one in found.costliest) == pytest.approx(sorted(expected))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_predictions(tmp_path: Path) -> None:
    made, champion, other = packages(tmp_path)
    lines = [line(champion, body) for body in flights(500)]
    peaks = []
    for times in (60, 240):
        write(made, *lines * times).close()
        collect(made)
        tracemalloc.start()
        found = replay(made, other, "1.0.1", SINCE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert found.rows == 500 * 300
    assert peaks[1] < 1.2 * peaks[0]


def test_a_field_of_too_many_values_is_no_category(tmp_path: Path) -> None:
    made, champion, other = packages(tmp_path)
    body = flights(1)[0]
    write(made, *(line(champion, body | {"Vlo-I": str(number)}) for number in range(1_100))).close()
    found = replay(made, other, "1.0.1", SINCE)
    assert {one.field for one in found.slices} == {"destination", "airline", "flight_type"}
