"""The short way and the long way are one; and a connection that misbehaves hurts nobody else."""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import service
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("wire")  # one process makes what they share

ANYWHERE = "0.0.0.0"  # noqa: S104 - to see that it is refused
BODY = json.dumps(GOOD).encode()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    """A service with little patience."""
    root = tmp_path_factory.mktemp("strict")
    service.workspace(root)
    (root / "relevo.toml").write_text("[serve]\ntimeout = 1.0\n")
    started = service.start(root)
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    """A service of which nobody gets much."""
    root = tmp_path_factory.mktemp("limited")
    service.workspace(root)
    (root / "relevo.toml").write_text('[serve]\nrate = "20/s"\n')
    started = service.start(root)
    yield started
    assert started.stop() == 0


def connect(asked: service.Service) -> socket.socket:
    host, _, port = asked.url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def request(body: bytes, *more: bytes) -> bytes:
    lines = [b"POST /v1/predict HTTP/1.1", b"host: x", b"content-type: application/json", *more]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


def answers(connection: socket.socket, number: int) -> list[tuple[int, dict[str, str], bytes]]:
    """Read so many answers, in order."""
    found: list[tuple[int, dict[str, str], bytes]] = []
    data = b""
    while len(found) < number:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            length = int(headers["content-length"])
            if len(rest) >= length:
                found.append((int(lines[0].split()[1]), headers, rest[:length]))
                data = rest[length:]
                continue
        more = connection.recv(65536)
        assert more, (found, data)
        data += more
    return found


def plain(body: bytes) -> bytes:
    """An answer without what differs between any two."""
    return re.sub(rb'"id":"[^"]*"', b'"id":""', body)


def ask_both_ways(asked: service.Service, body: bytes) -> tuple[list[object], list[object]]:
    """What the long way says of a body, and what the short way says."""
    with connect(asked) as connection:
        connection.sendall(request(BODY.ljust(len(body)), b"x-way: %d" % len(body)))  # teaches it the head
        answers(connection, 1)
        shown = []
        for more in (b"x-request-id: long", b"x-way: %d" % len(body)):
            connection.sendall(request(body, more))
            ((status, headers, told),) = answers(connection, 1)
            headers = {
                n: v for n, v in headers.items() if n not in {"x-request-id", "date", "content-length"}
            }
            shown.append([status, headers, plain(told)])
    return shown[0], shown[1]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(["SCEL", "2017-07-14 19:35:00", "N", "I"]), st.lists(st.integers(), max_size=2),
)  # fmt: skip
ROWS = st.dictionaries(st.sampled_from([*GOOD, "other"]), VALUES).map(lambda change: {**GOOD, **change})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_the_short_way_says_what_the_long_way_says(running: service.Service, row: dict[str, object]) -> None:
    body = json.dumps(row).encode()
    long, short = ask_both_ways(running, body.ljust(len(BODY)))
    assert short == long


@pytest.mark.parametrize(
    "body", [b"{", b"{}", b'{"a":1,"a":2}', b"{" * 200, b"[" + BODY + b"]", b"nul", b'"\xff"']
)
def test_so_it_does_of_what_is_no_request(running: service.Service, body: bytes) -> None:
    long, short = ask_both_ways(running, body.ljust(len(BODY)))
    assert short == long


def test_a_known_head_goes_the_short_way(running: service.Service) -> None:
    """Its answer's id is the prediction's own; on the long way the request has one of its own."""
    with connect(running) as connection:
        ids = []
        for _ in range(2):
            connection.sendall(request(BODY, b"x-only: here"))
            ((_, headers, told),) = answers(connection, 1)
            ids.append(headers["x-request-id"] == json.loads(told)["id"])
    assert ids == [False, True]


def test_requests_that_come_at_once_are_answered_in_order(running: service.Service) -> None:
    bodies = [json.dumps({**GOOD, "Vlo-I": f"{number:03}"}).encode() for number in range(20)]
    with connect(running) as connection:
        connection.sendall(request(bodies[0]))
        answers(connection, 1)
        connection.sendall(request(bodies[0]))
        connection.sendall(
            b"".join(request(body, *([b"x-long: 1"] * (n % 3))) for n, body in enumerate(bodies))
        )
        found = answers(connection, 21)
    assert [status for status, _, _ in found] == [200] * 21
    ids = [json.loads(told)["id"] for _, _, told in found]
    assert ids == sorted(ids)


def test_requests_cut_anywhere_are_answered_alike(running: service.Service) -> None:
    whole = request(BODY)
    with connect(running) as connection:
        for cut in range(1, len(whole), 7):
            connection.sendall(whole[:cut])
            time.sleep(0.001)
            connection.sendall(whole[cut:] + whole)
            assert [status for status, _, _ in answers(connection, 2)] == [200, 200]


