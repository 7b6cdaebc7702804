"""The time, real or rehearsed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime

import pytest

from relevo import clock
from relevo.errors import WorkspaceError

_ASK = "from relevo import clock, ids, records; print(clock.seconds(), records.now(), ids.uuid7(), clock.real(3600))"


def test_without_the_variable_the_time_is_the_machines() -> None:
    before = time.time()
    assert before <= clock.seconds() <= time.time()
    assert before - 1e-6 <= clock.now().timestamp() <= time.time() + 1e-6  # it has microseconds
    assert clock.real(60) == 60


def test_a_rehearsal_goes_faster_for_every_process_that_has_the_variable() -> None:
    anchor = time.time()
    pace = clock.read(f"2031-01-05T00:00:00 3600 {anchor}")
    shown = subprocess.run(
        [sys.executable, "-c", _ASK],
        env={**os.environ, clock.VARIABLE: pace.text()},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    passed = (float(shown[0]) - pace.start) / 3600
    assert 0 < passed <= time.time() - anchor
    noted = (datetime.fromisoformat(shown[1]).timestamp() - pace.start) / 3600
    assert passed <= noted <= time.time() - anchor
    assert int(shown[2].replace("-", "")[:12], 16) / 1000 >= float(
        shown[0]
    )  # the id bears the rehearsed time
    assert float(shown[3]) == 1


@pytest.mark.parametrize(
    "text",
    ["", "2031-01-05", "never 3600 1.0", "2031-01-05 fast 1.0", "2031-01-05 0 1.0", "2031-01-05 nan 1"],
)
def test_what_is_no_clock_is_refused(text: str) -> None:
    with pytest.raises(WorkspaceError, match="RELEVO_CLOCK"):
        clock.read(text)
