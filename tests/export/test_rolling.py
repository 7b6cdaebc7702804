"""What a rolling update rests on, without a cluster: an instance is taken out, stops, and no request fails."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Self

import httpx
import pytest

from support import service
from support.balancer import balanced
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from support.balancer import Balancer

pytestmark = pytest.mark.slow  # it starts services of its own
CALLERS = 4


class Callers:
    """Callers over a balancer: half of them keep their connections, the others open one for each request."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.answered = 0
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(n % 2 == 0,)) for n in range(CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(150)

    def _ask(self, keep: bool) -> None:
        limits = httpx.Limits(max_keepalive_connections=1 if keep else 0)
        with httpx.Client(base_url=self._url, limits=limits, timeout=120) as client:
            while not self._over.is_set():
                try:
                    status = client.post("/v1/predict", json=GOOD).status_code
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                else:
                    self.answered += status == 200
                    self.failed += [] if status == 200 else [str(status)]


def port(running: service.Service) -> int:
    return int(running.url.rpartition(":")[2])


def roll(balancer: Balancer, old: service.Service, new: service.Service, *, pause: float) -> None:
    """As Kubernetes does: the new one when it is ready, the old one out and, after ``preStop``, SIGTERM."""
    service.until(lambda: new.client.get("/ready").status_code == 200)
    balancer.endpoints = [port(old), port(new)]
    time.sleep(0.5)  # both answer
    balancer.endpoints = [port(new)]  # the endpoints are told while preStop sleeps
    service.until(lambda: balancer.unanswered(port(old)) == 0)
    time.sleep(pause)
    assert old.stop(signal.SIGTERM) == 0


def test_an_update_fails_no_request_and_without_the_pause_it_would(tmp_path: Path) -> None:
    """SIGTERM before the endpoints are told: who opens a connection meets nobody. It is what preStop is for."""
    service.workspace(tmp_path)
    old, new = service.start(tmp_path), service.start(tmp_path)
    with balanced(port(old)) as balancer:
        with Callers(balancer.url) as callers:
            service.until(lambda: callers.answered > 50)
            roll(balancer, old, new, pause=0.5)
            before = callers.answered
            service.until(lambda: callers.answered > before + 50)
        assert callers.failed == []
        with Callers(balancer.url) as callers:
            service.until(lambda: callers.answered > 50)
            assert new.stop(signal.SIGTERM) == 0
            service.until(lambda: bool(callers.failed))
