from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from relevo import digest
from relevo.blobs import Blobs
from relevo.errors import PackageError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let writes beyond ``size`` fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def a_package(folder: Path, **contents: bytes) -> str:
    """Write a folder as packages are, and return its digest."""
    contents = {"model.onnx": b"model", "lookups/holidays.jsonl": b"[1]\n"} | contents
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    files = {name: {"bytes": len(c), "sha256": digest.of_bytes(c)} for name, c in contents.items()}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return digest.of_file(folder / "manifest.json")


class TestBlobs:
    """Single blobs."""

    def test_what_was_put_is_got_by_its_digest(self, blobs: Blobs) -> None:
        key = blobs.put(b"content")
        assert key == digest.of_bytes(b"content")
        assert blobs.has(key)
        assert blobs.get(key) == b"content"
        assert blobs.put(b"content") == key

    def test_an_absent_blob_is_an_error(self, blobs: Blobs) -> None:
        assert not blobs.has("0" * 64)
        with pytest.raises(WorkspaceError, match="is absent"):
            blobs.get("0" * 64)

    @pytest.mark.parametrize("key", ["", "../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "/.."])
    def test_what_is_no_digest_names_no_file(self, blobs: Blobs, key: str) -> None:
        for use in (blobs.get, blobs.has, blobs.folder):
            with pytest.raises(WorkspaceError, match="is not a SHA-256"):
                use(key)

    def test_a_damaged_blob_is_not_handed_out_and_healed_by_putting_it_again(self, blobs: Blobs) -> None:
        key = blobs.put(b"content")
        blobs._path(key).write_bytes(b"c0ntent")
        with pytest.raises(WorkspaceError, match="was altered"):
            blobs.get(key)
        blobs.put(b"content")
        assert blobs.get(key) == b"content"

    def test_a_full_disk_leaves_nothing(self, blobs: Blobs) -> None:
        data = b"x" * 100_000
        with files_of_at_most(50_000), pytest.raises(WorkspaceError, match="the disk is full"):
            blobs.put(data)
        assert not blobs.has(digest.of_bytes(data))
        assert [path for path in blobs.root.rglob("*") if path.is_file()] == []

    def test_threads_put_the_same_at_once(self, blobs: Blobs) -> None:
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(blobs.put, [b"same" * 1000] * 40))) == 1


class TestFolders:
    """Model packages."""

    def test_a_package_is_stored_under_its_manifests_digest(self, blobs: Blobs, tmp_path: Path) -> None:
        key = a_package(tmp_path / "made")
        (tmp_path / "made" / "notes.txt").write_text("not listed, not part of it")
        stored = blobs.put_folder(tmp_path / "made", key)
        assert stored == blobs.folder(key) == blobs.put_folder(tmp_path / "made", key)
        names = {str(path.relative_to(stored)) for path in stored.rglob("*") if path.is_file()}
        assert names == {"manifest.json", "model.onnx", "lookups/holidays.jsonl"}

    def test_a_folder_unlike_its_manifest_is_refused(self, blobs: Blobs, tmp_path: Path) -> None:
        key = a_package(tmp_path / "made")
        with pytest.raises(PackageError, match=r"SHA-256 of manifest.json is not"):
            blobs.put_folder(tmp_path / "made", "0" * 64)
        (tmp_path / "made" / "model.onnx").write_bytes(b"m0del")
        with pytest.raises(PackageError, match=r"model\.onnx is not as the manifest says"):
            blobs.put_folder(tmp_path / "made", key)
        (tmp_path / "made" / "model.onnx").unlink()
        with pytest.raises(PackageError, match=r"model\.onnx is absent"):
            blobs.put_folder(tmp_path / "made", key)
        assert not (blobs.root / "packages" / key).exists()

    @pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside", "..\\outside", ""])
    def test_a_manifest_cannot_point_outside(self, blobs: Blobs, tmp_path: Path, name: str) -> None:
        (tmp_path / "outside").write_bytes(b"x")
        made = tmp_path / "made"
        made.mkdir()
        (made / "manifest.json").write_text(json.dumps({"files": {name: {"bytes": 1, "sha256": "x"}}}))
        with pytest.raises(PackageError, match="is not a package"):
            blobs.put_folder(made, digest.of_file(made / "manifest.json"))

    @pytest.mark.parametrize("manifest", [None, b"[]", b"{", b'{"files": 3}', b"\xff"])
    def test_what_is_no_package_is_refused(
        self, blobs: Blobs, tmp_path: Path, manifest: bytes | None
    ) -> None:
        made = tmp_path / "made"
        made.mkdir()
        if manifest is not None:
            (made / "manifest.json").write_bytes(manifest)
        with pytest.raises(PackageError):
            blobs.put_folder(made, digest.of_bytes(manifest or b""))

    def test_an_absent_or_altered_package_is_an_error_and_healed_by_storing_it_again(
        self, blobs: Blobs, tmp_path: Path
    ) -> None:
        key = a_package(tmp_path / "made")
        with pytest.raises(PackageError, match="is not in"):
            blobs.folder(key)
        stored = blobs.put_folder(tmp_path / "made", key)
        (stored / "manifest.json").write_bytes(b"{}")
        with pytest.raises(PackageError, match="was altered"):
            blobs.folder(key)
        blobs.put_folder(tmp_path / "made", key)
        (stored / "model.onnx").write_bytes(b"m0del")
        blobs.put_folder(tmp_path / "made", key)
        assert (blobs.folder(key) / "model.onnx").read_bytes() == b"model"

    def test_processes_that_store_the_same_at_once_both_succeed(self, blobs: Blobs, tmp_path: Path) -> None:
        key = a_package(tmp_path / "made", **{"model.onnx": b"x" * 5_000_000})
        code = "import sys; from pathlib import Path; from relevo.blobs import Blobs; print(flush=True);"
        code += "sys.stdin.readline(); Blobs(Path(sys.argv[1])).put_folder(Path(sys.argv[2]), sys.argv[3])"
        command = [sys.executable, "-c", code, str(blobs.root), str(tmp_path / "made"), key]
        started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in started:
            process.communicate()
        assert [process.returncode for process in started] == [0, 0, 0]
        assert (blobs.folder(key) / "model.onnx").stat().st_size == 5_000_000
        assert list((blobs.root / "incoming").iterdir()) == []


def test_kill_9_leaves_no_half_blob_under_its_name_and_no_rubbish(blobs: Blobs) -> None:
    """A process stores blob after blob and is killed; whatever has a name is whole."""
    code = "import sys, os; from pathlib import Path; from relevo.blobs import Blobs\n"
    code += "blobs = Blobs(Path(sys.argv[1]))\n"
    code += "while True: print(blobs.put(os.urandom(1_000_000)), flush=True)"
    command = [sys.executable, "-c", code, str(blobs.root)]
    for count in (1, 4, 9):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline().strip() for _ in range(count)]
            writer.send_signal(signal.SIGKILL)
        assert all(blobs.get(key) for key in said)
        for path in (blobs.root / "objects").rglob("?" * 64):
            assert digest.of_file(path) == path.name
    blobs.sweep()
    assert list((blobs.root / "incoming").iterdir()) == []
