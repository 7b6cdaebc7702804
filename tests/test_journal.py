from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from relevo import clock
from relevo.errors import WorkspaceError
from relevo.journal import Journal, Segment, closed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("predictions-*.jsonl"))


def collected(folder: Path) -> list[bytes]:
    return [
        line for segment in closed(folder) for line in segment.path.read_bytes().splitlines(keepends=True)
    ]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let writes beyond ``size`` be cut short, then fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestWriting:
    """The writer's side."""

    def test_a_line_is_in_the_file_when_write_returns(self, folder: Path) -> None:
        journal = Journal.open(folder)
        journal.write(b'{"id":1}\n')
        journal.write(b'{"id":2}\n{"id":3}\n')
        [segment] = segments(folder)
        assert segment.read_bytes() == b'{"id":1}\n{"id":2}\n{"id":3}\n'
        assert re.fullmatch(r"predictions-[0-9a-f-]{36}\.jsonl", segment.name)
        journal.close()

    def test_a_journal_that_wrote_nothing_leaves_nothing(self, folder: Path) -> None:
        Journal.open(folder).close()
        assert list(folder.iterdir()) == []

    def test_a_segment_ends_at_its_size(self, folder: Path) -> None:
        journal = Journal.open(folder, max_bytes=25)
        for number in range(6):
            journal.write(b'{"id":%d}\n' % number)
        assert [path.stat().st_size for path in segments(folder)] == [27, 27]
        journal.close()

    def test_a_segment_ends_at_its_age(self, folder: Path) -> None:
        journal = Journal.open(folder, max_seconds=0.01)
        journal.write(b"{}\n")
        time.sleep(0.02)
        journal.write(b"{}\n")
        assert len(segments(folder)) == 2
        journal.close()

    def test_a_segment_ends_with_its_quarter_of_an_hour(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that what was logged in an hour can be collected when it is over, in whatever time zone."""
        full = datetime(2026, 1, 5, 11, 30, tzinfo=UTC).timestamp()
        passed = 0.0
        monkeypatch.setattr(clock, "seconds", lambda: full - 30 + passed)
        monkeypatch.setattr("relevo.journal.time", SimpleNamespace(monotonic=lambda: 1000 + passed))
        journal = Journal.open(folder)
        journal.write(b"{}\n")
        passed = 29.0
        journal.roll()
        assert list(closed(folder)) == []
        passed = 31.0
        journal.roll()
        assert len(list(closed(folder))) == 1
        journal.write(b"{}\n")
        journal.roll()
        assert len(list(closed(folder))) == 1
        journal.close()

    def test_roll_ends_an_old_segment_though_nothing_is_written(self, folder: Path) -> None:
        journal = Journal.open(folder, max_seconds=0.01)
        journal.roll()
        journal.write(b"{}\n")
        assert list(closed(folder)) == []
        time.sleep(0.02)
        journal.roll()
        assert len(list(closed(folder))) == 1
        journal.write(b"{}\n")
        assert len(segments(folder)) == 2
        journal.close()

    def test_a_closed_journal_takes_nothing(self, folder: Path) -> None:
        journal = Journal.open(folder)
        journal.write(b"{}\n")
        journal.close()
        journal.close()
        with pytest.raises(WorkspaceError, match="is closed"):
            journal.write(b"{}\n")

    def test_lines_of_threads_do_not_mix(self, folder: Path) -> None:
        journal = Journal.open(folder, max_bytes=10_000)
        lines = [b'{"id":%d,"x":"%s"}\n' % (number, b"x" * (number % 300)) for number in range(2000)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(journal.write, lines))
        journal.close()
        assert sorted(collected(folder)) == sorted(lines)

    def test_a_full_disk_raises_and_leaves_no_part_of_the_lines(self, folder: Path) -> None:
        """The write is cut short in the middle of a line, the rest is refused; both lines are taken back."""
        journal = Journal.open(folder)
        journal.write(b"first\n")
        with files_of_at_most(20), pytest.raises(WorkspaceError, match="the disk is full"):
            journal.write(b"second\n" + b"third" * 10 + b"\n")
        [segment] = segments(folder)
        assert segment.read_bytes() == b"first\n"
        journal.write(b"fourth\n")
        assert segment.read_bytes() == b"first\nfourth\n"
        journal.close()

    def test_a_full_disk_at_a_segments_beginning_raises_too(self, folder: Path) -> None:
        journal = Journal.open(folder)
        with files_of_at_most(0), pytest.raises(WorkspaceError, match="the disk is full"):
            journal.write(b"first\n")
        journal.write(b"second\n")
        journal.close()
        assert collected(folder) == [b"second\n"]

    def test_a_folder_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("")
        with pytest.raises(WorkspaceError, match="log: cannot be used"):
            Journal.open(tmp_path / "log")

    def test_a_line_costs_microseconds(self, folder: Path) -> None:
        journal = Journal.open(folder)
        line = b"x" * 399 + b"\n"
        journal.write(line)
        least = 1.0
        end = time.monotonic() + 30
        while least >= 10e-6 and time.monotonic() < end:
            begun = time.perf_counter()
            for _ in range(500):
                journal.write(line)
            least = min(least, (time.perf_counter() - begun) / 500)
            time.sleep(0.02)
        journal.close()
        assert least < 10e-6


class TestReading:
    """The collector's side."""

    def test_an_open_segment_is_not_handed_out(self, folder: Path) -> None:
        journal = Journal.open(folder)
        journal.write(b"{}\n")
        assert list(closed(folder)) == []
        journal.close()
        [segment] = closed(folder)
        assert segment == Segment(segments(folder)[0], 3)

    def test_a_last_line_without_its_newline_is_cut_off(self, folder: Path) -> None:
        folder.mkdir()
        path = folder / "predictions-1.jsonl"
        for content, size in (
            (b'{"a":1}\n{"b', 8),
            (b'{"b', 0),
            (b"", 0),
            (b"x\n" + b"y" * 200_000, 2),
            (b"\n", 1),
        ):
            path.write_bytes(content)
            assert [segment.bytes for segment in closed(folder)] == [size]
            assert path.stat().st_size == size

    def test_two_collectors_are_never_given_the_same(self, folder: Path) -> None:
        journal = Journal.open(folder, max_bytes=1)
        for _ in range(4):
            journal.write(b"{}\n")
        journal.close()
        first, second = closed(folder), closed(folder)
        given = [next(first).path, next(second).path, next(first).path, next(second).path]
        assert len(set(given)) == 4
        first.close()
        second.close()

    def test_a_segment_removed_meanwhile_is_passed_over(self, folder: Path) -> None:
        journal = Journal.open(folder, max_bytes=1)
        for _ in range(3):
            journal.write(b"{}\n")
        journal.close()
        given = closed(folder)
        next(given).remove()
        segments(folder)[0].unlink()
        assert len(list(given)) == 1

    def test_no_folder_is_no_segments(self, folder: Path) -> None:
        assert list(closed(folder)) == []

    def test_a_writer_killed_before_its_first_line_leaves_a_nameless_file_which_is_removed(
        self, folder: Path
    ) -> None:
        folder.mkdir()
        (folder / "predictions-1.jsonl.nascent").write_bytes(b"")
        assert list(closed(folder)) == []
        assert list(folder.iterdir()) == []


WRITER = """
import sys, pathlib
from relevo.journal import Journal
journal = Journal.open(pathlib.Path(sys.argv[1]), max_bytes=20_000)
number = 0
while True:
    number += 1
    journal.write(b'{"id":"%s-%d","x":"%s"}\\n' % (sys.argv[2].encode(), number, b"x" * (number % 500)))
    print(number, flush=True)
"""


def test_kill_9_loses_no_line_that_was_written(folder: Path) -> None:
    """Writers are killed while a collector takes their segments; every line acknowledged is there once."""
    found: list[bytes] = []
    answered = {}
    for attempt in range(4):
        command = [sys.executable, "-c", WRITER, str(folder), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline() for _ in range(50 + 333 * attempt)]
            found += _take(folder)
            writer.send_signal(signal.SIGKILL)
            said += writer.stdout.readlines()
        answered[attempt] = int([line for line in said if line.endswith("\n")][-1])
    found += _take(folder)
    ids = [line.split(b'"')[3].decode() for line in found]
    assert len(ids) == len(set(ids))
    for attempt, last in answered.items():
        mine = {int(one.split("-")[1]) for one in ids if one.startswith(f"{attempt}-")}
        assert mine >= set(range(1, last + 1))
        assert max(mine) <= last + 1
    assert list(folder.iterdir()) == []


def _take(folder: Path) -> list[bytes]:
    taken = []
    for segment in closed(folder):
        taken += segment.path.read_bytes().splitlines()
        segment.remove()
    return taken


SYNCED = """
import os, pathlib, sys, threading, time
from relevo.journal import Journal

slow = float(sys.argv[2])
real, calls = os.fdatasync, []

def fdatasync(descriptor):
    began = time.monotonic()
    size = os.fstat(descriptor).st_size
    time.sleep(slow)
    real(descriptor)
    calls.append((began, time.monotonic(), size))

os.fdatasync = fdatasync  # the system's own interface, watched
journal = Journal.open(pathlib.Path(sys.argv[1]))
written, size, unsynced, longest = [], 0, 0.0, 0.0
end = time.monotonic() + 1.5
while time.monotonic() < end:
    began = time.monotonic()
    journal.write(b"x" * 99 + b"\\n")
    longest = max(longest, time.monotonic() - began)
    size += 100
    written.append((began, size))
    unsynced = max(unsynced, journal.unsynced)
    time.sleep(0.003)
end = time.monotonic() + 60
while (journal.unsynced or not calls or calls[-1][2] < size) and time.monotonic() < end:
    time.sleep(0.01)
quiet, idle = len(calls), journal.unsynced
time.sleep(0.3)
waits = [min(done for _, done, seen in calls if seen >= size) - at for at, size in written]
print(len(calls), quiet, idle, max(waits), unsynced, longest, journal.sync_seconds)
journal.close()
"""


def synced(folder: Path, slow: float) -> list[float]:
    """Write for 1.5 s, in the middle of a quarter of an hour, on a disk that takes ``slow`` seconds for a flush."""
    command = [sys.executable, "-c", SYNCED, str(folder), str(slow)]
    middle = clock.Pace(datetime(2026, 1, 5, 11, 35, tzinfo=UTC).timestamp(), 1.0, time.time())
    variables = {**os.environ, clock.VARIABLE: middle.text()}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    return [float(figure) for figure in done.stdout.split()]


class TestFlushing:
    """The disk's side. What must be in time is so in one of five runs: other processes share the processors."""

    def test_lines_are_flushed_many_times_a_second_and_never_without_need(self, folder: Path) -> None:
        late = []
        for number in range(5):
            calls, quiet, idle, waited, _, _, _ = synced(folder / str(number), 0.0)
            assert calls <= 40
            assert (quiet, idle) == (calls, 0.0)
            if calls >= 5 and waited < 1.0:
                return
            late.append((calls, waited))
        pytest.fail(f"never in time: {late}")

    def test_a_slow_disk_is_told_of_and_holds_no_writer_up(self, folder: Path) -> None:
        late = []
        for number in range(5):
            calls, quiet, idle, waited, unsynced, longest, took = synced(folder / str(number), 0.4)
            assert calls <= 6
            assert (quiet, idle) == (calls, 0.0)
            assert min(took, waited) >= 0.4
            if waited < 3.0 and unsynced >= 0.3 and longest < 0.4:
                return
            late.append((waited, unsynced, longest))
        pytest.fail(f"never in time: {late}")

    def test_a_segment_is_flushed_before_it_can_be_collected(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flushed: list[int] = []
        real = os.fdatasync

        def fdatasync(descriptor: int) -> None:
            this = os.fstat(descriptor).st_ino
            assert this not in [segment.path.stat().st_ino for segment in closed(folder)]  # still locked
            flushed.append(os.fstat(descriptor).st_size)
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", fdatasync)
        journal = Journal.open(folder, max_bytes=1)
        journal.write(b"first\n")
        journal.write(b"second, longer\n")
        journal.close()
        assert set(flushed) == {6, 15}
        assert len(list(closed(folder))) == 2

    def test_a_segment_that_cannot_be_flushed_is_left_for_another(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(_: int) -> None:
            raise OSError(5, "Input/output error")

        journal = Journal.open(folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            journal.write(b"first\n")
            while not caplog.records:
                time.sleep(0.01)
            while journal.unsynced:
                time.sleep(0.01)
        journal.write(b"second\n")
        journal.close()
        assert "Check the disk" in caplog.records[0].message
        assert [path.read_bytes() for path in segments(folder)] == [b"first\n", b"second\n"]

    def test_journals_of_several_streams_share_a_folder(self, folder: Path) -> None:
        for stream in ("predictions", "labels"):
            journal = Journal.open(folder, stream)
            journal.write(f"{stream}\n".encode())
            journal.close()
        assert [segment.path.read_bytes() for segment in closed(folder, "labels")] == [b"labels\n"]
        assert collected(folder) == [b"predictions\n"]
