"""Keeping the shadow: started when a strategy asks for one, stopped when it ends, begun anew if it dies."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson

from relevo.serving.collecting import hurry, idle
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.records import Release
    from relevo.workspace import Workspace

STATUS, LOCK = "shadow.json", "shadow.lock"
"""In the workspace: the counts of the shadow, and what it keeps locked."""
_PAUSE, _LONGEST = 1.0, 60.0  # seconds before a shadow that died begins anew
_PATIENCE = 10.0  # seconds that it may take to end
_log = logging.getLogger(__name__)


class Keeper:
    """Keeps one shadow. For one thread."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._child: subprocess.Popen[bytes] | None = None
        self._release = 0
        self._pause = _PAUSE
        self._next = 0.0

    def tick(self, release: Release | None) -> None:
        """See that the shadow of this release runs, or none."""
        number = release.number if release is not None else 0
        if number != self._release:
            self.stop()
            self._release, self._pause, self._next = number, _PAUSE, 0.0
        if self._child is not None and self._child.poll() is not None:
            _log.error(
                "%s", t("The shadow stopped; it begins again in {seconds:.0f} s.", seconds=self._pause)
            )
            self._child = None
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST)
        if number and self._child is None and time.monotonic() >= self._next:
            command = [
                sys.executable,
                "-m",
                "relevo.cli.shadow",
                str(self._workspace.project),
                str(number),
            ]
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own
            idle(self._child.pid)

    def stop(self) -> None:
        """Stop the shadow and wait for it, so that what it answered can be collected."""
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        hurry(child.pid)
        child.terminate()
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def counted(root: Path, release: int) -> dict[str, Any]:
    """What the shadow of a release counts; nothing before it began."""
    try:
        found = orjson.loads((root / STATUS).read_bytes())
        return dict(found) if found["release"] == release else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
