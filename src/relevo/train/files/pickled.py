"""Pickles: opened in a process of their own, which gives back ONNX bytes and answers, and nothing else.

The process has an empty environment and folder, limits on memory, time and the size of files it writes
(none), and ends with its owner. That keeps accidents and secrets in the environment away from it; it is
no prison: a pickle can still do what its user may. Hence ``trust``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import digest as digests
from relevo.errors import TrainingError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

SECONDS = 300.0
"""How long one question may take."""
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "RELEVO_LANG", "LANG", "SYSTEMROOT")
"""What of the environment the process is given: nothing that holds a secret."""


class Pickled:
    """A scikit-learn estimator in a joblib or pickle file."""

    def __init__(self, path: Path, sha256: str, names: Sequence[str]) -> None:
        self.kept = digests.canonical({"sha256": sha256})
        self._file, self._lock = path.name, threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="relevo-")
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {"HOME": self._folder.name, "TMPDIR": self._folder.name, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - our own module, with the interpreter we run on
            [sys.executable, "-I", "-m", "relevo.train.files.opening", str(path.absolute()), sha256],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,
        )
        weakref.finalize(self, _end, self._process, self._folder)
        self.onnx = self._ask({"ask": "onnx", "names": list(names)}, b"")

    def margin(self, matrix: Matrix) -> Floats:
        """The estimator's own answers."""
        data = np.ascontiguousarray(matrix, np.float32)
        found = self._ask({"ask": "margin", "shape": data.shape}, data.tobytes())
        return np.frombuffer(found, np.float64).copy()

    def _ask(self, question: dict[str, Any], data: bytes) -> bytes:
        timer = threading.Timer(SECONDS, self._process.kill)
        with self._lock:
            timer.start()
            try:
                head, body = exchange(self._process, question, data)
            except (OSError, ValueError) as error:
                raise TrainingError(
                    t(
                        "{file}: the process that opened it ended: it failed, or took more memory or time"
                        " than it may.",
                        file=self._file,
                    )
                ) from error
            finally:
                timer.cancel()
        if "error" in head:
            raise TrainingError(f"{self._file}: {head['error']}")
        return body


def exchange(process: Any, question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Write one question, a JSON line and bytes, and read the answer alike; ``ValueError`` where there is none."""
    line = json.dumps({**question, "bytes": len(data)}).encode() + b"\n"
    process.stdin.write(line + data)
    process.stdin.flush()
    head = json.loads(process.stdout.readline())
    body = process.stdout.read(head["bytes"])
    if len(body) != head["bytes"]:
        raise ValueError("cut off")
    return head, body


def _end(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue  # what was not yet written goes with the process
    folder.cleanup()
