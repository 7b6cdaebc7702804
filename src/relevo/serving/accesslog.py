"""The access log: a JSON object a line for every request, without anything of its body or its secrets.

Lines are gathered and written ten times a second, or when there are many. A file that was moved away is
made anew within a second, so that logrotate and its like work without a signal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from time import monotonic

import orjson

from relevo import disk
from relevo.errors import WorkspaceError

PAUSE = 0.1
_MANY = 512  # lines
_LONGEST = 500  # characters of a path
_LOOK = 1.0  # seconds between two looks whether the file is still there
_log = logging.getLogger(__name__)


class AccessLog:
    """Writes to a file that it appends to, or to standard output for ``-``."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path != "-" else None
        self._descriptor = self._begin()
        self._looked = monotonic()
        self._lines: list[bytes] = []
        self._due = False
        self._broken = False

    def add(self, at: bytes, identity: bytes, line: bytes, status: int, took: float, size: int) -> None:
        """Note one request: ``line`` is as ``described``, ``took`` in seconds, ``size`` the answer's bytes."""
        self._lines.append(
            b'{"at":"%b","id":"%b",%b,"status":%d,"ms":%.3f,"bytes":%d}\n'
            % (at, identity, line, status, 1000 * took, size)
        )
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(PAUSE, self.flush)
        elif len(self._lines) >= _MANY:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered; what cannot be written is lost, and said once."""
        self._due = False
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            if self._path is not None and monotonic() - self._looked >= _LOOK:
                self._look()
            os.write(self._descriptor, b"".join(lines))
        except (OSError, WorkspaceError) as error:
            if not self._broken:
                where = self._path or Path("stdout")
                _log.error("%s", disk.explain(error, where) if isinstance(error, OSError) else error)
            self._broken = True
        else:
            self._broken = False

    def close(self) -> None:
        """Write what was gathered, and close the file."""
        self.flush()
        if self._path is not None:
            os.close(self._descriptor)

    def _begin(self) -> int:
        if self._path is None:
            return sys.stdout.fileno()
        with disk.explained(self._path):
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def _look(self) -> None:
        assert self._path is not None
        self._looked = monotonic()
        if not disk.is_named(self._descriptor, self._path):
            fresh = self._begin()
            os.close(self._descriptor)
            self._descriptor = fresh


def described(caller: str, peer: str, method: str, path: str) -> bytes:
    """What a line says of who asks for what, as members of its object."""
    return orjson.dumps({"caller": caller, "peer": peer, "method": method, "path": path[:_LONGEST]})[1:-1]
