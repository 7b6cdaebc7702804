"""Behind nginx, under a path of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support import service
from support.nginx import NGINX, UNDER, proxy
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Service]:
    root = tmp_path_factory.mktemp("under")
    service.workspace(root)
    started = service.start(root, "--root-path", UNDER)
    yield started
    assert started.stop() == 0


@pytest.mark.parametrize("tail", ["", "/"], ids=["path kept", "path taken away"])
def test_all_of_it_works_under_a_path(under: service.Service, tmp_path: Path, tail: str) -> None:
    with proxy(tmp_path / "nginx", under.url, tail) as client:
        for path in ("/health", "/ready", "/v1/model", "/metrics", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200, path
        for _ in range(3):
            assert client.post("/v1/predict", json=GOOD).status_code == 200
        described = client.get("/openapi.json").json()
        assert described["servers"] == [{"url": UNDER}]
        problem = client.post("/v1/predict", json={}).json()
        assert problem["type"] == f"{UNDER}/docs#contract"
        assert client.get("/v1/nothing").status_code == 404


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("tail", ["", "/"], ids=["path kept", "path taken away"])
def test_a_browser_shows_the_documentation_there(under: service.Service, tmp_path: Path, tail: str) -> None:
    with proxy(tmp_path / "nginx", under.url, tail) as client:
        shown = browse(f"{client.base_url}docs", tmp_path)
    assert "Fecha-I" in shown
    assert json.dumps("SCEL")[1:-1] in shown or "Des-I" in shown
    assert 'class="method">POST' in shown


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_is_asked_for_a_key(tmp_path: Path) -> None:
    """The page is open, what it shows is not."""
    from relevo import keys

    made = service.workspace(tmp_path)
    made.ledger.keys.add(keys.create("flights", "", ["read"], who="test", expires=None)[0])
    started = service.start(tmp_path)
    try:
        shown = browse(f"{started.url}/docs", tmp_path)
    finally:
        assert started.stop() == 0
    assert 'type="password"' in shown
    assert "Fecha-I" not in shown


def browse(url: str, folder: Path) -> str:
    """What a page has become after its script ran."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'chromium'}", "--virtual-time-budget=10000", "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_a_path_that_a_route_begins_with(tmp_path: Path) -> None:
    service.workspace(tmp_path)
    running = service.start(tmp_path, "--root-path", "/m")
    for path in ("/metrics", "/m/metrics", "/ready", "/m/ready"):
        assert running.client.get(path).status_code == 200, path
    assert running.stop() == 0
