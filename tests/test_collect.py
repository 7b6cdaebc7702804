from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from relevo.collect import collect, collect_all
from relevo.errors import WorkspaceError
from relevo.ids import uuid7
from relevo.journal import LABELS, Journal
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RELEVO_THREADS", "1")
    return Workspace.open(tmp_path)


def a_line(request: str = '{"a":1}', **changes: Any) -> bytes:
    values = {
        "id": uuid7(),
        "at": "2026-01-31T23:30:00.123456+00:00",
        "project": "flights",
        "version": "1.2.0",
        "digest": "d" * 64,
        "probability": 0.30000000000000004,
        "decision": True,
        "label": "late",
    } | changes
    head = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return f'{head[:-1]},"request":{request}}}\n'.encode()


def write(workspace: Workspace, *lines: bytes) -> None:
    journal = Journal.open(workspace.logs)
    for line in lines:
        journal.write(line)
    journal.close()


def predictions(workspace: Workspace, columns: str = "*") -> list[tuple[Any, ...]]:
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, "predictions", as_="predictions")
        rows: list[tuple[Any, ...]] = connection.execute(f"select {columns} from predictions").fetchall()
    return rows


def test_a_prediction_arrives_as_it_was(workspace: Workspace) -> None:
    write(workspace, a_line(id="one"))
    assert collect(workspace) == 1
    at = datetime(2026, 1, 31, 23, 30, 0, 123456)
    expected = ("one", at, "flights", "1.2.0", "d" * 64, 0.30000000000000004, True, "late", '{"a":1}')
    columns = 'id, "at", project, version, digest, probability, decision, label, request'
    assert predictions(workspace, columns) == [expected]
    assert list(workspace.logs.iterdir()) == []


@pytest.mark.parametrize(
    "request_",
    [
        '{"a":1,"a":2}',
        '{"a":1e5,"b":1.0,"c":12345678901234567890123}',
        r'{"a":"\u00e1\n\"}","b":"ñ"}',
        '{"nested":{"request":{"request":1}},"list":[1,[2,{"x":null}]]}',
        '{"a": 1 ,  "b":[ ]}',
        r'{"a":",\"request\":"}',
        "{}",
        "[1]",
        "null",
        '"text"',
    ],
)
def test_the_request_stays_the_text_it_was(workspace: Workspace, request_: str) -> None:
    write(workspace, a_line(request_, label=',"request":{"a":0}'))
    assert collect(workspace) == 1
    assert predictions(workspace, "request, label") == [(request_, ',"request":{"a":0}')]


@pytest.mark.parametrize("request_", ['{"a":1e5}', '{"a":{"via":"gradio"}}', '{"a":1,"via":"gradio"}', "{}"])
def test_the_page_by_which_it_came_stands_behind_the_request(workspace: Workspace, request_: str) -> None:
    marked = a_line(request_, id="page")[:-2] + b',"via":"gradio"}\n'
    write(workspace, marked, a_line(request_, id="service"))
    assert collect(workspace) == 2
    assert sorted(predictions(workspace, "id, via, request")) == [
        ("page", "gradio", request_),
        ("service", None, request_),
    ]


def test_lines_of_another_shape_are_read_too(workspace: Workspace) -> None:
    """Fields in another order, blanks, a decision without a label, a field of a later version."""
    line = json.loads(a_line(id="one", label=None))
    shuffled = {"request": line.pop("request"), **line, "later": {"x": 1}}
    write(workspace, json.dumps(shuffled).encode() + b"\n")
    assert collect(workspace) == 1
    assert predictions(workspace, "id, label, request") == [("one", None, '{"a":1}')]


@pytest.mark.parametrize("at", ["2026-01-31T23:30:00Z", "2026-01-31T20:30:00-03:00", "2026-01-31 23:30:00"])
def test_times_are_utc(workspace: Workspace, at: str) -> None:
    write(workspace, a_line(at=at))
    assert collect(workspace) == 1
    assert predictions(workspace, '"at"') == [(datetime(2026, 1, 31, 23, 30),)]


