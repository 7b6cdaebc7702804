"""Prediction ids are UUIDs of version 7, unique and rising, whatever the clock does."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relevo.serving.ids import Ids

if TYPE_CHECKING:
    import pytest


def test_ids_are_version_7_and_bear_the_time() -> None:
    before = time.time_ns() // 1_000_000
    (identity,), _ = Ids().take(1)
    found = uuid.UUID(identity.decode())
    assert str(found) == identity.decode()
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert before <= found.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_rise_also_beyond_4096_in_a_millisecond() -> None:
    ids = Ids()
    made = [identity for size in (1, 10_000, 1, 5_000) for identity in ids.take(size)[0]]
    assert made == sorted(set(made))


def test_ids_rise_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = Ids()
    first = ids.take(2)[0]
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    second, at = ids.take(2)
    assert [*first, *second] == sorted({*first, *second})
    assert at == b"1970-01-01T00:00:01.000000+00:00"


def test_two_makers_never_make_the_same() -> None:
    one, other = Ids(), Ids()
    assert set(one.take(1000)[0]).isdisjoint(other.take(1000)[0])


def test_the_time_is_written_as_records_write_it() -> None:
    before = datetime.now(UTC)
    at = datetime.fromisoformat(Ids().take(1)[1].decode())
    assert before <= at <= datetime.now(UTC)
    assert len(Ids().take(1)[1]) == len("2017-01-01T00:00:00.000000+00:00")
