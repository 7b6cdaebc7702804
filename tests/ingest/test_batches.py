"""Batches over HTTP: each taken once and whole, whatever the service or the network does."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from relevo import reading
from relevo.errors import DataError
from relevo.sources import Batches, Files
from support import provider as providers
from support.ingesting import Place
from support.provider import CSV, JSON, Reply, header_and_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.provider import Provider


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providers.provider() as found:
        yield found


@pytest.fixture
def three(provider: Provider) -> Provider:
    """Batches 1 to 3 of ten rows each."""
    for number in (1, 2, 3):
        provider.hand_out(number, Reply(header_and_rows(number * 10, 10)))
    return provider


def test_every_batch_is_taken_once_and_the_next_ingest_goes_on_behind_it(
    place: Place, three: Provider
) -> None:
    source = Batches(three.url)
    first = place.ingest(source)
    assert (first.rows, place.ids(), three.numbers) == (30, list(range(10, 40)), [1, 2, 3, 4])
    again = place.ingest(source)
    assert (again.id, again.changed, three.numbers[4:]) == (first.id, False, [4])
    three.hand_out(4, Reply(header_and_rows(40, 10)))
    three.hand_out(1, Reply(header_and_rows(99, 1)))
    later = place.ingest(source)
    assert (later.rows, later.id != first.id, three.numbers[5:]) == (40, True, [4, 5])
    assert place.ids() == list(range(10, 50))


def test_where_each_row_came_from_stands_beside_it(place: Place, three: Provider) -> None:
    snapshot = place.ingest(Batches(three.url))
    digest = hashlib.sha256(header_and_rows(20, 10).encode()).hexdigest()
    url = three.url.replace("{number}", "2")
    query = (
        "select _source, _file, min(_row), max(_row), count(*) from raw.items where _batch = '2' group by all"
    )
    assert place.rows(query) == [(url, digest, 1, 10, 10)]
    assert snapshot.files[1] == (url, digest)
    assert place.sizes == [len(header_and_rows(n * 10, 10)) for n in (1, 2, 3)]


def test_per_run_takes_so_many_and_a_run_that_ended_early_counts(place: Place, three: Provider) -> None:
    source = Batches(three.url, per_run=1)
    assert place.ingest(source, remember=False).rows == 10
    assert place.ingest(source).rows == 10  # the run before was killed before it was recorded
    assert place.ingest(source).rows == 20
    assert place.ingest(source).rows == 30
    assert place.ingest(source).changed is False
    assert len(place.ids()) == 30


def test_per_run_holds_after_a_run_from_elsewhere(place: Place, three: Provider) -> None:
    source = Batches(three.url, per_run=1)
    place.ingest(source)
    (place.root / "a.csv").write_text(header_and_rows(90, 5))
    assert place.ingest(Files("a.csv")).rows == 5
    assert place.ingest(source).rows == 20


def test_the_order_of_batches_is_that_of_their_numbers(place: Place, provider: Provider) -> None:
    for number in range(8, 13):
        provider.hand_out(number, Reply(header_and_rows(number * 10, 1)))
    snapshot = place.ingest(Batches(provider.url, first=8))
    assert [name.rpartition("/")[2] for name, _ in snapshot.files] == ["8", "9", "10", "11", "12"]


ROWS: list[dict[str, Any]] = [{"id": 1, "name": "a\nb"}, {"id": 2, "name": None}, {"id": 3, "name": ""}]
LINES = '{"id": 1, "name": "a\\nb"}\n{"id": 2, "name": null}\n{"id": 3, "name": ""}\n'


def as_parquet() -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("reply", "options"),
    [
        (Reply(providers.as_json(ROWS), JSON), {}),
        (Reply("[\n" + LINES.replace("}\n{", "},\n{") + "]", "application/json; charset=utf-8"), {}),
        (Reply(providers.as_json({"n": 3, "data": ROWS, "more": [1]}), JSON), {"rows": "data"}),
        (Reply(providers.as_json({"r": {"items": ROWS, "x": {}}, "e": []}), JSON), {"rows": "r.items"}),
        (Reply(LINES, "application/x-ndjson"), {}),
        (Reply(LINES, "text/plain"), {"format": "jsonl"}),
        (Reply(as_parquet(), "application/vnd.apache.parquet"), {}),
        (Reply(providers.as_json(ROWS).encode("utf-16"), "application/json; charset=utf-16"), {}),
        (Reply(LINES, "application/x-ndjson", chunked=True), {}),
        (Reply(providers.as_json(ROWS), JSON, fault="endless"), {}),
    ],
)
def test_formats_give_the_same_rows(
    place: Place, provider: Provider, reply: Reply, options: dict[str, Any]
) -> None:
    provider.hand_out(1, reply)
    assert place.ingest(Batches(provider.url, **options)).rows == 3
    assert place.rows() == [("1", "a\nb"), ("2", None), ("3", "")]


def test_json_keeps_the_spelling_of_numbers_and_nested_values(place: Place, provider: Provider) -> None:
    text = '[ {"id": 1.50, "name": "x", "y": {"a": [1, 2.50]}, "z": 12345678901234567890123} ]'
    provider.hand_out(1, Reply(text, JSON))
    place.ingest(Batches(provider.url))
    assert place.rows("select id, z, y from raw.items") == [
        ("1.50", "12345678901234567890123", '{"a": [1, 2.5]}')
    ]


def test_csv_options_and_the_charset_of_the_service(place: Place, provider: Provider) -> None:
    provider.hand_out(1, Reply("id;name\n1;'Ñ;x'\n".encode("latin-1"), "text/csv; charset=latin-1"))
    place.ingest(Batches(provider.url, quote="'", escape="'"))
    assert place.rows() == [("1", "Ñ;x")]


@pytest.mark.parametrize(
    "bad",
    [
        Reply(header_and_rows(10, 10), fault="short"),
        Reply(header_and_rows(10, 10), chunked=True, fault="short"),
        Reply('[{"id": 10, "name": "row 10"}, {"id', JSON),
        Reply('[{"id": 10, "name": "row 10"}, {"id', JSON, fault="endless"),
        Reply('{"id": 10, "name": "row 10"}\n{"id": 1', "application/x-ndjson"),
        Reply(b"PAR1 and no end", "application/x-parquet"),
        Reply(b""),
        Reply(status=500),
        Reply(status=503),
        Reply(status=429),
        Reply(fault="silent"),
    ],
)
def test_what_another_try_may_mend_is_tried_again(place: Place, provider: Provider, bad: Reply) -> None:
    provider.hand_out(1, bad, bad, Reply(header_and_rows(10, 10)))
    silent = bad.fault == "silent"
    source = Batches(provider.url, timeout=2 if silent else 60)
    assert place.ingest(source).rows == 10
    assert place.ids() == list(range(10, 20))
    if silent:  # where the machine is slow another answer may come too late as well
        assert (provider.numbers[:3], set(provider.numbers)) == ([1, 1, 1], {1, 2})
    else:
        assert provider.numbers == [1, 1, 1, 2]


def test_a_service_that_says_when_to_come_back_is_heeded(place: Place, provider: Provider) -> None:
    busy = Reply(status=503, headers={"Retry-After": "2"})
    provider.hand_out(1, busy, Reply(header_and_rows(10, 10)))
    start = time.monotonic()
    place.ingest(Batches(provider.url))
    assert time.monotonic() - start >= 2
    provider.hand_out(2, Reply(status=503, headers={"Retry-After": "3000"}))
    start = time.monotonic()
    with pytest.raises(DataError, match=r"gave up after 1 tries: it answers 503.*up to 1 are kept"):
        place.ingest(Batches(provider.url, patience=30))
    assert time.monotonic() - start < 25


def test_giving_up_keeps_what_was_taken_and_says_where_it_goes_on(place: Place, three: Provider) -> None:
    three.hand_out(3, Reply(status=500))
    source = Batches(three.url, tries=2)
    with pytest.raises(DataError) as caught:
        place.ingest(source)
    for part in (
        "/batches/3: gave up after 2 tries: it answers 500",
        "up to 2 are kept",
        "goes on with batch 3",
    ):
        assert part in str(caught.value)
    assert place.ids() == list(range(10, 30))
    three.hand_out(3, Reply(header_and_rows(30, 10)))
    assert place.ingest(source).rows == 30
    assert three.numbers == [1, 2, 3, 3, 3, 4]


def test_a_service_that_is_away_is_named(place: Place) -> None:
    url = f"http://127.0.0.1:{providers.free_port()}/{{number}}"
    with pytest.raises(DataError, match=r"gave up after 2 tries: .*refused.*No batch was taken yet"):
        place.ingest(Batches(url, tries=2))
    assert not place.lake.exists("raw/items")


@pytest.mark.parametrize(
    ("reply", "options", "message"),
    [
        (Reply(status=404), {}, "there is no batch 1"),
        (Reply(status=401), {}, "answers 401.*headers"),
        (Reply(status=400), {}, "answers 400"),
        (Reply(header_and_rows(1, 1), fault="endless"), {}, "Content-Length"),
        (Reply(header_and_rows(1, 99)), {"largest": 100}, "larger than 100 bytes"),
        (Reply(header_and_rows(1, 1), "application/zip"), {}, "“application/zip” does not say"),
        (Reply(header_and_rows(1, 1), headers={"Content-Encoding": "br"}), {}, "br, which was not asked for"),
        (Reply('{"data": []}', JSON), {}, "it is JSON, but no list"),
        (Reply('{"data": {}}', JSON), {"rows": "data"}, "no list at “data”"),
        (Reply("id,other\n1,2\n"), {}, r"http://127.*/batches/1: there is no column “name”"),
        (Reply(b"id,name\n\xff,2\n"), {}, r"/batches/1, line 2: 0xFF"),
        (Reply(status=302, headers={"Location": "http://localhost:1/x"}), {}, "another host"),
    ],
)
def test_what_no_other_try_would_mend_is_said_at_once(
    place: Place, provider: Provider, reply: Reply, options: dict[str, Any], message: str
) -> None:
    provider.hand_out(1, reply)
    with pytest.raises(DataError, match=message) as caught:
        place.ingest(Batches(provider.url, **options))
    assert provider.numbers == [1]
    assert "scratch" not in str(caught.value)
    assert not place.lake.exists("raw/items")


def test_a_redirect_on_the_same_host_is_followed(place: Place, provider: Provider) -> None:
    provider.hand_out(1, Reply(status=307, headers={"Location": "/elsewhere"}))
    provider.replies["/elsewhere"] = [Reply(header_and_rows(1, 2))]
    assert place.ingest(Batches(provider.url)).rows == 2


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (Reply(status=404), (404, 204)),
        (Reply(status=204, type=None), (404, 204)),
        (Reply(status=410), (410,)),
        (Reply("id,name\n"), ("empty",)),
        (Reply("[]", JSON), ("empty",)),
    ],
)
def test_the_end_is_what_the_source_says(place: Place, provider: Provider, reply: Reply, end: Any) -> None:
    provider.hand_out(1, Reply(header_and_rows(1, 2)))
    provider.hand_out(2, reply)
    source = Batches(provider.url, end=end)
    assert place.ingest(source).rows == 2
    provider.hand_out(2, Reply(header_and_rows(3, 2)))
    provider.hand_out(3, reply)
    assert (place.ingest(source).rows, provider.numbers) == (4, [1, 2, 2, 3])


@pytest.mark.parametrize(
    "between",
    [Reply("id,name\n"), Reply("[]", JSON), Reply(header_and_rows(1, 2))],
    ids=["csv", "json", "same"],
)
def test_an_empty_or_repeated_batch_is_passed_once(place: Place, provider: Provider, between: Reply) -> None:
    provider.hand_out(1, Reply(header_and_rows(1, 2)))
    provider.hand_out(2, between)
    assert place.ingest(Batches(provider.url)).rows == 2
    assert "nothing new" in " ".join(place.said)
    provider.hand_out(3, Reply(header_and_rows(3, 2)))
    assert place.ingest(Batches(provider.url)).rows == 4
    assert (provider.numbers, place.ids()) == ([1, 2, 3, 3, 4], [1, 2, 3, 4])


def test_the_first_batch_may_be_empty(place: Place, provider: Provider) -> None:
    provider.hand_out(1, Reply("[]", JSON))
    with pytest.raises(DataError, match="the source gave no row"):
        place.ingest(Batches(provider.url))
    provider.hand_out(2, Reply(header_and_rows(3, 2)))
    assert place.ingest(Batches(provider.url)).rows == 2


def test_secrets_come_from_variables_and_are_told_to_nobody(
    place: Place, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = provider.url.removeprefix("http://")
    monkeypatch.setenv("PROVIDER_TOKEN", "t0k3n")
    monkeypatch.setenv("PROVIDER_URL", f"http://user:p4ss@{host}?api_key=k3y")
    provider.replies["/batches/1?api_key=k3y"] = [Reply(header_and_rows(1, 2))]
    provider.replies["/batches/2?api_key=k3y"] = [Reply(status=500)]
    source = Batches("env:PROVIDER_URL", headers={"X-Token": "Bearer env:PROVIDER_TOKEN"}, tries=1)
    with pytest.raises(DataError) as caught:
        place.ingest(source)
    headers = provider.asked[0][1]
    assert headers["X-Token"] == "Bearer t0k3n"
    assert headers["Authorization"] == "Basic dXNlcjpwNHNz"
    ((origin,),) = place.rows("select distinct _source from raw.items")
    assert origin == f"http://{host.replace('{number}', '1')}?api_key=***"
    for secret in ("t0k3n", "p4ss", "k3y", "dXNlcjpwNHNz"):
        assert secret not in str(caught.value) + origin + repr(source)
    monkeypatch.setenv("PROVIDER_TOKEN", "t0k3n\n")  # as it is read from a file
    with pytest.raises(DataError, match="it answers 500"):
        place.ingest(source)
    assert provider.asked[-1][1]["X-Token"] == "Bearer t0k3n"
    monkeypatch.setenv("PROVIDER_TOKEN", "t0k3n\nñ")
    with pytest.raises(DataError, match="“Bearer env:PROVIDER_TOKEN” comes out with characters") as caught:
        place.ingest(source)
    assert "t0k3n" not in str(caught.value)
    monkeypatch.delenv("PROVIDER_TOKEN")
    with pytest.raises(DataError, match="variable PROVIDER_TOKEN is not set"):
        place.ingest(source)


def test_a_service_named_by_a_variable_may_move(
    place: Place, three: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Batches("env:PROVIDER_URL", per_run=2)
    monkeypatch.setenv("PROVIDER_URL", three.url)
    place.ingest(source)
    with providers.provider() as other:
        other.replies = dict(three.replies)
        monkeypatch.setenv("PROVIDER_URL", other.url)
        assert (place.ingest(source).rows, other.numbers) == (30, [3, 4])


def test_another_service_is_another_source(place: Place, three: Provider) -> None:
    place.ingest(Batches(three.url))
    with providers.provider() as other:
        other.hand_out(1, Reply(header_and_rows(10, 10)))
        assert place.ingest(Batches(other.url)).rows == 10
    assert place.ingest(Batches(three.url)).rows == 30


def test_identity_holds_no_password() -> None:
    one, two = (Batches(f"http://u:{password}@h/{{number}}") for password in ("a", "b"))
    assert reading.identity(one) == reading.identity(two) != reading.identity(Files("x"))


def test_rows_in_quarantine_are_named_by_their_batch(place: Place, provider: Provider) -> None:
    provider.hand_out(1, Reply("id,name\n1,a\nx,b\n1\n"))
    provider.hand_out(2, Reply("id,name\n1,c\n", CSV))
    snapshot = place.clean(Batches(provider.url), unique=["id"])
    assert (snapshot.rows, snapshot.quarantined) == (1, 3)
    query = "select _source, _row, reasons from quarantine.items order by _source, _row"
    found = place.rows(query)
    base = provider.url.replace("{number}", "")
    assert [(source.removeprefix(base), row) for source, row, _ in found] == [("1", 2), ("1", 3), ("2", 1)]
    assert found[2][2] == [f"id: the same as in {base}1, row 1"]


CLIENT = """
import os, signal, sys, threading
from pathlib import Path
from relevo.ingest import ingest
from relevo.project import Table
from relevo.sources import Batches
from support.ingesting import Place

