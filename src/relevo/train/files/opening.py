"""The process that opens a pickle: ``python -I -m relevo.train.files.opening FILE SHA256``.

Questions come on standard input, answers go to standard output: a JSON line with the number of bytes
that follow, then these. Whatever the pickle prints goes nowhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY = 16 << 30
"""Bytes of address space; libraries reserve several times what they use."""
CPU = 1800
"""Seconds of processor time."""


def limit() -> None:
    """Bound what the process may take: no file may grow, no core may be written."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (allowed, allowed))
        except ValueError:
            if kind != resource.RLIMIT_AS:  # which macOS knows, but does not set
                raise


def main() -> None:
    """Answer until the input ends."""
    path, sha256 = Path(sys.argv[1]), sys.argv[2]
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    limit()
    held: dict[str, Any] = {}
    while line := sys.stdin.buffer.readline():
        question = json.loads(line)
        data = sys.stdin.buffer.read(question["bytes"])
        head: dict[str, Any] = {}
        body = b""
        try:
            if not held:
                held["estimator"] = _open(path, sha256)
            body = _answer(held, question, data)
        except BaseException as error:  # noqa: BLE001 - the owner tells it
            head["error"] = f"{error}" if type(error).__name__ == "TrainingError" else _told(error)
        answers.write(json.dumps({**head, "bytes": len(body)}).encode() + b"\n" + body)
        answers.flush()


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def _open(path: Path, sha256: str) -> Any:
    """Read first, then look, then open: what was looked at is what is opened."""
    from relevo.errors import TrainingError
    from relevo.extras import need
    from relevo.texts import t

    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise TrainingError(t("it changed while it was being opened."))
    found = need("joblib", "train").load(io.BytesIO(data))
    classes = getattr(found, "classes_", ())
    if not hasattr(found, "predict") or len(classes) != 2:  # noqa: PLR2004 - binary
        raise TrainingError(
            t("it holds {kind}, no fitted classifier of two classes.", kind=type(found).__name__)
        )
    return found


def _answer(held: dict[str, Any], question: dict[str, Any], data: bytes) -> bytes:
    import numpy as np

    from relevo.train import algorithms, export, files
    from relevo.train.export import places
    from relevo.train.export.transforms import by_name

    estimator = held["estimator"]
    with algorithms.steady(quiet=True):
        if question["ask"] == "onnx":
            names = question["names"]
            inside = getattr(estimator, "feature_names_in_", None)
            known = list(names if inside is None else map(str, inside))
            if len(known) != estimator.n_features_in_:
                known = [*names[: estimator.n_features_in_], *[""] * (estimator.n_features_in_ - len(names))]
            held["order"] = files.order(places.title(estimator), known, names)
            framed = inside is not None and any(by_name(part) for _, part in places.parts(estimator))
            held["names"] = known if framed else None
            return export.to_onnx(estimator, len(names), held["order"])
        matrix = np.frombuffer(data, np.float32).reshape(question["shape"])[:, held["order"]]
        return export.fitted_margin(estimator, matrix, held["names"]).tobytes()


if __name__ == "__main__":
    main()
