"""Hours, days and weeks of a time zone lie without gap beside each other, also when clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relevo.spans import span, spans


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "zone", "moment", "name", "began", "ended"),
    [
        ("day", "UTC", "2026-03-10T12:00", "2026-03-10", "2026-03-10T00:00", "2026-03-11T00:00"),
        ("week", "UTC", "2026-03-15T23:59", "2026-03-09", "2026-03-09T00:00", "2026-03-16T00:00"),
        ("day", "America/Santiago", "2026-03-10T02:00", "2026-03-09", "2026-03-09T03:00", "2026-03-10T03:00"),
        ("hour", "Asia/Kolkata", "2026-03-10T12:10", "2026-03-10T17:00+05:30", "2026-03-10T11:30", "2026-03-10T12:30"),
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("hour", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T02:00+02:00", "2026-10-25T00:00", "2026-10-25T01:00"),
        ("hour", "Europe/Berlin", "2026-10-25T01:30", "2026-10-25T02:00+01:00", "2026-10-25T01:00", "2026-10-25T02:00"),
    ],
)  # fmt: skip
def test_a_span_begins_at_the_full_local_time(
    unit: str, zone: str, moment: str, name: str, began: str, ended: str
) -> None:
    found = span(unit, zone, at(moment))
    assert (found.name, found.began_at, found.ended_at) == (name, at(began), at(ended))


@given(
    unit=st.sampled_from(["hour", "day", "week"]),
    zone=st.sampled_from(
        ["America/Santiago", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "UTC"]
    ),
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
)
@settings(max_examples=60, deadline=None)
def test_spans_cover_the_time_once(unit: str, zone: str, moment: datetime) -> None:
    since = moment.replace(tzinfo=UTC)
    until = since + timedelta(days=2 if unit == "hour" else 20)
    found = list(spans(unit, zone, since, until))
    assert found[0].began_at <= since < found[0].ended_at
    assert found[-1].began_at < until <= found[-1].ended_at
    assert all(one.ended_at == other.began_at for one, other in pairwise(found))
    assert len({one.name for one in found}) == len(found)
    assert all(span(unit, zone, one.ended_at - timedelta(seconds=1)) == one for one in found)
