"""Counting requests by second and latency."""

from __future__ import annotations

import json
import math
import random

import pytest

from relevo.loadtest.tally import Meter, Tally, bucket, merged, middle


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 1.0])
def test_a_quantile_is_right_to_half_a_percent(share: float) -> None:
    rng = random.Random(1)
    latencies = [rng.lognormvariate(-6, 2) for _ in range(5000)]
    tally = Tally()
    for latency in latencies:
        tally.add(0.0, latency)
    exact = sorted(latencies)[math.ceil(share * 5000) - 1]
    assert tally.total().quantile(share) == pytest.approx(exact, rel=0.0051)


def test_a_bucket_is_one_percent_wide() -> None:
    assert [bucket(middle(number)) for number in range(2000)] == list(range(2000))


def test_latencies_that_no_clock_gives_are_counted_all_the_same() -> None:
    tally = Tally()
    for latency in (-1.0, 0.0, 1e9):
        tally.add(0.0, latency)
    assert (tally.total().requests, tally.total().longest) == (3, 1e9)


def test_nothing_counted_has_no_quantile() -> None:
    assert math.isnan(Tally().total().quantile(0.5))


def test_only_whole_seconds_within_a_span_count() -> None:
    tally = Tally()
    for began in (0.5, 1.0, 1.9, 2.5, 3.0):
        tally.add(began, 0.001)
    assert tally.total(1, 3).requests == 3
    assert tally.total(1, 2.5).requests == 2


def test_what_several_processes_counted_is_put_together() -> None:
    parts = []
    for failure, busy in (("", 0.25), ("503", 0.75)):
        tally = Tally()
        tally.add(7.5, 0.002, failure)
        tally.at(7.5).busy = busy
        parts.append(json.loads(json.dumps(tally.plain())))
    whole = merged(parts)
    second = whole.seconds[7]
    assert (second.requests, second.failed, dict(second.failures)) == (2, 1, {"503": 1})
    assert whole.busy() == 0.75


def test_a_meter_notes_a_share_of_a_core_for_each_second() -> None:
    tally, meter = Tally(), Meter()
    meter.look(tally, 0.1)
    sum(range(200_000))
    meter.look(tally, 1.2)
    meter.look(tally, 1.3)
    assert list(tally.seconds) == [0]
    assert tally.seconds[0].busy > 0
