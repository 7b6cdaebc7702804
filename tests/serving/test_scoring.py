"""Streams over HTTP: one answer a row, those of ``relevo score``, in order, of one version, logged and resumable."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pytest

from relevo.lake import Lake
from relevo.package import ModelPackage
from relevo.score import score
from relevo.serving.problems import Refusal
from relevo.serving.scoring import AT_ONCE, Scoring
from support import asgi, service, small

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.service import Service

CSV, JSONL, ARROW = "text/csv", "application/jsonl", "application/vnd.apache.arrow.stream"
Row = dict[str, Any]


def flights(count: int, seed: int = 0) -> list[Row]:
    rng = random.Random(seed)
    return [small.body(small.request(rng)) for _ in range(count)]


def as_csv(rows: Sequence[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_jsonl(rows: Sequence[Row]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def as_arrow(rows: Sequence[Row]) -> bytes:
    out = io.BytesIO()
    made = pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(out, made.schema) as writer:
        writer.write_table(made, max_chunksize=300)
    return out.getvalue()


WRITTEN = {CSV: as_csv, JSONL: as_jsonl, ARROW: as_arrow}


def understood(response: httpx.Response) -> list[Row]:
    """Read an answer of any format into dicts without nulls."""
    kind = response.headers["content-type"].partition(";")[0]
    if kind == ARROW:
        rows = pa.ipc.open_stream(response.content).read_all().to_pylist()
    elif kind == CSV:
        truth = {"true": True, "false": False}
        rows = [
            {
                **row,
                "row": int(row["row"]) if row["row"] else None,
                "probability": float(row["probability"]) if row["probability"] else None,
                "decision": truth.get(row["decision"]),
            }
            for row in csv.DictReader(io.StringIO(response.text, newline=""))
        ]
    else:
        rows = [json.loads(line) for line in response.text.splitlines()]
    return [{name: value for name, value in row.items() if value not in (None, "")} for row in rows]


def ask(running: Service, body: Any, kind: str = CSV, path: str = "", **headers: str) -> httpx.Response:
    sent = {"content-type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    return running.client.post("/v1/score" + path, content=body, headers=sent)


@pytest.mark.parametrize("into", [CSV, JSONL, ARROW])
@pytest.mark.parametrize("kind", [CSV, JSONL, ARROW])
def test_every_format_gives_the_answers_of_predict(running: Service, kind: str, into: str) -> None:
    rows = flights(700)
    response = ask(running, WRITTEN[kind](rows), kind, accept=into)
    assert response.status_code == 200
    assert response.headers["x-relevo-version"] == "1.0.0"
    found = understood(response)
    expected = running.ask(rows).json()
    assert [row["row"] for row in found] == list(range(1, 701))
    names = ("probability", "decision", "label", "version")
    assert [[row[n] for n in names] for row in found] == [[row[n] for n in names] for row in expected]
    assert len({row["id"] for row in found}) == 700


def messy(count: int) -> Iterator[Row]:
    """Rows with nulls, blanks, other spellings of values, and mistakes."""
    rng = random.Random(7)
    spoil = {
        "Fecha-I": ["", "?", "2017-02-30 00:00:00", "2017-07-14T19:35", " 2017-07-14 ", "14/07/2017"],
        "Vlo-I": ["", "?", "  ", "123456789", " 22 "],
        "Des-I": ["scfa", "", "SCFA ", "SCF\u00c1"],
        "Emp-I": ["SK U", "?", "\u00a0SKU"],
        "TIPOVUELO": ["i", "", "N\t", "true"],
    }
    for row in flights(count, 1):
        name = rng.choice(list(spoil))
        yield {**row, name: rng.choice(spoil[name])} if rng.random() < 0.5 else row


@pytest.mark.parametrize("nulls", [(), ("?", " n/a ")])
def test_the_same_files_are_answered_as_the_command_does(tmp_path: Path, nulls: tuple[str, ...]) -> None:
    rows = list(messy(600))
    with asgi.asking(tmp_path / "served", {"nulls": nulls}) as asker:
        package = ModelPackage.load(tmp_path / "served" / "package0")
        for kind, body in (
            ("csv", as_csv(rows)),
            ("jsonl", as_jsonl([*rows, {**rows[0], "Vlo-I": 226}, {**rows[0], "Vlo-I": 1.5}])),
        ):
            lines = body.splitlines(keepends=True)
            lines[5] = lines[5].replace(b",", b"", 1) if kind == "csv" else b"{\n"
            lines[6] = b'"' + lines[6]
            source = tmp_path / f"in.{kind}"
            source.write_bytes(b"".join(lines))
            expected = by_command(package, source, tmp_path)
            heard = asker("POST", "/v1/score", lines, {"content-type": f"{MEDIA[kind]}", "accept": JSONL})
            found = [json.loads(line) for line in heard.body.splitlines()]
            assert [(r.get("probability"), r.get("label", ""), "error" in r) for r in found] == expected
            assert 100 < sum("error" in row for row in found) < 400


MEDIA = {"csv": CSV, "jsonl": JSONL}


def by_command(package: ModelPackage, source: Path, folder: Path) -> list[tuple[float | None, str, bool]]:
    """What ``relevo score`` writes: probability, label, and whether the row was refused."""
    lake = Lake(folder / "lake", scratch=folder / "scratch", threads=1)
    score(lake, package, source, folder / "out.csv", nulls=package.manifest.nulls)
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        return [
            (
                float(row["probability"]) if row["probability"] else None,
                row["decision"],
                bool(row["problems"]),
            )
            for row in csv.DictReader(file)
        ]


def test_a_refused_row_says_why_in_the_callers_language(running: Service) -> None:
    rows = flights(4)
    rows[1] |= {"Fecha-I": "31/02/2017", "TIPOVUELO": "O"}
    rows[2]["Emp-I"] = ""
    found = understood(ask(running, as_csv(rows)))
    assert found[1] == {
        "row": 2,
        "version": "1.0.0",
        "error": "Fecha-I: must be a date and time such as 2017-01-31 23:30:00. TIPOVUELO: must be one of: I, N.",
    }
    assert found[2]["error"] == "Emp-I: is empty, but the contract allows no null."
    assert "probability" in found[0]
    assert "probability" in found[3]
    spanish = understood(ask(running, as_csv(rows), accept_language="es"))
    assert spanish[2]["error"] == "Emp-I: está vacío, pero el contrato no permite null."
    assert "31/02/2017" not in found[1]["error"]


def test_a_stream_can_be_taken_up_where_it_broke_off(running: Service) -> None:
    rows = flights(600)
    rows[299]["Des-I"] = "x"
    whole = understood(ask(running, as_csv(rows)))
    rest = understood(ask(running, as_csv(rows), path="?offset=297&version=1.0.0"))
    assert [row["row"] for row in rest] == list(range(298, 601))
    assert [row.get("probability") for row in rest] == [row.get("probability") for row in whole[297:]]
    assert understood(ask(running, as_csv(rows), path="?offset=600")) == []
    assert understood(ask(running, as_csv(rows), if_match='"1.0.0"', path="?offset=599"))[0]["row"] == 600


@pytest.mark.parametrize(
    ("path", "headers", "status", "kind"),
    [
        ("?version=1.0.1", {}, 409, "other-version"),
        ("", {"if-match": '"1.0.1"'}, 412, "precondition"),
        ("?offset=-1", {}, 422, "contract"),
        ("?offset=x", {}, 422, "contract"),
        ("?offset=" + "9" * 19, {}, 422, "contract"),
        ("?x=" + "9" * 20_000, {}, 422, "contract"),
        ("", {"content-type": "application/json"}, 415, "stream-type"),
        ("", {"content-type": "text/csv; charset=latin-1"}, 415, "stream-type"),
        ("", {"content-type": "text/csv; header=absent"}, 415, "stream-type"),
        ("", {"content-encoding": "gzip"}, 415, "stream-type"),
        ("", {"accept": "text/html"}, 406, "not-acceptable"),
        ("", {"accept": "text/csv;q=0"}, 406, "not-acceptable"),
    ],
)
def test_what_cannot_begin_is_a_problem(
    running: Service, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    sent = {"content-type": CSV} | headers
    response = running.client.post("/v1/score" + path, content=as_csv(flights(2)), headers=sent)
    assert (response.status_code, response.json()["type"]) == (status, f"/docs#{kind}")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", CSV),
        ("application/*", JSONL),
        ("text/html, application/jsonl;q=0.5, */*;q=0.1", JSONL),
        (f"{CSV};q=0.2, {ARROW}", ARROW),
    ],
)
def test_the_answers_format_is_the_callers_choice(running: Service, accept: str, wanted: str) -> None:
    response = ask(running, as_csv(flights(2)), accept=accept)
    assert response.headers["content-type"].partition(";")[0] == wanted


def test_a_header_without_its_columns_is_refused_though_much_follows(running: Service) -> None:
    body = (line for line in [b"Fecha-I,Vlo-I\n"] + [b"2017-01-01,22\n" * 5000] * 60)
    response = ask(running, body)
    assert (response.status_code, response.json()["type"]) == (400, "/docs#unreadable")
    assert "“Des-I”, “Emp-I”, “TIPOVUELO”" in response.json()["reason"]


def test_a_damaged_stream_ends_with_a_row_that_says_so(running: Service) -> None:
    body = as_arrow(flights(900))
    for into in (ARROW, JSONL, CSV):
        found = understood(ask(running, body[:-100], ARROW, accept=into))
        assert [row["row"] for row in found[:-1]] == list(range(1, 601))
        assert found[-1] == {
            "version": "1.0.0",
            "error": "The body cannot be read on from here: the Arrow data are damaged (the end is missing).",
        }


def test_answers_come_while_the_body_is_still_being_sent(running: Service) -> None:
    """One row is sent, its answer read, then the next is sent."""
    lines = as_jsonl(flights(5)).splitlines()
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/jsonl\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        heard = b""
        for number, line in enumerate(lines, 1):
            connection.sendall(b"%x\r\n%b\n\r\n" % (len(line) + 1, line))
            while b'{"row":%d,' % number not in heard:
                heard += connection.recv(65536)
        connection.sendall(b"0\r\n\r\n")
        while not heard.endswith(b"0\r\n\r\n"):
            heard += connection.recv(65536)


def test_a_caller_who_reads_only_when_all_is_sent_is_answered(running: Service) -> None:
    """With socket buffers of a few kilobytes, the answer is ten times what both ends can hold."""
    rows = flights(500) * 60
    body = as_jsonl(rows)
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((host, int(port)))
        connection.sendall(
            b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/jsonl\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        pieces = []
        while piece := connection.recv(1 << 20):
            pieces.append(piece)
    heard = b"".join(pieces)
    assert heard.count(b'{"row":') >= 30_000 - 100  # a chunk's end may cut a few of them
    assert heard.endswith(b"0\r\n\r\n")


def test_single_requests_are_answered_in_between(running: Service) -> None:
    """While the stream goes on, which it does until enough of them were."""
    head, _, rows = as_csv(flights(500)).partition(b"\n")
    answered, end = 0, time.monotonic() + 120

    def body() -> Iterator[bytes]:
        yield head + b"\n"
        while answered <= 20 and time.monotonic() < end:
            yield rows

    def stream() -> None:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            client.post("/v1/score", content=body(), headers={"content-type": CSV})

    thread = threading.Thread(target=stream)
    thread.start()
    while thread.is_alive():
        answered += running.ask(service.GOOD).status_code == 200
    thread.join()
    assert answered > 20


def test_what_is_answered_was_logged_as_the_request_that_it_is(tmp_path: Path) -> None:
    service.workspace(tmp_path)
    started = service.start(tmp_path, variables=service.UNCOLLECTED)
    try:
        rows = flights(300)
        rows[7]["Emp-I"] = ""
        rows[8]["Vlo-I"] = " 22 "
        found = understood(ask(started, as_csv(rows)))
        lines = [
            json.loads(line)
            for path in sorted((tmp_path / ".relevo" / "log").glob("predictions-*.jsonl"))
            for line in path.read_text().splitlines()
        ]
    finally:
        assert started.stop() == 0
    logged = {line["id"]: line for line in lines}
    assert set(logged) == {row["id"] for row in found if "id" in row}
    assert len(logged) == 299
    line = logged[found[8]["id"]]
    wanted = {**rows[8], "Vlo-I": "22", "Fecha-I": rows[8]["Fecha-I"].replace(" ", "T")}
    assert line["request"] == wanted
    assert line["probability"] == found[8]["probability"]


@pytest.mark.slow
def test_a_stream_keeps_its_version_when_another_is_released(tmp_path: Path) -> None:
    made = service.workspace(tmp_path, {}, service.SECOND)
    started = service.start(tmp_path)
    first, second = as_jsonl(flights(300)), as_jsonl(flights(300, 1))

    def body() -> Iterator[bytes]:
        yield first + b"\n"
        service.promote(made, "1.0.1")
        end = time.monotonic() + 120
        with httpx.Client(base_url=started.url, timeout=60) as client:
            while client.get("/ready").json()["version"] != "1.0.1" and time.monotonic() < end:
                time.sleep(0.05)
        yield second

    try:
        found = understood(ask(started, body(), JSONL))
        refused = ask(started, second, JSONL, "?offset=300&version=1.0.0")
    finally:
        assert started.stop() == 0
    assert len(found) == 600
    assert {row["version"] for row in found} == {"1.0.0"}
    assert refused.status_code == 409
    assert "It is 1.0.1." in refused.json()["detail"]


def test_a_full_disk_breaks_the_stream_off_visibly(tmp_path: Path) -> None:
    """Nothing is taken, and the answers can wait nowhere: the answer must not end as a whole one does."""
    (tmp_path / "full").write_text("no folder can be made below this")
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": as_jsonl(flights(500) * 40), "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()
        sent.append(message)

    with asgi.asking(tmp_path / "served") as asker:
        scoring = Scoring(asker.app.predict, asker.app.metrics, tmp_path / "full" / "scratch")
        headers = [(b"content-type", JSONL.encode())]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/score", "headers": headers}
        scope |= {"relevo.id": b"", "relevo.path": "/v1/score"}
        scope["relevo.problem"] = partial(asker.app.door.problem, scope)
        asker.loop.run_until_complete(scoring(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start"]


def test_a_caller_who_sends_nothing_is_refused_or_ended(tmp_path: Path) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    def ask_and_wait(idle: float, kind: str, *pieces: bytes) -> bytes:
        left = iter(pieces)

        async def receive() -> Any:
            piece = next(left, None)
            if piece is None:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": piece, "more_body": True}

        sent.clear()
        scoring = Scoring(asker.app.predict, asker.app.metrics, tmp_path, idle=idle)
        scope = {"type": "http", "headers": [(b"content-type", kind.encode())]}
        asker.loop.run_until_complete(scoring(scope, receive, send))
        return b"".join(message.get("body", b"") for message in sent)

    with asgi.asking(tmp_path) as asker:
        body = b""
        for idle in (0.2, 2, 20):
            with suppress(Refusal):  # this process itself stood still for so long
                body = ask_and_wait(idle, JSONL, b"", as_jsonl(flights(2)) + b"\n")
            if body.count(b'"probability"') == 2:
                break
        assert body.count(b'"probability"') == 2
        assert sent[-1]["more_body"]
        with pytest.raises(Refusal, match="too-slow"):
            ask_and_wait(0.2, CSV)


def test_more_streams_than_may_be_open_are_told_to_come_again(tmp_path: Path) -> None:
    """While they are open; when one ends the next is answered."""
    headers = [(b"content-type", JSONL.encode())]

    async def send(_: Any) -> None:
        """Take it."""

    def scope(app: Any) -> dict[str, Any]:
        made = {
            "type": "http",
            "method": "POST",
            "path": "/v1/score",
            "headers": headers,
            "query_string": b"",
        }
        return made | {"relevo.problem": partial(app.door.problem, made)}

    async def all_of_them(scoring: Scoring, app: Any) -> None:
        end = asyncio.Event()

        async def receive() -> Any:
            await end.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        streams = [asyncio.ensure_future(scoring(scope(app), receive, send)) for _ in range(AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await scoring(scope(app), receive, send)
        assert refused.value.kind == "busy"
        end.set()
        await asyncio.gather(*streams)
        await scoring(scope(app), receive, send)

    with asgi.asking(tmp_path / "served") as asker:
        app = asker.app
        scoring = Scoring(app.predict, app.metrics, tmp_path / "scratch")
        asker.loop.run_until_complete(all_of_them(scoring, app))
