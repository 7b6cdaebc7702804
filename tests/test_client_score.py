"""Files streamed through a service: answered in order, resumed after a break, whole or not there at all."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relevo import AsyncClient, Client
from relevo.errors import RequestError, ServiceError, WorkspaceError
from support.loopback import Asked, answering, reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 3000
CHUNK = 1 << 16


def asked_for(one: Asked) -> dict[str, str]:
    return {name: found[0] for name, found in parse_qs(urlsplit(one.path).query).items()}


def lines(one: Asked) -> list[bytes]:
    """What the service says to a file of numbered rows: one line for each beyond the offset, errors in place."""
    rows = list(csv.reader(io.StringIO(one.body.decode())))[1:]
    first = int(asked_for(one).get("offset", "0"))
    found = []
    for number, (value,) in enumerate(rows[first:], first + 1):
        if one.headers["content-type"] == "text/csv":
            found.append(f'{number},"{value}\nsaid ""{number}""",\n'.encode())
        else:
            found.append(json.dumps({"row": number, "id": value}).encode() + b"\n")
    head = [b"row,id,error\n"] if one.headers["content-type"] == "text/csv" else []
    return head + found


def streamed(*pieces: bytes, version: str = "1.0.0", whole: bool = True) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    life = "keep-alive" if whole else "close"
    head = f"HTTP/1.1 200 OK\r\nx-relevo-version: {version}\r\nconnection: {life}\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + chunks + (b"0\r\n\r\n" if whole else b"")


def broken(share: float, times: int = 1, version: str = "1.0.0") -> Callable[[Asked], bytes]:
    """Answer, but break off the first ``times`` answers in the middle of a line."""
    left = [times]

    def answer(one: Asked) -> bytes:
        said = b"".join(lines(one))
        if left[0]:
            left[0] -= 1
            return streamed(said[: int(len(said) * share)], version=version, whole=False)
        return streamed(said, version=version)

    return answer


def source(folder: Path, ending: str = "csv") -> Path:
    file = folder / f"in.{ending}"
    file.write_text("n\n" + "".join(f"{number}\n" for number in range(COUNT)))
    return file


def by_both(url: str, given: Path, folder: Path, **options: Any) -> list[bytes]:
    """The files that the two clients write."""

    async def awaited() -> int | None:
        async with AsyncClient(url, **options) as client:
            return await client.score(given, folder / "b.out")

    with Client(url, **options) as client:
        assert client.score(given, folder / "a.out") == asyncio.run(awaited())
    assert {path.name for path in folder.iterdir()} == {given.name, "a.out", "b.out"}
    return [(folder / name).read_bytes() for name in ("a.out", "b.out")]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_is_answered_row_by_row(tmp_path: Path, ending: str) -> None:
    given = source(tmp_path, ending)
    with answering(lambda one: streamed(*lines(one))) as server:
        found = by_both(server.url, given, tmp_path)
        expected = b"".join(lines(server.asked[0]))
    assert found == [expected, expected]
    assert server.asked[0].body == given.read_bytes()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.37, 0.9999])
def test_a_stream_that_breaks_goes_on_after_the_last_whole_row(
    tmp_path: Path, ending: str, share: float
) -> None:
    given = source(tmp_path, ending)
    with answering(broken(share)) as server, Client(server.url) as client:
        assert client.score(given, tmp_path / "out") == COUNT
        expected = b"".join(lines(Asked("POST", "/", server.asked[0].headers, given.read_bytes())))
    assert (tmp_path / "out").read_bytes() == expected
    again = asked_for(server.asked[1])
    assert again["version"] == "1.0.0"
    assert abs(int(again.get("offset", "0")) - share * COUNT) < COUNT / 10


def test_breaks_after_which_more_was_answered_do_not_use_the_tries_up(tmp_path: Path) -> None:
    given = source(tmp_path)
    with answering(broken(0.5, times=3)) as server:
        found = by_both(server.url, given, tmp_path, tries=2)
        assert len(server.asked) == 5
        expected = b"".join(lines(Asked("POST", "/", server.asked[0].headers, given.read_bytes())))
    assert found == [expected, expected]


def test_a_stream_of_arrow_begins_anew(tmp_path: Path) -> None:
    turn = iter([streamed(b"half", whole=False), streamed(b"whole \n, a stream")])
    given = source(tmp_path, "arrow")
    with answering(lambda _: next(turn)) as server, Client(server.url) as client:
        assert client.score(given, tmp_path / "out") is None
    assert (tmp_path / "out").read_bytes() == b"whole \n, a stream"
    assert asked_for(server.asked[1]) == {"version": "1.0.0"}
    assert server.asked[1].body == given.read_bytes()
    assert server.asked[1].headers["content-type"] == "application/vnd.apache.arrow.stream"


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """By how many seconds the clients' clock is ahead of the machine's: what a server adds passes while it answers."""
    found: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(found))
    for module in ("retries", "scoring"):
        monkeypatch.setattr(f"relevo.client.{module}.time", clock)
    return found


