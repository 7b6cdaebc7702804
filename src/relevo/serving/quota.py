"""How many workers the machine has processors for, by what its operator granted."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
AUTO = "auto"


def workers(*, root: Path = _ROOT, own: Path = _OWN) -> int:
    """As many as the quota of this process's control group has whole processors, at least one.

    Without a quota one: a machine's processors alone do not say that they are for this service.
    """
    quota = processors(root=root, own=own)
    if quota is None:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(quota), usable))


def processors(*, root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """The smallest quota of this process's control group and those above it, versions 2 and 1; None without any."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    found: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _quotas(root, path, _unified)
        elif "cpu" in controllers.split(","):
            for name in dict.fromkeys((controllers, "cpu")):
                found += _quotas(root / name, path, _separate)
    return min(found, default=None)


def _quotas(root: Path, path: str, read: Callable[[Path], list[float]]) -> list[float]:
    inside = Path(path.lstrip("/"))
    folders = [root / part for part in (inside, *inside.parents)]
    found: list[float] = []
    for folder in dict.fromkeys(folders):
        with suppress(OSError, ValueError, ZeroDivisionError):  # absent, or not as the kernel writes it
            found += read(folder)
    return found


def _unified(folder: Path) -> list[float]:
    """Read ``cpu.max``: "200000 100000", or "max 100000"."""
    quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    return [] if quota == "max" else [int(quota) / int(period)]


def _separate(folder: Path) -> list[float]:
    quota, period = (
        int((folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii")) for name in ("quota", "period")
    )
    return [quota / period] if quota > 0 else []
