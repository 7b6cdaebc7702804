from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from relevo import resources

MIB = 1 << 20


def touch(size: int) -> int:
    return len(b"x" * size)


def test_wall_and_cpu_time_are_told_apart() -> None:
    began = time.perf_counter()
    with resources.measure() as usage:
        threading.Event().wait(0.1)
    assert 0.1 <= usage.wall_seconds <= time.perf_counter() - began
    assert usage.cpu_seconds < 0.09


def test_children_that_were_waited_for_count() -> None:
    """Measured in a process of its own, which had no children before."""
    child = "import time\nwhile time.process_time() < .3: pass\nx = b'x' * (300 << 20)"
    code = f"""if True:
        import subprocess, sys
        from relevo import resources
        with resources.measure() as usage:
            subprocess.run([sys.executable, "-c", {child!r}], check=True)
        print(usage.cpu_seconds, usage.peak_rss_bytes)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cpu, peak = done.stdout.split()
    assert float(cpu) >= 0.3
    assert int(peak) > 300 * MIB


def test_the_peak_is_that_of_the_block_and_not_of_what_was_before() -> None:
    touch(400 * MIB)
    with resources.measure() as small:
        touch(10 * MIB)
    with resources.measure() as large:
        touch(200 * MIB)
    assert large.peak_rss_bytes - small.peak_rss_bytes > 150 * MIB


def test_blocks_nest() -> None:
    with resources.measure() as outer:
        touch(200 * MIB)
        with resources.measure() as inner:
            touch(10 * MIB)
    assert outer.peak_rss_bytes - inner.peak_rss_bytes > 150 * MIB
    assert outer.wall_seconds >= inner.wall_seconds


def test_the_figures_stand_when_the_block_raises() -> None:
    with pytest.raises(ValueError, match="x"), resources.measure() as usage:
        int("x")
    assert usage.wall_seconds > 0
    assert usage.peak_rss_bytes > MIB


def test_without_the_right_to_reset_the_peak_memory_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_reset_peak", lambda: False)
    touch(400 * MIB)
    with resources.measure() as small:
        touch(10 * MIB)
    with resources.measure() as large:
        held = b"x" * (200 * MIB)
        end = time.monotonic() + 60
        while large.peak_rss_bytes - small.peak_rss_bytes <= 150 * MIB and time.monotonic() < end:
            time.sleep(0.01)
        del held
    assert large.peak_rss_bytes - small.peak_rss_bytes > 150 * MIB
