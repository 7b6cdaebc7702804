"""A child that ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from relevo import leash

if TYPE_CHECKING:
    from pathlib import Path

CHILD = "import sys, time; from relevo import leash; leash.fasten(); open(sys.argv[1], 'w').write('x'); time.sleep(600)"
PARENT = """
import subprocess, sys, time
from relevo import leash
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], env=leash.held(int(sys.argv[3])))
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_gets_its_signal_when_the_parent_is_killed(tmp_path: Path, number: int) -> None:
    said = tmp_path / "said"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(said), str(int(number))], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    end = time.monotonic() + 120
    while not said.exists():
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.01)
    parent.kill()
    parent.communicate(timeout=60)
    assert psutil.wait_procs([child], timeout=60)[1] == []


def test_a_child_of_somebody_else_ends_at_once() -> None:
    code = "from relevo import leash; leash.fasten(); print('alive')"
    environment = {**os.environ, leash.VARIABLE: f"1 {int(signal.SIGTERM)}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


@pytest.mark.parametrize("said", ["", "1", "one two", "1 2 3"])
def test_what_says_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(leash.VARIABLE, said)
    leash.fasten()
    assert leash.VARIABLE not in os.environ, "children do not inherit it"
