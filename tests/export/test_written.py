"""Files for another engine are written anew at will, and never over somebody's work."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from relevo.errors import WorkspaceError
from relevo.export import REMEMBERED, write

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"dags/loans.py": "print(1)\n", "run.sh": "#!/bin/sh\necho\n"}


def states(
    files: dict[str, str], folder: Path, *, engine: str = "airflow", force: bool = False
) -> dict[str, str]:
    return {one.path: one.state for one in write(files, folder, engine=engine, force=force)}


def test_files_are_written_and_then_unchanged(tmp_path: Path) -> None:
    assert states(FILES, tmp_path / "out") == {"dags/loans.py": "new", "run.sh": "new"}
    assert (tmp_path / "out/dags/loans.py").read_text() == "print(1)\n"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out/dags/loans.py", os.X_OK)
    assert states(FILES, tmp_path / "out") == {"dags/loans.py": "unchanged", "run.sh": "unchanged"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [REMEMBERED, "dags", "run.sh"]


def test_what_was_not_edited_is_updated_or_removed(tmp_path: Path) -> None:
    write(FILES, tmp_path, engine="airflow")
    assert states({"dags/loans.py": "print(2)\n"}, tmp_path) == {
        "dags/loans.py": "updated",
        "run.sh": "removed",
    }
    assert (tmp_path / "dags/loans.py").read_text() == "print(2)\n"
    assert not (tmp_path / "run.sh").exists()


def test_what_was_edited_stops_everything_and_is_shown(tmp_path: Path) -> None:
    write(FILES, tmp_path, engine="airflow")
    (tmp_path / "run.sh").write_text("#!/bin/sh\necho mine\n")
    found = write({name: text + "# more\n" for name, text in FILES.items()}, tmp_path, engine="airflow")
    assert [(one.path, one.state) for one in found] == [("dags/loans.py", "updated"), ("run.sh", "edited")]
    assert "-echo mine\n+echo\n+# more\n" in found[1].diff
    assert (tmp_path / "dags/loans.py").read_text() == "print(1)\n"
    assert (tmp_path / "run.sh").read_text() == "#!/bin/sh\necho mine\n"


def test_forced_the_edited_file_is_kept_beside_it(tmp_path: Path) -> None:
    write(FILES, tmp_path, engine="airflow")
    for edit in ("one", "two"):
        (tmp_path / "run.sh").write_text(edit)
        assert states(FILES, tmp_path, force=True)["run.sh"] == "replaced"
    assert (tmp_path / "run.sh").read_text() == FILES["run.sh"]
    assert (tmp_path / "run.sh.orig").read_text() == "one"
    assert (tmp_path / "run.sh.orig.1").read_text() == "two"


def test_a_foreign_file_counts_as_edited(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("somebody's\n")
    assert states(FILES, tmp_path) == {"dags/loans.py": "new", "run.sh": "edited"}
    assert not (tmp_path / "dags").exists()


def test_an_edited_file_that_is_written_no_longer_stays(tmp_path: Path) -> None:
    write(FILES, tmp_path, engine="airflow")
    (tmp_path / "run.sh").write_text("mine")
    assert states({"dags/loans.py": "print(2)\n"}, tmp_path) == {
        "dags/loans.py": "updated",
        "run.sh": "edited",
    }
    assert (tmp_path / "run.sh").read_text() == "mine"
    assert (tmp_path / "dags/loans.py").read_text() == "print(2)\n"


def test_engines_do_not_remove_each_others_files(tmp_path: Path) -> None:
    write(FILES, tmp_path, engine="airflow")
    assert states({"compose.yaml": "services: {}\n"}, tmp_path, engine="compose") == {"compose.yaml": "new"}
    assert states(FILES, tmp_path) == {"dags/loans.py": "unchanged", "run.sh": "unchanged"}


def test_a_damaged_memory_is_told(tmp_path: Path) -> None:
    (tmp_path / REMEMBERED).write_text("[1")
    with pytest.raises(WorkspaceError, match="Restore it, or remove it"):
        write(FILES, tmp_path, engine="airflow")


def test_a_memory_that_points_elsewhere_removes_nothing(tmp_path: Path) -> None:
    from relevo import digest

    other = tmp_path / "other.txt"
    other.write_text("x")
    inside = tmp_path / "out"
    inside.mkdir()
    (inside / REMEMBERED).write_text(json.dumps({"airflow": {"../other.txt": digest.of_bytes(b"x")}}))
    write(FILES, inside, engine="airflow")
    assert other.read_text() == "x"


def test_what_several_write_is_ours_whoever_wrote_it_last(tmp_path: Path) -> None:
    for engine in ("airflow a", "airflow b"):
        write({"module.py": "1\n"}, tmp_path, engine=engine)
    assert states({"module.py": "2\n"}, tmp_path, engine="airflow a") == {"module.py": "updated"}
    assert states({"module.py": "3\n"}, tmp_path, engine="airflow b") == {"module.py": "updated"}
    assert states({}, tmp_path, engine="airflow a") == {}
    assert (tmp_path / "module.py").read_text() == "3\n"
    assert states({}, tmp_path, engine="airflow b") == {"module.py": "removed"}
