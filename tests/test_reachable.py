"""Notes of where services listen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from relevo.reachable import FOLDER, announced, services

if TYPE_CHECKING:
    from pathlib import Path

LISTEN = """
import sys, time
from pathlib import Path
from relevo.reachable import announced
with announced(Path(sys.argv[1]), sys.argv[2]):
    print("ready", flush=True)
    time.sleep(60)
"""


def listen(root: Path, address: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN, root, address], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_services_that_listen_are_known_the_newest_first(tmp_path: Path) -> None:
    assert services(tmp_path) == []
    with announced(tmp_path, "http://127.0.0.1:1"), announced(tmp_path, "http://127.0.0.1:2"):
        found = services(tmp_path)
        assert [one["address"] for one in found] == ["http://127.0.0.1:2", "http://127.0.0.1:1"]
        assert found[0]["pid"] == os.getpid()
    assert services(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_was_killed_is_not_known_any_more(tmp_path: Path, number: int) -> None:
    process = listen(tmp_path, "http://127.0.0.1:3")
    assert [one["address"] for one in services(tmp_path)] == ["http://127.0.0.1:3"]
    process.send_signal(number)
    process.communicate(timeout=30)
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    assert services(tmp_path) == []
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    with announced(tmp_path, "http://127.0.0.1:1"):
        path = next((tmp_path / FOLDER).iterdir())
        path.write_text("{")
        assert services(tmp_path) == []
