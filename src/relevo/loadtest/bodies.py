"""The bodies to send: drawn from the contract, or a file's."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from relevo import disk
from relevo.errors import LoadTestError
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.loadtest.draws import Form

DRAWN = 2_000
"""Different bodies that the open loop has; after these it begins again."""
_LARGEST = 256 << 20


def drawn(form: Form, seed: int, count: int = DRAWN) -> list[bytes]:
    """Draw bodies, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    return [json.dumps(form.row(rng)).encode() for _ in range(count)]


def read(path: Path) -> list[bytes]:
    """Bodies of a file: one JSON document, or JSON lines; raises ``LoadTestError``."""
    with disk.explained(path):
        if path.stat().st_size > _LARGEST:
            raise LoadTestError(
                t("{file}: larger than {largest:,} bytes; a part of it will do.", file=path, largest=_LARGEST)
            )
        text = path.read_bytes()
    if _is_json(text):
        return [text.strip()]
    found = [line.strip() for line in text.splitlines() if line.strip()]
    for number, line in enumerate(found, 1):
        if not _is_json(line):
            raise LoadTestError(
                t(
                    "{file}: neither one JSON document nor JSON lines; line {number} is not JSON.",
                    file=path,
                    number=number,
                )
            )
    if not found:
        raise LoadTestError(t("{file}: it is empty.", file=path))
    return found


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