root, url, seconds, commits = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
place, said = Place(root), []


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def tell(text):  # after each commit
    said.append(text)
    if len(said) == commits:
        die()


if seconds:
    threading.Timer(seconds, die).start()
table = Table("items", place.model, Batches(url, patience=600, tries=200))
ingest(table, place.contract, place.lake, root, None, tell=tell)
os._exit(0)
"""


def client(root: Path, url: str, *, seconds: float = 0, commits: int = 0) -> subprocess.Popen[bytes]:
    """Ingest in a process that kills itself so many seconds after it began, or after so many commits."""
    command = [sys.executable, "-c", CLIENT, *map(str, (root, url, seconds, commits))]
    return subprocess.Popen(command, cwd=Path(__file__).parent.parent)


def assert_whole(root: Path, batches: int, rows: int) -> None:
    place = Place(root)
    assert place.ids() == list(range(batches * rows))
    query = "select count(distinct _batch), count(distinct _file), min(_row), max(_row) from raw.items"
    assert place.rows(query) == [(batches, batches, 1, rows)]


@pytest.mark.slow
def test_a_client_killed_within_and_between_batches_loses_and_doubles_no_row(tmp_path: Path) -> None:
    batches, rows, port = 8, 2000, providers.free_port()
    url = f"http://127.0.0.1:{port}/batches/{{number}}"
    with providers.process(port, batches, rows):
        for death in ({"commits": 1}, {"seconds": 0.08}, {"commits": 2}, {"seconds": 0.2}, {"commits": 1}):
            with client(tmp_path, url, **death) as running:
                assert running.wait(300) == -signal.SIGKILL
        assert len(set(Place(tmp_path).ids())) in range(4 * rows, 8 * rows)
        with client(tmp_path, url) as running:
            assert running.wait(300) == 0
    assert_whole(tmp_path, batches, rows)


@pytest.mark.slow
def test_a_server_killed_and_restarted_is_waited_for(tmp_path: Path) -> None:
    batches, rows, port = 8, 2000, providers.free_port()
    url = f"http://127.0.0.1:{port}/batches/{{number}}"
    with client(tmp_path, url) as running:
        for parts in (3, 5, 6, 12, 1):  # within the first batch, at its end, within the next, …
            with providers.process(port, batches, rows, dies_after=parts) as server:
                assert server.wait(300) == -signal.SIGKILL
        with providers.process(port, batches, rows):
            assert running.wait(300) == 0
    assert_whole(tmp_path, batches, rows)