def test_nothing_to_collect_is_fine(workspace: Workspace) -> None:
    assert collect(workspace) == 0
    write(workspace)
    (workspace.logs / "predictions-1.jsonl").write_bytes(b"")
    (workspace.logs / "predictions-2.jsonl").write_bytes(a_line()[:-1])
    assert collect(workspace) == 0
    assert list(workspace.logs.iterdir()) == []
    assert not workspace.lake.exists("predictions")


def test_what_an_open_journal_holds_stays_there(workspace: Workspace) -> None:
    journal = Journal.open(workspace.logs)
    journal.write(a_line())
    assert collect(workspace) == 0
    journal.close()
    assert collect(workspace) == 1


BAD = [
    b'{"id": broken\n',
    b"\x00" * 512 + b"\n",
    b'{"id":"\xff\xfe"}\n',
    b"[1]\n",
    b"3\n",
    b"null\n",
    b"nonsense\n",
    b'{"id":"a"} {"id":"b"}\n',
    b"{}\n",
    a_line(id=None),
    a_line(at="yesterday"),
    a_line(probability="high"),
    a_line(decision="perhaps"),
    a_line()[:-3] + b"\n",
    b"[" * 100_000 + b"\n",
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_damaged_line_is_kept_aside_and_reported(workspace: Workspace, bad: bytes) -> None:
    write(workspace, a_line(id="one"), bad, a_line(id="two"))
    said: list[str] = []
    assert collect(workspace, report=said.append) == 2
    assert {id_ for (id_,) in predictions(workspace, "id")} == {"one", "two"}
    [kept] = workspace.logs.iterdir()
    assert kept.suffix == ".damaged"
    assert kept.read_bytes() == bad
    assert said == [f"Damaged lines in the journal: 1. They are kept in {kept}."]
    assert collect(workspace) == 0


def test_a_line_too_long_is_kept_aside(workspace: Workspace) -> None:
    long = a_line(json.dumps("x" * (33 << 20)))
    write(workspace, a_line(id="one"), long)
    assert collect(workspace, report=lambda text: None) == 1  # noqa: ARG005 - who listens is no matter here
    [kept] = workspace.logs.iterdir()
    assert kept.read_bytes() == long


def test_little_memory_is_enough(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVO_MEMORY_LIMIT", "200MB")
    write(workspace, *(a_line(json.dumps("x" * 300)) for _ in range(20_000)))
    assert collect(Workspace.open(workspace.project)) == 20_000


def test_a_segment_of_damage_only_leaves_it_aside(workspace: Workspace) -> None:
    write(workspace, *BAD)
    said: list[str] = []
    assert collect(workspace, report=said.append) == 0
    [kept] = workspace.logs.iterdir()
    assert sorted(kept.read_bytes().splitlines()) == sorted(b"".join(BAD).splitlines())
    assert len(said) == 1


def test_damage_is_logged_when_nobody_listens(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    write(workspace, b"nonsense\n")
    collect(workspace)
    assert "Damaged lines in the journal: 1." in caplog.text


def test_a_collection_killed_before_the_removal_does_not_repeat_it(workspace: Workspace) -> None:
    """The segment is put back as a kill between commit and removal would leave it."""
    write(workspace, a_line(), a_line())
    [path] = workspace.logs.iterdir()
    content = path.read_bytes()
    collect(workspace)
    path.write_bytes(content)
    collect(workspace)
    assert len(predictions(workspace)) == 2
    assert list(workspace.logs.iterdir()) == []


def test_a_lake_that_cannot_be_written_keeps_the_segment(workspace: Workspace) -> None:
    write(workspace, a_line())
    (workspace.root / "lake").write_text("a file in its place")
    with pytest.raises(WorkspaceError):
        collect(workspace)
    assert len(list(workspace.logs.iterdir())) == 1
    (workspace.root / "lake").unlink()
    assert collect(workspace) == 1


COLLECTOR = """
import sys, pathlib
from relevo.collect import collect
from relevo.workspace import Workspace
workspace = Workspace.open(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
print(collect(workspace), flush=True)
"""

WRITER = """
import sys, pathlib
from relevo.ids import uuid7
from relevo.journal import Journal
journal = Journal.open(pathlib.Path(sys.argv[1]), max_bytes=30_000)
head, _, tail = sys.argv[2].partition("ID")
while True:
    lines = [uuid7() for _ in range(3)]
    journal.write("".join(f"{head}{line}{tail}\\n" for line in lines).encode())
    print(*lines, flush=True)
"""


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_collectors_at_once_take_each_segment_once(workspace: Workspace) -> None:
    for _ in range(6):
        write(workspace, *(a_line() for _ in range(50)))
    collectors = [started(COLLECTOR, str(workspace.project)) for _ in range(2)]
    counts = [int(collector.communicate()[0].split()[1]) for collector in collectors]
    assert [collector.returncode for collector in collectors] == [0, 0]
    assert sum(counts) == 300
    ids = [id_ for (id_,) in predictions(workspace, "id")]
    assert len(ids) == len(set(ids)) == 300


@pytest.mark.slow
def test_kill_9_of_writer_and_collector_loses_nothing_and_repeats_nothing(workspace: Workspace) -> None:
    """Both are killed again and again, at random moments; every answered id is in the lake exactly once."""
    chance = random.Random(20260131)
    line = a_line(id="ID").decode().rstrip()
    answered: set[str] = set()
    for _ in range(4):
        with (
            started(WRITER, str(workspace.logs), line) as writer,
            started(COLLECTOR, str(workspace.project)) as other,
        ):
            assert writer.stdout is not None
            assert other.stdout is not None
            said = [writer.stdout.readline() for _ in range(chance.randint(50, 400))]
            other.stdout.readline()
            said += [writer.stdout.readline() for _ in range(chance.randint(0, 400))]
            other.send_signal(signal.SIGKILL)
            said += [writer.stdout.readline() for _ in range(chance.randint(0, 100))]
            writer.send_signal(signal.SIGKILL)
            said += writer.stdout.readlines()
        answered.update(*(one.split() for one in said if one.endswith("\n")))
    collect(Workspace.open(workspace.project))
    ids = [id_ for (id_,) in predictions(workspace, "id")]
    assert len(ids) == len(set(ids))
    assert answered <= set(ids)
    assert list(workspace.logs.iterdir()) == []


KILLED = """
import os, pathlib, signal, sys
from relevo import journal, lake
from relevo.collect import collect_all
from relevo.workspace import Workspace

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function):
    def done(*given, **named):
        function(*given, **named)
        die()
    return done

place = sys.argv[2]
if place == "before the commit":
    lake.Lake.append = die
elif place == "after the commit":
    lake.Lake.append = after(lake.Lake.append)
elif place == "before the removal":
    journal.Segment.remove = die
else:
    journal.Segment.remove = after(journal.Segment.remove)
collect_all(Workspace.open(pathlib.Path(sys.argv[1])))
"""
PLACES = ("before the commit", "after the commit", "before the removal", "after the removal")


@pytest.mark.parametrize("place", PLACES)
def test_a_collection_killed_at_any_point_loses_and_repeats_nothing(workspace: Workspace, place: str) -> None:
    """A segment of predictions and one of labels; the collector dies at that point of the one, then of the other."""
    ids = [uuid7()]
    write(workspace, a_line(id=ids[0]))
    journal = Journal.open(workspace.logs, LABELS)
    journal.write(a_label(ids[0]))
    journal.close()
    for _ in range(2):
        command = [sys.executable, "-c", KILLED, str(workspace.project), place]
        if subprocess.run(command, check=False).returncode == 0:
            break
    collect_all(workspace)
    assert sorted(id_ for (id_,) in predictions(workspace, "id")) == ids
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, "labels", as_="labels")
        rows = connection.execute("select prediction from labels order by all").fetchall()
    assert [prediction for (prediction,) in rows] == ids
    assert list(workspace.logs.iterdir()) == []


def a_label(prediction: str) -> bytes:
    said = {
        "id": prediction,
        "received_at": "2026-02-01T00:00:00.000000+00:00",
        "project": "flights",
        "prediction": prediction,
        "key": None,
        "time": None,
        "outcome": True,
        "at": None,
        "label": "late",
    }
    return json.dumps(said).encode() + b"\n"