def test_a_correlation_id_is_the_callers_own(running: service.Service) -> None:
    answer = running.ask({}, x_request_id="shop-77:1")
    assert answer.headers["x-request-id"] == "shop-77:1"
    assert answer.json()["id"] == "shop-77:1"
    strange = running.ask({}, x_request_id="a b")
    assert strange.headers["x-request-id"] == strange.json()["id"] != "a b"


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GARBAGE\r\n\r\n", 400), (b"POST /v1/predict HTTP/1.1\r\n" + b"x: y\r\n" * 20000, 431)],
)
def test_what_is_no_request_is_refused_and_closed(running: service.Service, sent: bytes, status: int) -> None:
    with connect(running) as connection:
        connection.sendall(sent)
        ((found, headers, told),) = answers(connection, 1)
        assert (found, headers["content-type"]) == (status, "application/problem+json")
        assert json.loads(told)["status"] == status


def test_who_sends_slowly_is_told_so_and_stops_nobody(strict: service.Service) -> None:
    """A hundred connections that send a letter at a time; requests of others are answered all the while."""
    slow, quick = [connect(strict) for _ in range(100)], connect(strict)
    head = request(BODY)
    began = time.monotonic()
    sent = 0
    while time.monotonic() - began < 3:
        for one in slow:
            try:
                one.send(head[sent : sent + 1])
            except OSError:
                continue
        sent = min(sent + 1, 60)
        quick.sendall(head)  # at once: who is held up between two pieces would be slow too
        assert [status for status, _, _ in answers(quick, 1)] == [200]
        time.sleep(0.05)
    ended = [one.recv(4096)[:12] for one in slow]
    assert ended == [b"HTTP/1.1 408"] * 100
    for one in (*slow, quick):
        one.close()


def test_a_body_that_does_not_come_is_not_waited_for(strict: service.Service) -> None:
    with connect(strict) as connection:
        connection.sendall(request(BODY)[:-5])
        ((status, _, told),) = answers(connection, 1)
    assert (status, json.loads(told)["type"]) == (408, "/docs#timeout")


def test_a_body_owed_to_a_refused_request_is_not_waited_for(strict: service.Service) -> None:
    """Otherwise anybody could hold connections for ever that way, without a key."""
    with connect(strict) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        ((status, _, _),) = answers(connection, 1)
        assert status == 404
        assert connection.recv(10) == b""


def test_trailers_without_end_are_cut_off(strict: service.Service) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
    with connect(strict) as connection:
        connection.sendall(head)
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            connection.sendall((b"a: %b\r\n" % (b"x" * 10_000)) * 5000)


def test_who_sends_requests_by_the_thousand_fills_no_memory(running: service.Service) -> None:
    """They wait at the sender's: no more is read while requests wait that were read already."""
    process = psutil.Process(running.process.pid)
    before = process.memory_info().rss
    many = b"GET /v1/model HTTP/1.1\r\n\r\n" * 5000
    with connect(running) as connection, suppress(OSError):
        connection.settimeout(0.1)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with suppress(TimeoutError):
                connection.send(many)
            with suppress(TimeoutError):
                connection.recv(1 << 16)
    assert process.memory_info().rss - before < 60 << 20


@pytest.mark.slow
def test_who_sends_a_stream_and_reads_later_is_waited_for(strict: service.Service) -> None:
    """For longer than a caller may take no answers who sends nothing either."""
    rows = b"".join(BODY + b"\n" for _ in range(2000))

    def heard() -> bytes:
        """The answer; nothing where it was broken off, as it may be when this process itself stood still."""
        told = b""
        with connect(strict) as connection, suppress(ConnectionError):
            connection.settimeout(120)
            connection.sendall(
                b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/jsonl\r\n"
                b"connection: close\r\ncontent-length: %d\r\n\r\n" % (60 * len(rows))
            )
            for _ in range(60):
                connection.sendall(rows)
                time.sleep(0.05)
            while more := connection.recv(1 << 20):
                told += more
        return told

    assert any(heard().endswith(b"0\r\n\r\n") for _ in range(5))


def test_too_many_requests_are_told_when_to_come_again(limited: service.Service) -> None:
    """On both ways; the next second they are answered."""
    kinds, late = Counter[int](), set[str]()
    end = time.monotonic() + 120
    with connect(limited) as connection:
        while kinds[429] <= 100 or kinds[200] < 20:
            assert time.monotonic() < end, kinds
            connection.sendall(request(BODY))
            ((status, headers, _),) = answers(connection, 1)
            kinds[status] += 1
            if status == 429:
                late.add(headers["retry-after"])
    assert late == {"1"}
    time.sleep(1.1)
    assert limited.ask(GOOD).status_code == 200
    assert limited.metric("relevo_refusals_total") >= kinds[429]


def test_others_cannot_ask_without_a_key(tmp_path: Path) -> None:
    """Beyond this machine the service is not opened, and says what to type."""
    service.workspace(tmp_path)
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "relevo", "serve", str(tmp_path), "--host", ANYWHERE, "--port", "0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "relevo keys create --scope predict" in done.stderr
