"""``relevo prepare``: what other processes need is there, however often it is called."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from relevo import keys
from relevo.workspace import Workspace
from support import project

KEY = "rlv_0123456789abcdef_" + "k" * 43


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A project in which nothing ran yet."""
    left_out = shutil.ignore_patterns("data", ".relevo", "__pycache__")
    return shutil.copytree(Path(__file__).parents[2] / "examples/flights", tmp_path / "p", ignore=left_out)


def test_a_workspace_is_made_and_keys_are_taken_once(copy: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    words = ("prepare", copy, "--key", f"page:predict,read={file}", "--json")
    first, second = project.call(*words), project.call(*words)
    assert (first.code, second.code) == (0, 0)
    assert first.document["keys"] == second.document["keys"] == ["0123456789abcdef"]
    workspace = Workspace.open(copy, create=False)
    (key,) = workspace.ledger.keys.all(workspace.project_name())
    assert (key.name, key.scopes, key.expires_at) == ("page", ("predict", "read"), "")
    assert keys.matches(key, "k" * 43)
    assert all(folder.is_dir() for folder in (workspace.logs, workspace.lookups, workspace.blobs.root))


def test_a_revoked_key_stays_revoked(copy: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    words = ("prepare", copy, "--key", f"page:read={file}")
    assert project.call(*words).code == 0
    assert project.call("keys", "revoke", "0123456789abcdef", "--project", copy).code == 0
    again = project.call(*words)
    assert (again.code, "0123456789abcdef is revoked" in again.out) == (0, True)
    assert project.call(*words, "--json").document["revoked"] == ["0123456789abcdef"]
    assert project.call(*words[:-1], f"page:predict={file}").code == 0  # it opens nothing, whatever is asked
    workspace = Workspace.open(copy, create=False)
    assert [bool(key.revoked_at) for key in workspace.ledger.keys.all(workspace.project_name())] == [True]


@pytest.mark.parametrize("asked", ["page:predict", "page:predict,read,label", "caller:predict,read"])
def test_a_known_key_does_not_change_what_it_is_good_for(copy: Path, tmp_path: Path, asked: str) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    assert project.call("prepare", copy, "--key", f"page:read,predict={file}").code == 0
    done = project.call("prepare", copy, "--key", f"{asked}={file}")
    assert done.code == 1
    assert f"{file}: its key is known as page:predict,read, not as" in done.err
    assert "relevo keys revoke 0123456789abcdef" in done.err
    workspace = Workspace.open(copy, create=False)
    (key,) = workspace.ledger.keys.all(workspace.project_name())
    assert (key.name, key.scopes) == ("page", ("predict", "read"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "holds no key: it is empty"), ("secret", "holds no key: a key reads rlv_"), (None, "is absent")],
)
def test_a_file_without_a_key_is_refused(copy: Path, tmp_path: Path, text: str | None, expected: str) -> None:
    file = tmp_path / "key"
    if text is not None:
        file.write_text(text)
    done = project.call("prepare", copy, "--key", f"page:read={file}")
    assert done.code == 1
    assert str(file) in done.err
    assert expected in done.err
    assert "secret" not in done.err


def test_another_key_of_the_same_id_is_refused(copy: Path, tmp_path: Path) -> None:
    file = tmp_path / "key"
    for text, code in ((KEY, 0), (KEY[:-1] + "x", 1)):
        file.write_text(text)
        assert project.call("prepare", copy, "--key", f"page:read={file}").code == code


@pytest.mark.parametrize("given", ["page", "page:read", "page=x", ":read=x", "page:all=x", "page:=x"])
def test_what_is_mistyped_is_refused(copy: Path, given: str) -> None:
    done = project.call("prepare", copy, "--key", given)
    assert done.code == 1
    assert "predict, label, read, admin" in done.err
