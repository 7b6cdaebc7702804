"""Every prediction that is logged is counted, once, over the bins of the package that answered it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from relevo import challenge, clock, counted
from relevo.bins import RECOMMENDATIONS, REQUESTS, Bins
from relevo.collect import collect_all
from relevo.journal import COUNTS, Journal
from relevo.package import ModelPackage
from relevo.records import CHALLENGER
from relevo.service import ServiceSettings
from relevo.serving.app import create_app
from relevo.serving.challenger import Challenger
from relevo.serving.counting import ROOM, SLICE, Counting, Live
from relevo.serving.metrics import Metrics
from relevo.workspace import Workspace
from support import asgi, histories, planted, service, small
from support.asgi import asking
from support.service import GOOD, SECOND, UNCOLLECTED, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.counted import Counted
    from support.asgi import Asker

JSON = {"content-type": "application/json"}
BAD = GOOD | {"TIPOVUELO": "X"}
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
TEN, ELEVEN = (datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (10, 11))
AT = b"2026-01-05T10:30:00.000000+00:00"


def known() -> dict[str, Any]:
    """What a package has that knows what it learned from."""
    return {"reference": planted.reference()}


def flights(number: int, seed: int = 3) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [small.body(small.request(rng)) for _ in range(number)]


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with asking(tmp_path, known()) as made:
        yield made


def ask(asker: Asker, body: Any, path: str = "/v1/predict", **headers: str) -> asgi.Heard:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asker(
        "POST", path, content, JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    )


def stop(asker: Asker) -> None:
    """As the application does at its end."""
    asker.app.counting.flush()
    asker.app.journal.close()
    asker.app.counts.close()


def hours(made: Workspace, version: str = "1.0.0", **more: Any) -> dict[datetime, Counted]:
    """What was counted of a version, which must be what its predictions in the lake add up to."""
    collect_all(made)
    found = made.ledger.version(histories.PROJECT if "project" in more else "flights", version)
    assert found is not None
    package = ModelPackage.load(made.blobs.folder(found.digest))
    bins = Bins.of(package)
    read = counted.read(made.lake, "flights", version, *ALWAYS, bins=bins, **more)
    assert read.left_out == 0
    recount(made, package, bins, version, read.hours)
    return dict(read.hours)


def recount(made: Workspace, package: ModelPackage, bins: Bins | None, version: str, hours: Any) -> None:
    """Compare counts with the predictions that the lake holds."""
    parts: dict[datetime, list[Any]] = defaultdict(list)
    if made.lake.exists("predictions"):
        with made.lake.connect() as connection:
            made.lake.bind(connection, "predictions", as_="found")
            query = """select date_trunc('hour', "at"), request, probability from found where version = ?"""
            for hour, request, probability in connection.execute(query, [version]).fetchall():
                features = package.features(package.validators.one.validate_python(json.loads(request)))
                parts[hour.replace(tzinfo=UTC)].append((features, probability))
    assert {hour: one.rows for hour, one in hours.items() if one.rows} == {
        h: len(p) for h, p in parts.items()
    }
    for hour, part in parts.items():
        if bins is not None:
            again = bins.rows([features for features, _ in part], [probability for _, probability in part])
            assert hours[hour].counts.tolist() == again.tolist()


def numbers(found: dict[datetime, Counted]) -> tuple[int, int, int]:
    """Rows, refused and failed of all hours."""
    return tuple(sum(getattr(one, name) for one in found.values()) for name in ("rows", "refused", "failed"))


def test_whatever_is_logged_is_counted(tmp_path: Path) -> None:
    """Single requests, lists, streams, tensors and explained ones; what is only explained is no prediction."""
    asked = flights(700)
    with asking(tmp_path, known() | {"background": asked[:30]}) as asker:
        everything(asker, asked)
        assert numbers(hours(Workspace.open(tmp_path))) == (40 + 700 + 300 + 3 + 600, 0, 0)


def everything(asker: Asker, asked: list[dict[str, Any]]) -> None:
    for body in asked[:40]:
        assert ask(asker, body).status == 200
    assert ask(asker, asked).status == 200
    lines = b"".join(json.dumps(body).encode() + b"\n" for body in asked[:300])
    assert ask(asker, lines, "/v1/score", content_type="application/jsonl").status == 200
    assert ask(asker, asked[:3], "/v1/predict?explain=true").status == 200
    assert ask(asker, asked[:3], "/v1/explain").status == 200
    tensors = [
        {"name": name, "shape": [600], "datatype": "BYTES", "data": [body[name] for body in asked[:600]]}
        for name in GOOD
    ]
    assert ask(asker, {"inputs": tensors}, "/v2/models/flights/infer").status == 200
    stop(asker)


def test_refused_and_failed_rows_are_counted_beside_them(tmp_path: Path) -> None:
    """A row in a refused list is not answered, so it is not counted; the row at fault is."""
    with asking(tmp_path, known() | planted.failing(tmp_path / "changed")) as asker:
        sky, lan = GOOD | {"Emp-I": "SKU"}, GOOD | {"Emp-I": "LAN"}
        assert ask(asker, lan).status == 200
        assert ask(asker, BAD).status == 422
        assert ask(asker, b"{").status == 400
        assert ask(asker, b"[{}").status == 400
        assert ask(asker, [lan, BAD, lan, BAD]).status == 422
        assert ask(asker, sky).status == 422
        lines = b"".join(json.dumps(body).encode() + b"\n" for body in (lan, BAD, sky, lan)) + b"{\n"
        assert ask(asker, lines, "/v1/score", content_type="application/jsonl").status == 200
        stop(asker)
        assert numbers(hours(Workspace.open(tmp_path))) == (3, 1 + 2 + 2 + 2, 2)


@pytest.mark.parametrize("fault", [planted.silent, planted.raising])
def test_a_model_without_an_answer_fails(tmp_path: Path, fault: Any) -> None:
    with asking(tmp_path, known() | fault()) as asker:
        assert ask(asker, GOOD).status in {422, 500}
        assert ask(asker, [GOOD] * 3).status in {422, 500}
        stop(asker)
        assert numbers(hours(Workspace.open(tmp_path))) == (0, 0, 4)


def test_what_cannot_be_logged_fails(asker: Asker, tmp_path: Path) -> None:
    asker.app.journal.close()
    assert ask(asker, GOOD).status == 503
    assert ask(asker, [GOOD] * 3).status == 503
    stop(asker)
    assert numbers(hours(Workspace.open(tmp_path))) == (0, 0, 4)


def test_without_a_reference_only_the_numbers_are_counted(tmp_path: Path) -> None:
    with asking(tmp_path) as asker:
        ask(asker, [GOOD] * 5)
        ask(asker, BAD)
        assert "relevo_feature_missing_total{" not in asker("GET", "/metrics").body.decode()
        stop(asker)
        assert numbers(hours(Workspace.open(tmp_path))) == (5, 1, 0)


def test_what_was_chosen_for_somebody_is_counted_apart(tmp_path: Path) -> None:
    made = histories.workspace(tmp_path, weeks=4)
    with asgi.over(create_app(made, histories.PROJECT, collect=False)) as asker:
        assert asker("GET", "/v1/recommend/100?k=7").status == 200
        assert ask(asker, {"customer": 100, "product": 1}).status == 200
        stop(asker)
    collect_all(made)

    def rows(*sources: str) -> int:
        found = counted.read(made.lake, histories.PROJECT, "1.0.0", *ALWAYS, bins=None, sources=sources)
        return sum(one.rows for one in found.hours.values())

    assert (rows(REQUESTS), rows(RECOMMENDATIONS), rows(REQUESTS, RECOMMENDATIONS)) == (1, 7, 8)


def test_each_version_counts_what_it_answered(tmp_path: Path) -> None:
    """A champion, its canary, and what is released after them."""
    with asking(tmp_path, known(), known() | SECOND) as asker:
        made, predict = Workspace.open(tmp_path), asker.app.predict
        asked = flights(300)
        by = Counter(one["version"] for one in ask(asker, asked).json())
        challenge.canary(made, "flights", "1.0.1", share=0.5, who="test")
        challenger = Challenger(made, "flights", predict, asker.app.metrics, None)
        challenger.look("news", made.ledger.standing("flights", CHALLENGER))
        challenger.take()
        by.update(one["version"] for one in ask(asker, asked).json())
        for body in asked[:50]:
            by[ask(asker, body).json()["version"]] += 1
        challenge.end(made.ledger, "flights", who="test")
        challenger.look("more news", made.ledger.standing("flights", CHALLENGER))
        challenger.take()
        service.promote(made, "1.0.1")
        found = asker.app.follower.look()
        assert found is not None
        asker.app.follower.take(found)
        by.update(one["version"] for one in ask(asker, asked).json())
        stop(asker)
        for version in ("1.0.0", "1.0.1"):
            assert numbers(hours(made, version)) == (by[version], 0, 0)
        assert min(by["1.0.0"], by["1.0.1"]) > 300


def test_a_canarys_failures_are_its_own(tmp_path: Path) -> None:
    with asking(tmp_path, known(), known() | planted.strict()) as asker:
        made = Workspace.open(tmp_path)
        newest = made.ledger.versions("flights")[0].version
        challenge.canary(made, "flights", newest, share=1.0, who="test")
        challenger = Challenger(made, "flights", asker.app.predict, asker.app.metrics, None)
        challenger.look("news", made.ledger.standing("flights", CHALLENGER))
        challenger.take()
        national = GOOD | {"TIPOVUELO": "N"}
        assert ask(asker, national).json()["version"] == "1.0.0"
        assert {one["version"] for one in ask(asker, [national] * 4).json()} == {"1.0.0"}
        assert ask(asker, GOOD | {"TIPOVUELO": "I"}).json()["version"] == newest
        stop(asker)
        assert numbers(hours(made)) == (5, 0, 0)
        assert numbers(hours(made, newest)) == (1, 5, 0)


def test_an_hour_is_collected_when_it_is_over(
    asker: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the service goes on, and a list may be answered in two hours."""

    def be(moment: datetime) -> None:
        monkeypatch.setattr(clock, "pace", clock.Pace(moment.timestamp() + 1800, 1e-9, 0.0))

    made = Workspace.open(tmp_path)
    be(TEN)
    run = asker.loop.run_until_complete
    run(asker.app.counting.tick())
    ask(asker, flights(20))
    ask(asker, BAD)
    be(ELEVEN)
    ask(asker, flights(30))
    ask(asker, GOOD)
    asker.app.counting.add(*late(asker, 2))
    run(asker.app.counting.tick())
    asker.app.journal.end()
    until(lambda: collected(made) == {TEN: (22, 1), ELEVEN: (31, 0)})
    ask(asker, flights(5))
    stop(asker)
    assert collected(made) == {TEN: (22, 1), ELEVEN: (36, 0)}


