from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from relevo.errors import ProjectError, WorkspaceError
from relevo.records import now
from relevo.workspace import Settings, Workspace


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RELEVO_{name.upper()}", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "flights"
    folder.mkdir()
    return folder


def holding(project: Path, code: str) -> subprocess.Popen[str]:
    """Start a process that runs ``code`` in the workspace ``w``, says so, and waits."""
    script = "import sys, pathlib, time; from relevo.workspace import Workspace\n"
    script += f"w = Workspace.open(pathlib.Path(sys.argv[1]))\nwith {code} as held:\n"
    script += "    print(held, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(project)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class TestSettings:
    """relevo.toml and RELEVO_* variables."""

    def test_the_defaults_need_no_file(self, project: Path) -> None:
        settings = Settings.read(project)
        assert (settings.memory_limit, settings.threads, settings.ledger) == ("2GB", None, None)

    def test_a_variable_wins_over_the_file(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (project / "relevo.toml").write_text('memory_limit = "500MB"\nthreads = 3\n')
        monkeypatch.setenv("RELEVO_THREADS", "1")
        monkeypatch.setenv("RELEVO_SOMETHING_ELSE", "is no setting, and no business of ours")
        settings = Settings.read(project)
        assert (settings.memory_limit, settings.threads) == ("500MB", 1)

    def test_every_mistake_in_the_file_is_named(self, project: Path) -> None:
        (project / "relevo.toml").write_text('memory = "2GB"\nthreads = 0\n[lake]\nplace = "x"\n')
        with pytest.raises(ProjectError) as error:
            Settings.read(project)
        assert [(mistake.file, mistake.field) for mistake in error.value.mistakes] == [
            ("relevo.toml", "lake"),
            ("relevo.toml", "threads"),
            ("relevo.toml", "memory"),
        ]
        assert "memory_limit" in error.value.mistakes[-1].remedy

    def test_an_object_store_is_refused_before_anything_begins(self, project: Path) -> None:
        (project / "relevo.toml").write_text('lake = "s3://bucket/lake"\n')
        with pytest.raises(ProjectError) as caught:
            Settings.read(project)
        said = "lake: 's3://bucket/lake' cannot be used: only folders can be used so far; write a path."
        assert f"relevo.toml: {said}" in str(caught.value)

    def test_a_mistake_in_a_variable_names_the_variable(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RELEVO_MEMORY_LIMIT", "plenty")
        with pytest.raises(ProjectError, match="RELEVO_MEMORY_LIMIT: memory_limit: 'plenty' cannot be used"):
            Settings.read(project)

    @pytest.mark.parametrize("content", [b"memory_limit = ", b"memory_limit = '\xff'"])
    def test_what_is_not_toml_is_named(self, project: Path, content: bytes) -> None:
        (project / "relevo.toml").write_bytes(content)
        with pytest.raises(ProjectError, match=r"relevo.toml: .*not TOML"):
            Settings.read(project)

    def test_the_ledgers_password_may_come_from_a_file(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (project / "password").write_text("p@ss/:w%rd\n")
        monkeypatch.setenv("RELEVO_LEDGER", "postgresql+psycopg://relevo@db:5432/relevo")
        monkeypatch.setenv("RELEVO_LEDGER_PASSWORD_FILE", "password")
        database = Workspace.open(project).ledger._database
        assert (database.url.password, database.url.host, database.url.port) == ("p@ss/:w%rd", "db", 5432)
        assert "w%rd" not in database.shown

    @pytest.mark.parametrize(
        ("url", "text", "expected"),
        [
            ("postgresql+psycopg://relevo@db/relevo", "\n", "password: is empty"),
            ("postgresql+psycopg://relevo@db/relevo", None, "password: is absent"),
            ("postgresql+psycopg://relevo:s3cret@db/relevo", "x", "names a user and no password"),
            ("postgresql+psycopg://db/relevo", "x", "names a user and no password"),
        ],
    )
    def test_a_password_that_is_not_there_is_told(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, url: str, text: str | None, expected: str
    ) -> None:
        if text is not None:
            (project / "password").write_text(text)
        monkeypatch.setenv("RELEVO_LEDGER", url)
        monkeypatch.setenv("RELEVO_LEDGER_PASSWORD_FILE", "password")
        with pytest.raises(WorkspaceError, match=expected) as error:
            _ = Workspace.open(project).ledger
        assert "s3cret" not in str(error.value)


class TestOpen:
    """The folder."""

    def test_it_is_made_for_its_owner_alone_and_hidden_from_git(self, project: Path) -> None:
        root = Workspace.open(project).root
        assert root == project / ".relevo"
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert (root / ".gitignore").read_text() == "*\n"

    def test_opening_it_opens_no_store(self, project: Path) -> None:
        root = Workspace.open(project).root
        assert [path.name for path in root.iterdir()] == [".gitignore"]

    def test_an_absent_one_is_not_made_when_it_should_be_there(self, project: Path) -> None:
        with pytest.raises(WorkspaceError, match=r"There is no workspace .*\.relevo.*relevo run"):
            Workspace.open(project, create=False)
        assert list(project.iterdir()) == []

    def test_an_absent_project_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(WorkspaceError, match=r"no project folder .*typo"):
            Workspace.open(tmp_path / "typo")

    def test_a_file_in_its_place_is_named(self, project: Path) -> None:
        (project / ".relevo").write_text("")
        with pytest.raises(WorkspaceError, match=r"\.relevo: cannot be used"):
            Workspace.open(project)

    def test_relative_places_count_from_the_project(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (project / "relevo.toml").write_text('workspace = "../elsewhere"\nledger = "sqlite:///own.db"\n')
        monkeypatch.chdir("/")
        workspace = Workspace.open(project)
        assert workspace.root.resolve() == project.parent / "elsewhere"
        workspace.ledger.runs("flights")
        assert (project / "own.db").is_file()

    @pytest.mark.skipif(os.getuid() != 0, reason="takes root to act as a user who may not write")
    @pytest.mark.parametrize("mode", [0o755, 0o700])
    def test_one_that_may_not_be_written_says_so(self, mode: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "flights").mkdir()
            Path(folder).chmod(mode)
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.setuid(65534)
                    Workspace.open(Path(folder) / "flights")
                except WorkspaceError as error:
                    os.write(writer, str(error).encode())
                finally:
                    os._exit(0)
            os.close(writer)
            os.waitpid(child, 0)
            said = os.read(reader, 10_000).decode()
            os.close(reader)
        assert "flights" in said
        assert "may not be written" in said
        assert "RELEVO_WORKSPACE" in said

    def test_the_ledger_is_not_made_by_those_who_only_read(self, project: Path) -> None:
        Workspace.open(project)
        with pytest.raises(Exception, match=r"ledger.db is absent"):
            Workspace.open(project, create=False).ledger.runs("flights")

    def test_the_projects_name_is_remembered(self, project: Path) -> None:
        workspace = Workspace.open(project)
        with pytest.raises(WorkspaceError, match=r"Nothing was run in .* yet"):
            workspace.project_name()
        workspace.remember("flights")
        workspace.remember("flights")
        assert Workspace.open(project, create=False).project_name() == "flights"


class TestLock:
    """One run at a time."""

    def test_a_second_run_is_told_who_is_inside_and_since_when(self, project: Path) -> None:
        before = now()
        with holding(project, "w.lock()") as first:
            assert first.stdout is not None
            first.stdout.readline()
            with pytest.raises(WorkspaceError) as error, Workspace.open(project).lock():
                pass
            said = re.search(rf"process {first.pid}, since (\S+?)\.", str(error.value))
            assert said is not None
            assert before[:19] <= said[1][:19] <= now()[:19]
            first.communicate("")
        with Workspace.open(project).lock():
            pass

    def test_kill_9_frees_it(self, project: Path) -> None:
        with holding(project, "w.lock()") as first:
            assert first.stdout is not None
            first.stdout.readline()
            first.send_signal(signal.SIGKILL)
        with Workspace.open(project).lock():
            pass

    def test_it_is_not_reentrant(self, project: Path) -> None:
        workspace = Workspace.open(project)
        with (
            workspace.lock(),
            pytest.raises(WorkspaceError, match=f"process {os.getpid()}"),
            workspace.lock(),
        ):
            pass

    def test_the_holder_is_readable(self, project: Path) -> None:
        workspace = Workspace.open(project)
        with workspace.lock():
            assert json.loads((workspace.root / "run.lock").read_text())["pid"] == os.getpid()


class TestScratch:
    """Temporary folders."""

    def test_it_is_removed_with_all_it_holds(self, project: Path) -> None:
        workspace = Workspace.open(project)
        with workspace.scratch() as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "file").write_text("x")
            assert folder.is_relative_to(workspace.root)
        assert list((workspace.root / "scratch").iterdir()) == []

    def test_leftovers_of_the_dead_are_removed_and_work_in_progress_is_kept(self, project: Path) -> None:
        with holding(project, "w.scratch()") as dead, holding(project, "w.scratch()") as alive:
            assert dead.stdout is not None
            assert alive.stdout is not None
            left, kept = Path(dead.stdout.readline().strip()), Path(alive.stdout.readline().strip())
            (left / "file").write_text("x")
            dead.send_signal(signal.SIGKILL)
            dead.wait()
            assert left.is_dir()
            Workspace.open(project)
            assert not left.exists()
            assert kept.is_dir()
            alive.communicate("")
        assert list((project / ".relevo" / "scratch").iterdir()) == []
