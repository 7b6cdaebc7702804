"""A load test reports what the service itself used, where it lets itself be asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from relevo.loadtest.observed import observing
from relevo.loadtest.target import target
from support import project
from support.loopback import answering, reply
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from support.service import Service


@pytest.mark.slow
def test_processor_time_and_memory_are_the_services_own(running: Service) -> None:
    with observing(target(running.url)) as seen:
        for _ in range(50):
            assert running.ask(GOOD).status_code == 200
    found = seen.found
    assert found is not None
    assert (found["project"], found["version"], found["workers"], found["requests"]) == (
        "flights",
        "1.0.0",
        1,
        50,
    )
    assert found["resident_bytes"] > 30e6
    assert 0 <= found["cpu_seconds_per_request"] < 0.1


def test_another_kind_of_service_says_nothing_and_the_test_goes_on() -> None:
    with answering(lambda asked: reply(404 if asked.path == "/metrics" else 200)) as server:
        with observing(target(server.url)) as seen:
            pass
        assert seen.found is None
    with observing(target("http://127.0.0.1:1")) as seen:
        pass
    assert seen.found is None


@pytest.mark.slow
def test_it_is_in_the_report(running: Service, tmp_path: Path) -> None:
    file = tmp_path / "load.json"
    done = project.call("loadtest", running.url, "--rate", "50", "--time", "1s", "--out", str(file))
    assert done.code == 0, done.err
    found = json.loads(file.read_text())["service"]
    assert found["requests"] >= 50
    assert found["cpu_seconds"] > 0