def late(asker: Asker, rows: int) -> tuple[Live, bytes, list[Any], list[float]]:
    """Rows of a list whose answering began in the hour before."""
    served = asker.app.predict.serving()
    features = served.features(GOOD, asker.app.metrics)
    return served.live, AT, [features] * rows, [0.5] * rows


def collected(made: Workspace) -> dict[datetime, tuple[int, int]]:
    collect_all(made)
    found = made.ledger.version("flights", "1.0.0")
    assert found is not None
    bins = Bins.of(ModelPackage.load(made.blobs.folder(found.digest)))
    read = counted.read(made.lake, "flights", "1.0.0", *ALWAYS, bins=bins).hours
    return {hour: (one.rows, one.refused) for hour, one in read.items()}


def test_a_flood_does_not_pile_up_and_is_counted_whole(tmp_path: Path, asker: Asker) -> None:
    """The loop does not turn here, so whoever adds must count."""
    live, at, rows, scores = late(asker, 256)
    counting = asker.app.counting

    async def flood() -> int:
        most = 0
        for _ in range(100):
            counting.add(live, at, rows, scores)
            most = max(most, counting.waiting)
        return most

    assert asker.loop.run_until_complete(flood()) <= ROOM
    counting.flush()
    assert counting.waiting == 0
    lines = [
        json.loads(line)
        for path in tmp_path.rglob("counts-*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert [line["rows"] for line in lines] == [25_600]


def test_waiting_rows_are_counted_by_slices_between_other_things(asker: Asker) -> None:
    live, at, rows, scores = late(asker, 3 * SLICE)
    counting = asker.app.counting

    async def turns() -> list[int]:
        counting.add(live, at, rows, scores)
        seen = []
        for _ in range(4):
            await asyncio.sleep(0)
            seen.append(counting.waiting)
        return seen

    assert asker.loop.run_until_complete(turns()) == [2 * SLICE, SLICE, 0, 0]


def test_while_the_disk_takes_nothing_the_counts_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with asking(tmp_path / "made", known()) as asker:
        known_live, at, rows, scores = late(asker, 10)
        live = Live(known_live.version, known_live.bins)
        journal = Journal.open(folder, COUNTS)
        counting = Counting(journal, Metrics())
        shutil.rmtree(folder)
        for _ in range(3):
            counting.add(live, at, rows, scores)
            counting.flush()
        folder.mkdir()
        counting.add(live, at, rows, scores)
        live.failed += 2
        counting.flush()
        counting.flush()
        journal.close()
    lines = [json.loads(line) for path in folder.iterdir() for line in path.read_bytes().splitlines()]
    assert [(line["rows"], line["failed"]) for line in lines] == [(40, 0), (0, 2)]
    assert lines[0]["hour"] == "2026-01-05T10:00:00+00:00" < lines[1]["hour"]


def metrics(asker: Asker) -> dict[str, float]:
    lines = asker("GET", "/metrics").body.decode().splitlines()
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    assert len({name for name, _, _ in samples}) == len(samples)  # Prometheus refuses a sample told twice
    return {name: float(value) for name, _, value in samples}


def test_metrics_tell_each_cell_and_what_is_missing_or_strange(asker: Asker) -> None:
    ask(asker, [GOOD | {"Emp-I": "LAN"}] * 3 + [GOOD | {"Emp-I": "NEW"}] * 2)
    live, at, (row,), scores = late(asker, 1)
    asker.app.counting.add(live, at, [(None, *row[1:])], scores)
    shown = metrics(asker)
    values = {name: n for name, n in shown.items() if name.startswith("relevo_feature_values_total{")}
    assert values['relevo_feature_values_total{feature="airline",cell="LAN"}'] == 3
    assert values['relevo_feature_values_total{feature="airline",cell="…"}'] == 2
    assert shown['relevo_feature_strange_total{feature="airline"}'] == 2
    assert shown['relevo_feature_missing_total{feature="airline"}'] == 1
    by = Counter[str]()
    for name, n in values.items():
        by[name.split('"')[1]] += int(n)
    bins = asker.app.predict.serving().live.bins
    assert bins is not None
    assert {
        name: n + shown[f'relevo_feature_missing_total{{feature="{name}"}}'] for name, n in by.items()
    } == (dict.fromkeys([*bins.features, "(score)"], 6))


def test_the_cells_can_be_left_out_of_the_metrics(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, known())
    settings = ServiceSettings(feature_metrics=False)
    with asgi.over(create_app(made, "flights", settings=settings, collect=False)) as asker:
        ask(asker, [GOOD] * 3)
        shown = metrics(asker)
    assert not any(name.startswith("relevo_feature_values_total") for name in shown)
    assert shown['relevo_feature_missing_total{feature="airline"}'] == 0


def test_cells_of_several_processes_add_up_and_those_of_old_bins_are_forgotten() -> None:
    reference, total = planted.reference(), Metrics()
    old, one, other = (
        Bins(reference | {"pairs": [["hour", name]]}) for name in ("month", "weekday", "day_of_month")
    )
    row = [None] * len(one.features)
    for part in (Metrics(), Metrics()):
        for bins in (old, one, other):
            part.count(bins, bins.rows([row] * 2, [0.5] * 2), cells=True)
        assert [*part.cells] == [one.digest, other.digest]
        total.merge(json.loads(json.dumps(part.state())))
    assert total.cells[one.digest].tolist() == one.rows([row] * 4, [0.5] * 4).tolist()
    assert total.lacking == dict.fromkeys(one.features, 12) | {"(score)": 0}


FAST = "2026-01-05T10:00:00+00:00 120.0 "
"""A clock by which a minute takes half a second."""


def flushed(root: Path) -> int:
    """Rows in the journal's counts."""
    lines = [
        line
        for path in (root / ".relevo" / "log").glob("counts-*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    return sum(json.loads(line)["rows"] for line in lines)


@pytest.mark.slow
def test_a_killed_service_loses_the_counts_since_the_last_flush_and_no_prediction(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, known())
    pace = {"RELEVO_CLOCK": FAST + repr(datetime.now(UTC).timestamp())}
    running = service.start(tmp_path, variables=pace | UNCOLLECTED)
    running.ask(flights(300))
    until(lambda: flushed(tmp_path) == 300)
    running.ask(flights(50))
    running.stop(signal.SIGKILL)
    kept = flushed(tmp_path)
    running = service.start(tmp_path, variables=pace)
    running.ask(flights(7))
    assert running.stop() == 0
    found = made.ledger.version("flights", "1.0.0")
    assert found is not None
    bins = Bins.of(ModelPackage.load(made.blobs.folder(found.digest)))
    read = counted.read(made.lake, "flights", "1.0.0", *ALWAYS, bins=bins)
    assert kept in {300, 350}
    assert numbers(dict(read.hours)) == (kept + 7, 0, 0)
    with made.lake.connect() as connection:
        made.lake.bind(connection, "predictions", as_="found")
        assert connection.execute("select count(*) from found").fetchall() == [(357,)]


@pytest.mark.slow
def test_workers_count_for_one_service_and_what_they_counted_outlives_them(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, known(), known() | SECOND)
    running = service.start(tmp_path, workers=2)
    sums = [0.0]

    def press() -> None:
        until(lambda: running.metric("relevo_requests_total") > 400)
        service.promote(made, "1.0.1")
        until(lambda: running.metric('relevo_workers{version="1.0.1"}') == 2)
        before = running.metric("relevo_requests_total")
        until(lambda: running.metric("relevo_requests_total") > before + 400)

    load = service.press(running.url, flights(100), press)
    assert (load.others, load.broken) == ([], 0)
    by = Counter(answer["version"] for _, answer in load.answers)

    def shown() -> float:
        return running.metric("relevo_feature_values_total") + running.metric("relevo_feature_missing_total")

    width = len(small.fitted().encoders) + 1
    until(lambda: running.metric("relevo_feature_missing_total") >= 0 and shown() >= by["1.0.1"] * width)
    sums[0] = running.metric("relevo_feature_missing_total")
    victim = max(service.workers(running))
    os.kill(victim, signal.SIGTERM)
    until(lambda: victim not in service.workers(running) and len(service.workers(running)) == 2)
    assert running.metric("relevo_feature_missing_total") >= sums[0]
    assert running.stop() == 0
    for version in ("1.0.0", "1.0.1"):
        assert numbers(hours(made, version)) == (by[version], 0, 0)
        assert by[version] > 100
