"""A folder in which files appear: each is taken once and stays in force."""

from __future__ import annotations

import shutil
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from relevo.errors import DataError
from relevo.sources import Files, Folder
from support.ingesting import Place
from support.provider import header_and_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INBOX = Folder("inbox", "*.csv", settled=0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "inbox").mkdir()
    return Place(tmp_path)


def drop(place: Place, name: str, first: int, rows: int = 2) -> Path:
    path = place.root / "inbox" / name
    path.write_text(header_and_rows(first, rows))
    return path


def test_each_file_is_taken_once_and_stays_whatever_becomes_of_it(place: Place) -> None:
    first, second = drop(place, "a.csv", 1), drop(place, "b.csv", 3)
    taken = place.ingest(INBOX)
    assert (taken.rows, [name for name, _ in taken.files]) == (4, ["inbox/a.csv", "inbox/b.csv"])
    first.unlink()
    second.rename(second.with_name("renamed.csv"))
    drop(place, "copy.csv", 3)
    again = place.ingest(INBOX)
    assert (again.id, again.changed, again.rows) == (taken.id, False, 4)
    drop(place, "c.csv", 5)
    later = place.ingest(INBOX)
    assert (later.rows, later.id != taken.id, place.ids()) == (6, True, [1, 2, 3, 4, 5, 6])
    assert [name for name, _ in later.files] == ["inbox/a.csv", "inbox/b.csv", "inbox/c.csv"]


def test_a_lake_that_was_lost_is_filled_again_at_the_versions_it_has_then(place: Place) -> None:
    drop(place, "a.csv", 1)
    place.ingest(Files("inbox/*.csv"))
    drop(place, "a.csv", 3)
    taken = place.ingest(Files("inbox/*.csv"))
    shutil.rmtree(place.lake.root)
    again = place.ingest(Files("inbox/*.csv"))
    assert (again.id, again.rows, taken.version, again.version) == (taken.id, 2, 1, 0)


def test_an_emptied_folder_keeps_what_was_taken_and_an_absent_one_is_said(place: Place) -> None:
    with pytest.raises(DataError, match=r"no file inbox/\*\.csv"):
        place.ingest(INBOX)
    path = drop(place, "a.csv", 1)
    place.ingest(INBOX)
    path.unlink()
    assert place.ingest(INBOX).rows == 2
    path.parent.rmdir()
    with pytest.raises(DataError, match=r"no folder .*inbox.*What was taken from it is kept"):
        place.ingest(INBOX)


def test_a_name_that_comes_again_with_other_content_is_an_error_unless_allowed(place: Place) -> None:
    drop(place, "a.csv", 1, rows=2)
    place.ingest(INBOX)
    drop(place, "a.csv", 1, rows=3)
    with pytest.raises(DataError, match=r"a\.csv: a file of this name was taken before"):
        place.ingest(INBOX)
    assert place.ids() == [1, 2]
    drop(place, "a.csv", 3, rows=2)
    assert place.ingest(Folder("inbox", "*.csv", settled=0, reuse_names=True)).rows == 4


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[float], object]) -> None:
    """Let something happen in no time where a folder is waited for; it is told the seconds."""
    monkeypatch.setattr("relevo.ingest.folder.time", SimpleNamespace(time=time.time, sleep=happens))


def test_a_file_changed_a_moment_ago_is_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    meanwhile(monkeypatch, waits.append)
    drop(place, "a.csv", 1)
    assert place.ingest(Folder("inbox", settled=600)).rows == 2
    assert waits == [600]


def test_a_file_that_goes_on_growing_is_left_for_the_next_ingest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(place, "a.csv", 1)
    path = drop(place, "b.csv", 3)

    def grow(_: float) -> None:
        with path.open("a") as file:
            file.write("9,more\n")

    meanwhile(monkeypatch, grow)
    assert place.ingest(Folder("inbox", settled=600)).rows == 2
    assert place.said == ["inbox/b.csv is still being written; it is left for the next run"]
    meanwhile(monkeypatch, lambda _: None)
    path.write_text(header_and_rows(3, 2))
    assert place.ingest(Folder("inbox", settled=600)).rows == 4


def test_files_of_other_formats_and_folders_below(place: Place) -> None:
    (place.root / "inbox" / "2024").mkdir()
    drop(place, "2024/a.csv", 1)
    drop(place, "b.jsonl", 1).write_text('{"id": 3, "name": "c"}\n')
    assert place.ingest(Folder("inbox", "**/*.*", settled=0)).rows == 3


def test_options_of_csv_hold(place: Place) -> None:
    drop(place, "a.csv", 1).write_bytes("id|name\n1|'Ñ|x'\n".encode("latin-1"))
    place.ingest(Folder("inbox", delimiter="|", quote="'", escape="'", encoding="latin-1", settled=0))
    assert place.rows() == [("1", "Ñ|x")]


def test_a_damaged_header_is_said_before_any_file_is_taken(place: Place) -> None:
    drop(place, "a.csv", 1)
    drop(place, "b.csv", 3).write_text("id,other\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv: there is no column “name”"):
        place.ingest(INBOX)
    assert not place.lake.exists("raw/items")


def test_a_file_without_rows_is_looked_at_again(place: Place) -> None:
    drop(place, "a.csv", 1)
    drop(place, "b.csv", 3, rows=0)
    assert place.ingest(INBOX).rows == 2
    drop(place, "b.csv", 3)
    assert place.ingest(INBOX).rows == 4


def test_another_folder_and_files_are_other_sources(place: Place) -> None:
    drop(place, "a.csv", 1)
    place.ingest(INBOX)
    drop(place, "b.csv", 3)
    assert place.ingest(Files("inbox/b.csv")).rows == 2
    assert place.ingest(INBOX).rows == 4


def test_rows_in_quarantine_are_named_by_their_file(place: Place) -> None:
    drop(place, "a.csv", 1)
    drop(place, "b.csv", 2)
    found = place.clean(INBOX, unique=["id"])
    assert (found.rows, found.quarantined) == (3, 1)
    assert place.rows("select _source, _row, reasons[1] from quarantine.items") == [
        ("inbox/b.csv", 1, "id: the same as in inbox/a.csv, row 2")
    ]
