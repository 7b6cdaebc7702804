"""Files as they come, disks as they are: a run ends well or says in one sentence why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import processes, project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROWS = 900
ENOUGH = "examples: "
"""What a run says once the files were read and cleaned."""


def recoded(encoding: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(encoding)


def without_airline(text: str) -> bytes:
    return text.replace("Emp-I", "Company").encode()


def extra_column(text: str) -> bytes:
    header, *lines = text.splitlines()
    return "\n".join([f"{header},extra", *(f"{line},x" for line in lines)]).encode()


def ragged(text: str) -> bytes:
    lines = text.splitlines()
    lines[10] += ",more,and more"
    lines[20] = lines[20][:30]
    return "\n".join(lines).encode()


def all_wrong(text: str) -> bytes:
    return text.replace("2017-", "17/").encode()


def mostly_wrong(text: str) -> bytes:
    return text.replace("2017-07-", "17/07/").encode()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with few rows and no workspace."""
    return project.make(tmp_path_factory.mktemp("small") / "flights", ROWS)


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    project.edit(
        project.copy(small, tmp_path / "flights") / "project.py", ("[logistic(), lightgbm()]", "[logistic()]")
    )
    return tmp_path / "flights"


def spoil(folder: Path, change: Callable[[str], bytes]) -> Path:
    path = folder / "data" / "departures.csv"
    path.write_bytes(change(path.read_text(encoding="utf-8")))
    return path


def first_steps(folder: Path) -> project.Done:
    """Ingest and clean; the steps behind them are the same whatever the file looked like."""
    for name in ("ingest", "clean"):
        done = project.call("step", name, "--run", "r1", "-p", folder)
        if done.code:
            break
    return done


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        recoded("utf-8-sig"),
        extra_column,
        ragged,
    ],
    ids=["semicolons", "crlf", "byte-order-mark", "extra-column", "ragged"],
)
def test_files_that_are_read_all_the_same(folder: Path, change: Callable[[str], bytes]) -> None:
    spoil(folder, change)
    done = first_steps(folder)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_airline, ("departures.csv", "Emp-I")),
        (lambda _: b"", ("departures.csv: it is empty",)),
        (lambda text: text.splitlines()[0].encode(), ("departures.csv", "there is a header but no row")),
        (lambda text: text.encode("latin-1"), ("departures.csv", "latin-1")),
        (lambda text: text.encode("utf-16"), ("departures.csv", "utf-16")),
        (all_wrong, ("break the contract", "Fecha-I: not a timestamp", "Fecha-O: not a timestamp", "row 1")),
        (
            mostly_wrong,
            ("break the contract, and only 5.0% may", "Fecha-I: not a timestamp (", "max_quarantined"),
        ),
    ],
    ids=["missing-column", "empty", "header-only", "latin-1", "utf-16", "all-refused", "too-many-refused"],
)
def test_files_that_are_refused_with_one_message(
    folder: Path, change: Callable[[str], bytes], said: tuple[str, ...]
) -> None:
    spoil(folder, change)
    done = first_steps(folder)
    assert done.code == 1
    assert done.err.startswith("Error: ")
    for part in said:
        assert part in done.err, done.err


def test_latin_1_when_the_source_says_so(folder: Path) -> None:
    spoil(folder, recoded("latin-1"))
    project.edit(folder / "project.py", ('Files("data/*.csv")', 'Files("data/*.csv", encoding="latin-1")'))
    assert first_steps(folder).code == 0


def test_no_file_at_all(folder: Path) -> None:
    (folder / "data" / "departures.csv").unlink()
    done = project.call("run", folder)
    assert done.code == 1
    assert "data/*.csv" in done.err


@pytest.mark.slow
def test_a_full_disk_is_told_once_and_forgotten_when_there_is_room(folder: Path) -> None:
    """However far a run gets before the disk is full."""
    limit, failures = 4_000, 0
    while (done := processes.call("run", folder, largest_file=limit)).code:
        assert done.code == 1
        assert done.err.startswith("Error: "), done.err
        assert "Traceback" not in done.err
        assert "full" in done.err or "cannot be written" in done.err, done.err
        limit, failures = limit * 3, failures + 1
    assert 3 <= failures <= 8
    assert done.out.endswith("Version 1.0.0 is now champion.\n")


def allow(folder: Path, *, writing: bool) -> None:
    workspace = folder / ".relevo"
    for path in [workspace, *workspace.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if writing else mode & ~0o222)


@pytest.fixture
def read_only(released: Path) -> Iterator[Path]:
    """A project whose workspace may be read only, by root too when the command gave up its power."""
    allow(released, writing=False)
    yield released
    allow(released, writing=True)


def test_a_read_only_workspace_stops_a_run_with_one_message(read_only: Path) -> None:
    done = processes.call("run", read_only, powerless=True)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: ")
    assert "RELEVO_WORKSPACE" in done.err
    allow(read_only, writing=True)
    assert processes.call("run", read_only, powerless=True).code == 0


@pytest.mark.parametrize(
    "words", [["versions"], ["history"], ["status"], ["sql", "from raw.holidays limit 1", "-p"]]
)
def test_what_only_reads_can_do_with_a_read_only_workspace(read_only: Path, words: list[str]) -> None:
    done = processes.call(*words, read_only, powerless=True)
    assert (done.code, done.err) == (0, "")
