"""A child process that ends with its parent, however that ends: ``kill -9`` leaves nothing running behind it.

The parent names itself and a signal in ``RELEVO_LEASH``; the child asks the kernel for that signal (prctl(2),
PR_SET_PDEATHSIG). Linux alone has this. Elsewhere a child goes on, and the workspace's lock keeps a second run out.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

VARIABLE = "RELEVO_LEASH"
_SET_PARENT_DEATH_SIGNAL = 1


def held(number: int = signal.SIGKILL) -> dict[str, str]:
    """The environment for a child that is to get this signal when the calling process is gone."""
    return {**os.environ, VARIABLE: f"{os.getpid()} {int(number)}"}


def fasten() -> None:
    """Ask for the signal, when the parent wants it; for the start of a process. It is not passed on to children."""
    said = os.environ.pop(VARIABLE, "").split()
    if len(said) != 2 or not all(part.isdecimal() for part in said):  # noqa: PLR2004 - a process and a signal
        return
    parent, number = map(int, said)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, number, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the kernel was told
        os.kill(os.getpid(), number)
