from __future__ import annotations

from pathlib import Path

import pytest

from relevo.journal import Journal
from relevo.tailing import Tail


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open(tmp_path)


def test_it_begins_at_the_present_and_follows_several_writers(tmp_path: Path, journal: Journal) -> None:
    journal.write(b"before\n")
    tail = Tail(tmp_path)
    assert tail.read(10) == []
    other = Journal.open(tmp_path)
    journal.write(b"one\ntwo\n")
    other.write(b"three\n")
    assert sorted(tail.read(10)) == [b"one\n", b"three\n", b"two\n"]
    journal.write(b"four\n")
    assert tail.read(10) == [b"four\n"]
    assert (tail.read(10), tail.skipped) == ([], 0)
    tail.close()
    journal.close()
    other.close()


def test_other_streams_are_not_its_business(tmp_path: Path, journal: Journal) -> None:
    tail = Tail(tmp_path)
    shadow = Journal.open(tmp_path, "shadows")
    shadow.write(b"not for it\n")
    journal.write(b"for it\n")
    assert tail.read(10) == [b"for it\n"]
    shadow.close()
    journal.close()


def test_a_line_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "predictions-1.jsonl"
    path.write_bytes(b"half of a ")
    tail = Tail(tmp_path)
    with path.open("ab") as file:
        file.write(b"line")
        file.flush()
        assert tail.read(10) == []
        file.write(b"\nnext\n")
    assert tail.read(1) == [b"half of a line\n"]
    assert tail.read(1) == [b"next\n"]
    with path.open("ab") as file:
        file.write(b"x" * (1 << 20) + b"\n")
    assert [len(line) for line in tail.read(1)] == [(1 << 20) + 1]
    tail.close()


def test_a_segment_that_is_removed_is_read_to_its_end(tmp_path: Path, journal: Journal) -> None:
    tail = Tail(tmp_path)
    journal.write(b"one\n")
    assert tail.read(10) == [b"one\n"]
    journal.write(b"two\n")
    journal.close()
    for path in tmp_path.iterdir():
        path.unlink()
    assert tail.read(10) == [b"two\n"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert tail.read(10) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1


def test_when_too_much_waits_it_goes_on_with_the_newest_and_counts_the_rest(
    tmp_path: Path, journal: Journal
) -> None:
    tail = Tail(tmp_path, behind=1_000)
    lines = [b"%09d\n" % number for number in range(1_000)]
    journal.write(b"".join(lines))
    found: list[bytes] = []
    while part := tail.read(10):
        found += part
    assert found == lines[-25:]
    assert tail.skipped == 975
    journal.close()
