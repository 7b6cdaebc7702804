"""A workspace's ledger moves to Postgres with proof that nothing was lost, and runs go on there."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from relevo import migrate
from relevo.errors import WorkspaceError
from relevo.ledger import Ledger
from support import postgres, project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = os.environ.get("RELEVO_TEST_POSTGRES", "")


@pytest.fixture
def place() -> Iterator[str]:
    """The URL of an empty schema, as Postgres' own tools write it."""
    if not SERVER:
        pytest.skip("RELEVO_TEST_POSTGRES is not set to a Postgres URL")
    with postgres.schema(SERVER) as found:
        yield found.replace("+psycopg", "")


@pytest.mark.parametrize("json", [True, False])
def test_a_relative_file_counts_from_the_project_as_it_does_in_the_settings(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, json: bool
) -> None:
    champion = project.workspace(released).ledger.champion("flights")
    monkeypatch.chdir(tmp_path)
    moved = project.call("migrate", released, "--to", "sqlite:///other.db", *(["--json"] if json else []))
    assert (moved.code, (released / "other.db").is_file()) == (0, True), moved.err
    setting = f"sqlite:///{released / 'other.db'}"
    if json:
        assert moved.document["ledger"] == setting
    else:
        assert f'  ledger = "{setting}"\n' in moved.out
    assert f"moved to {setting}. Set RELEVO_LEDGER to that URL" in project.call("status", released).err
    again = project.call("migrate", released, "--to", "sqlite:///other.db")
    assert "nothing was left to do" in again.out
    for url in (setting, "sqlite:///other.db"):
        with project.variables(RELEVO_LEDGER=url), closing(project.workspace(released).ledger) as ledger:
            assert ledger.champion("flights") == champion


def test_the_command_moves_it_and_the_next_run_finds_nothing_new(released: Path, place: str) -> None:
    before = project.workspace(released).ledger
    champion, runs = before.champion("flights"), before.runs("flights")
    before.close()
    moved = project.relevo("migrate", released, "--to", place)
    assert moved.returncode == 0, moved.stderr
    assert "the chain of releases holds (flights)" in moved.stdout
    assert 'ledger = "postgresql+psycopg://' in moved.stdout

    without = project.relevo("status", released)
    assert (without.returncode, "Set RELEVO_LEDGER to that URL" in without.stderr) == (1, True)
    url = place.replace("postgresql:", "postgresql+psycopg:")
    with closing(Ledger(url)) as ledger:
        assert (ledger.champion("flights"), ledger.runs("flights")) == (champion, runs)
    there = {"RELEVO_LEDGER": url}
    run = project.relevo("run", released, "--json", env=there)
    assert json.loads(run.stdout.splitlines()[-1])["status"] == "unchanged"
    again = project.relevo("migrate", released, "--to", place, env=there)
    assert (again.returncode, "is at" in again.stderr) == (1, True)
    again = project.relevo("migrate", released, "--to", place)
    assert (again.returncode, "nothing was left to do" in again.stdout) == (0, True)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://relevo:s3cret@127.0.0.1:1/relevo",
        "postgresql://relevo@127.0.0.1:1/relevo?password=s3cret",
        "postgresql://relevo@127.0.0.1:1/relevo?sslpassword=s3cret&connect_timeout=1",
    ],
)
def test_a_password_is_never_shown(released: Path, url: str) -> None:
    with project.variables(RELEVO_LEDGER_TIMEOUT="1"):
        done = project.call("migrate", released, "--to", url)
    assert (done.code, "s3cret" in done.out + done.err) == (1, False)
    assert "127.0.0.1:1" in done.err
    assert project.workspace(released).ledger.champion("flights") is not None


@pytest.mark.parametrize(
    "url", ["postgrsql://u:s3cret@h/d", "postgrsql://u:x@s3cret@h", "s3:p?password=s3cret"]
)
def test_nor_in_a_url_that_is_none(released: Path, url: str) -> None:
    done = project.call("migrate", released, "--to", url)
    assert (done.code, "s3cret" in done.out + done.err) == (1, False)
    assert "is not one of SQLAlchemy's" in done.err


def test_nor_one_with_an_at_sign(released: Path) -> None:
    done = project.call("migrate", released, "--to", "postgresql://relevo:p@s3cret@127.0.0.1:1/relevo")
    assert (done.code, "s3cret" in done.out + done.err, "Write %40" in done.err) == (1, False, True)


def test_nor_when_it_moved(released: Path, place: str) -> None:
    url = place.replace("@", ":s3cret@") + "&password=s3cret"
    moved = project.relevo("migrate", released, "--to", url)
    assert (moved.returncode, "s3cret" in moved.stdout + moved.stderr) == (0, False), moved.stderr
    assert "The password belongs into PGPASSWORD" in moved.stdout
    again = project.relevo("status", released)
    assert (again.returncode, "s3cret" in again.stderr, " moved to " in again.stderr) == (1, False, True)


def test_a_damaged_package_stops_it(released: Path, tmp_path: Path) -> None:
    workspace = project.workspace(released)
    champion = workspace.ledger.champion("flights")
    assert champion is not None
    (workspace.blobs.folder(champion.digest) / "model.onnx").write_bytes(b"x")
    target = f"sqlite:///{tmp_path / 'other.db'}"
    with pytest.raises(
        WorkspaceError, match=r"the package of 1\.0\.0: model\.onnx is not as the manifest says"
    ):
        migrate.migrate(workspace, target, tell=lambda _: None)
    assert workspace.ledger.champion("flights") is not None
    found = migrate.migrate(workspace, target, as_is=True, tell=lambda _: None)
    assert (found["files"]["packages"], len(found["files"]["defects"])) == (1, 1)


def test_a_run_under_way_stops_it(released: Path, tmp_path: Path) -> None:
    workspace = project.workspace(released)
    with workspace.lock(), pytest.raises(WorkspaceError, match="Another run is working"):
        migrate.migrate(workspace, f"sqlite:///{tmp_path / 'other.db'}", tell=lambda _: None)


def test_one_thing_at_a_time(released: Path) -> None:
    for words in ([], ["--to", "sqlite:///x.db", "--schema", "0004"]):
        done = project.call("migrate", released, *words)
        assert (done.code, "Say either" in done.err) == (1, True)


def test_the_schema_goes_back_only_if_nothing_is_forgotten(released: Path) -> None:
    assert project.call("keys", "create", "--project", released, "--scope", "predict").code == 0
    done = project.call("migrate", released, "--schema", "0001")
    assert (done.code, "no place for" in done.err) == (1, True)
    done = project.call("migrate", released, "--schema", "0004", "--json")
    assert (done.code, done.document["schema"]) == (0, "0004")
    assert project.workspace(released).ledger.champion("flights") is not None
