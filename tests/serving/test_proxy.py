"""Behind nginx, under a path of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from support import service
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CHROMIUM = shutil.which("chromium")
UNDER = "/models/flights"
CONF = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location {under}/ {{ proxy_pass {url}{tail}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]


@contextmanager
def proxy(folder: Path, url: str, tail: str) -> Iterator[httpx.Client]:
    """Run nginx before ``url``: with the tail "/" it takes its own path away, without one it keeps it."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = CONF.format(folder=folder, port=port, under=UNDER, url=url, tail=tail)
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen(
        [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}{UNDER}", timeout=30) as client:
            service.until(lambda: _answers(client))
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


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
