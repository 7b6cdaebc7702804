"""Journals that may only be read: each line is in the lake once, and its writer learns that it may go."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from relevo import taken
from relevo.collect import collect_all
from relevo.journal import LABELS, PREDICTIONS, Journal, segments
from relevo.serving.collecting import Clearing, collector_of
from relevo.workspace import Workspace
from support import service
from test_collect import a_line, predictions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found = [tmp_path / "one/log", tmp_path / "two/log"]
    for folder in found:
        folder.mkdir(parents=True)
    monkeypatch.setenv("RELEVO_THREADS", "1")
    monkeypatch.setenv("RELEVO_JOURNALS", f'["{found[0]}", "{found[1]}"]')
    return found


def write(folder: Path, *lines: bytes, stream: str = PREDICTIONS) -> None:
    journal = Journal.open(folder, stream)
    for line in lines:
        journal.write(line)
    journal.close()


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_lines_are_taken_once_and_nothing_is_touched(tmp_path: Path, journals: list[Path]) -> None:
    workspace = Workspace.open(tmp_path)
    write(journals[0], a_line(id="a"), a_line(id="b"))
    write(journals[1], a_line(id="c"))
    before = [tree(folder) for folder in journals]
    assert collect_all(workspace)[PREDICTIONS] == 3
    assert collect_all(workspace)[PREDICTIONS] == 0
    assert [tree(folder) for folder in journals] == before
    assert sorted(predictions(workspace, "id")) == [("a",), ("b",), ("c",)]


def test_an_unfinished_line_waits_where_it_is(tmp_path: Path, journals: list[Path]) -> None:
    workspace = Workspace.open(tmp_path)
    write(journals[0], a_line(id="a"))
    (path,) = segments(journals[0])
    with path.open("ab") as file:
        file.write(b'{"id":"half')
    assert collect_all(workspace)[PREDICTIONS] == 1
    assert path.read_bytes().endswith(b'{"id":"half')
    assert predictions(workspace, "id") == [("a",)]


def test_what_is_being_written_is_left_alone(tmp_path: Path, journals: list[Path]) -> None:
    workspace = Workspace.open(tmp_path)
    journal = Journal.open(journals[0])
    journal.write(a_line(id="a"))
    assert collect_all(workspace)[PREDICTIONS] == 0
    journal.close()
    assert collect_all(workspace)[PREDICTIONS] == 1


def test_damaged_lines_are_kept_in_the_workspace(tmp_path: Path, journals: list[Path]) -> None:
    workspace, said = Workspace.open(tmp_path), list[str]()
    write(journals[0], a_line(id="a"), b"not json\n")
    assert collect_all(workspace, report=said.append)[PREDICTIONS] == 1
    (kept,) = (workspace.root / "damaged").iterdir()
    assert kept.read_bytes() == b"not json\n"
    assert str(kept) in said[0]
    assert [path.suffix for path in journals[0].iterdir()] == [".jsonl"]


def test_a_journal_that_is_not_mounted_is_said_and_the_others_are_taken(
    tmp_path: Path, journals: list[Path]
) -> None:
    workspace, said = Workspace.open(tmp_path), list[str]()
    write(journals[1], a_line(id="a"))
    taken.mark(workspace.root, "of-the-absent-one")
    journals[0].rmdir()
    assert collect_all(workspace, report=said.append)[PREDICTIONS] == 1
    assert str(journals[0]) in said[0]
    assert taken.is_marked(workspace.root, "of-the-absent-one")


def test_killed_between_lake_and_mark_nothing_is_doubled(
    tmp_path: Path, journals: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.open(tmp_path)
    write(journals[0], a_line(id="a"))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(taken, "mark", killed)
        with pytest.raises(KeyboardInterrupt):
            collect_all(workspace)
    collect_all(workspace)
    assert predictions(workspace, "id") == [("a",)]


def test_a_writer_removes_what_was_taken_and_then_the_mark_goes(
    tmp_path: Path, journals: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    collecting = Workspace.open(tmp_path)
    write(journals[0], a_line(id="a"))
    write(journals[0], b'{"id":"l"}\n', stream=LABELS)
    monkeypatch.setenv("RELEVO_SERVE__FOLDER", str(journals[0].parent))
    serving = Workspace.open(tmp_path, create=False)
    clearing = collector_of(serving)
    assert isinstance(clearing, Clearing)
    clearing.finish()
    assert len(list(journals[0].iterdir())) == 2  # nothing was taken yet
    assert collect_all(collecting, report=lambda _: None)[PREDICTIONS] == 1
    clearing.finish()
    assert list(journals[0].iterdir()) == []
    collect_all(collecting)
    assert list((collecting.root / taken.FOLDER).iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_is_told_so_leaves_its_log_to_whoever_collects(tmp_path: Path, workers: int) -> None:
    made = service.workspace(tmp_path / "project")
    variables = {"RELEVO_SERVE__COLLECT": "false"}
    started = service.start(tmp_path / "project", workers=workers, variables=variables)
    assert [started.ask(service.GOOD).status_code for _ in range(20)] == [200] * 20
    assert started.stop() == 0
    assert made.lake.names() == []
    assert collect_all(made)[PREDICTIONS] == 20
    assert segments(made.logs) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_with_a_folder_of_its_own_only_reads_the_workspace(tmp_path: Path, workers: int) -> None:
    root, own = tmp_path / "project", tmp_path / "own"
    made = service.workspace(root)
    own.mkdir()
    before = {name for name in tree(made.root) if "ledger" not in name}
    variables = {"RELEVO_SERVE__FOLDER": str(own)}
    started = service.start(root, workers=workers, variables=variables)
    answers = [started.ask(service.GOOD).status_code for _ in range(20)]
    scored = started.client.post(
        "/v1/score", content=b"\n".join([b'{"x":1}'] * 3), headers={"content-type": "application/x-ndjson"}
    )
    assert answers == [200] * 20
    assert scored.status_code == 200
    assert started.stop() == 0
    assert {name for name in tree(made.root) if "ledger" not in name} == before
    collecting = Workspace.open(root)
    object.__setattr__(
        collecting, "settings", collecting.settings.model_copy(update={"journals": (own / "log",)})
    )
    assert collect_all(collecting)[PREDICTIONS] == 20
    assert segments(own / "log")
    again = service.start(root, workers=workers, variables=variables)
    until = time.monotonic() + 120
    while segments(own / "log") and time.monotonic() < until:
        time.sleep(0.1)
    assert segments(own / "log") == []
    assert again.stop() == 0
