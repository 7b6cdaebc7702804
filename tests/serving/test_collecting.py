"""The process that collects what a service logged: idle while nobody waits for it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relevo.journal import Journal
from relevo.serving import collecting
from relevo.workspace import Workspace

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="this system has no idle class")

THREADS = """
import sys, threading, time
sys.stdin.readline()
threads = [threading.Thread(target=time.sleep, args=(600,), daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
print("begun", flush=True)
time.sleep(600)
"""
LINE = (
    b'{"id":"one","at":"2026-01-31T23:30:00.123456+00:00","project":"flights","version":"1.0.0","digest":"d",'
    b'"probability":0.3,"decision":true,"label":"late","request":{"a":1}}\n'
)
HELD = """
import os, signal, sys
from pathlib import Path
from relevo.serving.collecting import Collector, hurry
from relevo.workspace import Workspace
made = Workspace.open(Path(sys.argv[1]))
collector = Collector(made)
collector.tick()
first = collector._child
os.kill(first.pid, signal.SIGSTOP)
assert not hurry(first.pid)
collector.wait()
print(first.returncode, made.lake.version("predictions"))
"""


def policies(pid: int) -> set[int]:
    """The classes of a process's threads."""
    return {os.sched_getscheduler(int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir()}


def without_the_right() -> None:
    """Take from a process that is begun what an ordinary user has not: to give others more of the processor."""
    resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
    drop, nice = 24, 23  # PR_CAPBSET_DROP, CAP_SYS_NICE
    ctypes.CDLL(None).prctl(drop, nice, 0, 0, 0)


def test_threads_that_began_while_it_was_idle_are_hurried_with_it() -> None:
    if os.geteuid():
        pytest.skip("only root may take a process out of the idle class")
    with subprocess.Popen(
        [sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        collecting.idle(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"begun\n"
        assert policies(process.pid) == {os.SCHED_IDLE}
        assert collecting.hurry(process.pid)
        assert policies(process.pid) == {os.SCHED_OTHER}
        process.kill()
    assert not collecting.hurry(process.pid)


def test_where_it_may_not_be_hurried_another_one_does_what_is_left(tmp_path: Path) -> None:
    journal = Journal.open(Workspace.open(tmp_path).logs)
    journal.write(LINE)
    journal.close()
    done = subprocess.run(
        [sys.executable, "-c", HELD, str(tmp_path)],
        preexec_fn=without_the_right,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.split() == [str(-signal.SIGKILL), "0"], done.stderr
    assert list(Workspace.open(tmp_path).logs.iterdir()) == []
