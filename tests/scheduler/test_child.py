"""A job's process: what is kept of it, and its limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from relevo.resources import high_water
from relevo.scheduler import child as children
from relevo.scheduler.child import TAIL, Child, Ended, memory
from support.scheduling import PATIENCE, python

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc says what memory a process has")


def ended(child: Child) -> Ended:
    found = child.wait(PATIENCE)
    assert found is not None, "still running"
    return found


def written(path: Path) -> str:
    end = time.monotonic() + PATIENCE
    while not path.exists() or not path.read_text():
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.01)
    return path.read_text()


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_exit_code_the_time_and_what_was_written_are_kept() -> None:
    found = ended(Child(python("import sys; print('out'); sys.stderr.write('err'); sys.exit(7)")))
    assert (found.code, found.why) == (7, "")
    assert set(found.tail.split()) == {"out", "err"}
    assert found.cpu_seconds > 0
    assert 0 < found.seconds < 120
    assert 1 << 20 < found.peak_rss_bytes < max(1 << 30, high_water(os.getpid()) + 80_000_000)


def test_only_the_end_of_much_output_is_kept_and_nothing_waits_for_us() -> None:
    found = ended(Child(python("print('x' * 3_000_000); print('the end')")))
    assert found.code == 0
    assert len(found.tail) == TAIL
    assert found.tail.endswith("xxx\nthe end\n")


def test_what_a_ledger_cannot_hold_is_replaced() -> None:
    assert ended(Child(python(r"import os; os.write(1, b'a\0\xffb')"))).tail == "a\ufffd\ufffdb"


def test_it_has_a_low_priority_and_a_group_of_its_own() -> None:
    child = Child(python("import time; time.sleep(600)"))
    assert os.getpgid(child.pid) == child.pid
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    child.kill("enough")
    found = ended(child)
    assert (found.code, found.why) == (-signal.SIGKILL, "enough")


def test_what_takes_too_long_is_asked_to_end() -> None:
    found = ended(Child(python("import time; time.sleep(600)", timeout=0.3)))
    assert found.code == -signal.SIGTERM
    assert found.why == "It took longer than 0.3 s."
    assert found.seconds < 120


def test_what_does_not_end_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(children, "GRACE", 0.5)
    said = tmp_path / "said"
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(said)!r}, 'w').write('deaf'); time.sleep(600)"
    )
    child = Child(python(deaf))
    written(said)
    child.stop("enough")
    found = ended(child)
    assert (found.code, found.why) == (-signal.SIGKILL, "enough")


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    parent = (
        "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(said)!r}, 'w').write(str(c.pid))"
    )
    assert ended(Child(python(parent))).code == 0
    orphan = int(written(said))
    end = time.monotonic() + 60
    while lives(orphan):
        assert time.monotonic() < end, "it lives"
        time.sleep(0.01)


@linux
@pytest.mark.parametrize("size", [1, 150_000_000])
def test_the_peak_of_its_memory_is_its_own(tmp_path: Path, size: int) -> None:
    """Whoever starts it may have had more, or less."""
    held = bytearray(b"x") * 250_000_000
    del held
    said, go = tmp_path / "said", tmp_path / "go"
    child = Child(
        python(
            f"import os, time; held = bytearray(b'x') * {size}; open({str(said)!r}, 'w').write('x')\n"
            f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
        )
    )
    written(said)
    while not child._peak:
        assert child.look() is None
    go.touch()
    assert size < ended(child).peak_rss_bytes < size + 80_000_000


STARTER = """
import os
from relevo.resources import high_water
from relevo.scheduler.child import Child
from relevo.scheduler.task import Task
size = high_water(os.getpid()) + 50_000_000
child = Child(Task(name="task", command=("-c", f"held = bytearray(b'x') * {size}"), whens=()))
print(size, child.wait(180).peak_rss_bytes)
"""


@linux
def test_what_it_had_when_nobody_looked_counts() -> None:
    """Started by a process of its own, since this one may have had most of the memory there is."""
    done = subprocess.run([sys.executable, "-c", STARTER], capture_output=True, text=True, check=True)
    size, peak = map(int, done.stdout.split())
    assert peak > size


@linux
def test_what_uses_too_much_memory_is_killed() -> None:
    hungry = "import time; held = bytearray(300_000_000); time.sleep(600)"
    found = ended(Child(python(hungry, memory_limit=200_000_000)))
    assert found.code == -signal.SIGKILL
    assert "more than the 200 MB" in found.why
    assert found.seconds < 120


@linux
def test_memory_is_that_of_all_its_processes(tmp_path: Path) -> None:
    said = tmp_path / "said"
    forks = (
        "import os, time; os.fork(); held = bytearray(b'x') * 100_000_000;"
        f"open({str(said)!r}, 'a').write('x'); time.sleep(600)"
    )
    child = Child(python(forks, memory_limit=150_000_000))
    assert "more than the 150 MB" in ended(child).why
    end = time.monotonic() + 60
    while memory(child.pid):
        assert time.monotonic() < end, "some of it lives"
        time.sleep(0.01)


@linux
def test_files_that_are_mapped_and_reserved_addresses_do_not_count() -> None:
    maps = (
        "import mmap, tempfile; f = tempfile.TemporaryFile(dir='/var/tmp'); f.truncate(300_000_000);"
        "m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); sum(m[n] for n in range(0, 300_000_000, 4096));"
        "r = mmap.mmap(-1, 1 << 36, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ);"
        "import time; time.sleep(0.3)"
    )
    assert ended(Child(python(maps, memory_limit=200_000_000))).code == 0
