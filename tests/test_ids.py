"""UUIDv7 as RFC 9562 wants it."""

from __future__ import annotations

import time
import uuid

from relevo.ids import uuid7


def test_version_variant_and_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_differ() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000