def test_the_time_of_a_stream_is_no_waiting(tmp_path: Path, ahead: list[float]) -> None:
    """A large file that breaks off after a while is tried again, however little patience there is."""
    given = source(tmp_path, "arrow")
    turns: list[int] = []

    def answer(_: Asked) -> bytes:
        turns.append(1)
        if len(turns) % 2:
            ahead.append(1000)
            return streamed(b"half", whole=False)
        return streamed(b"whole")

    with answering(answer) as server:
        found = by_both(server.url, given, tmp_path, patience=60)
    assert (found, len(turns)) == ([b"whole", b"whole"], 4)


def test_a_file_that_breaks_off_on_its_way_there_is_sent_again(tmp_path: Path, ahead: list[float]) -> None:
    """The time in which it was sent is not waiting either."""
    given = tmp_path / "in.arrow"
    given.write_bytes(bytes(16 << 20))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)

        def serve() -> None:
            slow, _ = listener.accept()
            for number in range(192):
                slow.recv(CHUNK, socket.MSG_WAITALL)
                if number == 16:  # what follows is more than the kernel holds: the client reads on
                    ahead.append(1000)
            slow.close()
            whole, _ = listener.accept()
            with whole, whole.makefile("rb") as sent:
                last = b""
                while not last.endswith(b"\r\n0\r\n\r\n"):  # which may come in two pieces
                    last = (last + sent.read1(CHUNK))[-CHUNK:]
                whole.sendall(streamed(b"whole"))

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", patience=60, timeout=60) as client:
            assert client.score(given, tmp_path / "out") is None
        thread.join()
    assert (tmp_path / "out").read_bytes() == b"whole"


PATIENCE, EACH = 1.5, 0.7
"""Seconds for all tries, and for one: there is time for two. Beside the first two waits alone there is for three."""


def tried(url: str, given: Path, **options: Any) -> list[str]:
    """What the two clients note when they give a file up."""

    async def awaited() -> None:
        async with AsyncClient(url, patience=PATIENCE, **options) as client:
            await client.score(given, given.with_name("b.out"))

    def waited() -> None:
        with Client(url, patience=PATIENCE, **options) as client:
            client.score(given, given.with_name("a.out"))

    def noted(ask: Callable[[], None]) -> str:
        with pytest.raises(ServiceError, match=r"does not answer|503") as raised:
            ask()
        return raised.value.__notes__[-1]

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(noted, (waited, lambda: asyncio.run(awaited()))))


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels answer whoever finds a queue full")
def test_a_host_that_cannot_be_reached_is_given_up_on_within_patience(tmp_path: Path) -> None:
    """The kernel takes no call of a listener whose queue is full: a connection is then neither made nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as queue:
        address = listener.getsockname()
        for _ in range(2):
            caller = queue.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(address)
        found = tried(f"http://127.0.0.1:{address[1]}", source(tmp_path), timeout=EACH)
    assert set(found) <= {"Tried 1 times.", "Tried 2 times."}


def test_refusals_and_silence_are_within_patience(tmp_path: Path) -> None:
    given = source(tmp_path)

    def refuse(_: Asked) -> bytes:
        time.sleep(EACH)
        return reply(503)

    with answering(refuse) as server:
        found = tried(server.url, given)
    with answering(lambda _: time.sleep(2 * EACH)) as server:
        found += tried(server.url, given, timeout=EACH)
    assert set(found) <= {"Tried 1 times.", "Tried 2 times."}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_service_that_stops_early_is_an_error_with_its_reason(tmp_path: Path, form: str) -> None:
    last = b",,the body cannot be read\n" if form == "csv" else b'{"row":null,"error":"cannot be read"}\n'
    (tmp_path / "out").write_text("before")
    given = source(tmp_path)
    with (
        answering(lambda one: streamed(*lines(one)[:3], last)) as server,
        Client(server.url) as client,
        pytest.raises(ServiceError, match="cannot be read"),
    ):
        client.score(given, tmp_path / "out", form)
    assert (tmp_path / "out").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_refusal_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    given = source(tmp_path)
    with (
        answering(lambda _: reply(415, {"title": "No."})) as server,
        Client(server.url) as client,
        pytest.raises(ServiceError, match="No"),
    ):
        client.score(given, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [given]


def test_a_full_service_is_asked_again(tmp_path: Path) -> None:
    def answer(one: Asked) -> bytes:
        return streamed(*lines(one)) if len(server.asked) > 1 else reply(503, Retry_After="0")

    with answering(answer) as server, Client(server.url) as client:
        assert client.score(source(tmp_path), tmp_path / "out") == COUNT
    assert [len(one.body) for one in server.asked] == [(tmp_path / "in.csv").stat().st_size] * 2


def test_a_format_that_does_not_stream_is_refused(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(RequestError, match="format"):
            client.score(tmp_path / "in.parquet", tmp_path / "out")
        with pytest.raises(WorkspaceError, match=r"in\.csv"):
            client.score(tmp_path / "in.csv", tmp_path / "out")
