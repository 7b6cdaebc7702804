"""The full stack's door: what nginx passes on, and that MLflow's page works under the name it is reached by."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from support import mlflows, project
from support.provider import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).parent / "docker-compose"
PATIENCE = 60.0
URL = "https://models.example.org"
NGINX = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
PATHS = (
    "/models/flights/v1/predict",
    "/models/flights/v1/score",
    "/gradio/",
    "/mlflow/",
    "/airflow/",
    "/grafana/",
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full stack with its secrets."""
    left_out = shutil.ignore_patterns("data", ".relevo", "__pycache__")
    flights = tmp_path_factory.mktemp("project") / "flights"
    shutil.copytree(ROOT / "examples/flights", flights, ignore=left_out)
    folder = tmp_path_factory.mktemp("stack")
    assert project.call("export", "compose", flights, "--to", folder, "--stack", "full").code == 0
    subprocess.run(["./secrets.sh"], cwd=folder, check=True, capture_output=True)
    return folder


@contextmanager
def nginx(stack: Path, folder: Path, upstream: int) -> Iterator[str]:
    """The exported nginx, all of whose upstreams are one port here; gives its URL."""
    port, well = free_port(), free_port()
    text = (stack / "nginx.conf").read_text().replace(" /tmp/", f" {folder}/")
    for old, new in (
        ("/run/secrets", str(stack / "secrets")),
        ("    http2 on;\n", ""),  # which Debian 12's nginx does not know yet
        ("/dev/stdout", f"{folder}/access.log"),
        ("/dev/stderr", f"{folder}/error.log"),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:8081", f"127.0.0.1:{well}"),
    ):
        text = text.replace(old, new)
    text = re.sub(r"set (\$\w+) [\w-]+;", r"set \1 127.0.0.1;", text)
    text = re.sub(r"proxy_pass http://(\$\w+):\d+;", rf"proxy_pass http://\1:{upstream};", text)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + text)
    with subprocess.Popen(["nginx", "-g", "daemon off;", "-c", folder / "nginx.conf"]) as process:
        try:
            wait_for(port, process)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[Any], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while True:
        assert process.poll() is None
        assert time.monotonic() < end
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that came."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@NGINX
def test_whoever_answers_learns_the_name_that_was_asked_for(stack: Path, tmp_path: Path, echo: int) -> None:
    given = httpx.BasicAuth("mlflow", (stack / "secrets/mlflow_password").read_text().strip())
    names = {"Host": "models.example.org", "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Host": "evil.example"}
    with nginx(stack, tmp_path, echo) as url, httpx.Client(verify=False, auth=given, timeout=60) as client:  # noqa: S501
        seen = {path: client.get(url + path, headers=names).json() for path in PATHS}
        assert httpx.get(url + "/mlflow/", verify=False, timeout=60).status_code == 401  # noqa: S501 - signed by itself
    for path, headers in seen.items():
        assert headers["host"] == headers["x-forwarded-host"] == "models.example.org", path
        assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https"), path
        assert headers["x-request-id"], path
        assert ("authorization" in headers) == (path != "/mlflow/"), path


@NGINX
@pytest.mark.parametrize(
    ("path", "leads"), [("/", "/gradio/"), ("/mlflow", "/mlflow/"), ("/grafana", "/grafana/")]
)
def test_whoever_is_led_on_keeps_the_name_and_the_port(
    stack: Path, tmp_path: Path, echo: int, path: str, leads: str
) -> None:
    """The port that is published is not the one that nginx listens at."""
    with nginx(stack, tmp_path, echo) as url, httpx.Client(verify=False, timeout=60) as client:  # noqa: S501
        found = client.get(url + path, headers={"Host": "models.example.org:9443"})
    assert found.is_redirect
    assert urljoin(f"https://models.example.org:9443{path}", found.headers["location"]) == (
        f"https://models.example.org:9443{leads}"
    )


def server_command(stack: Path, url: str) -> tuple[str, dict[str, str]]:
    """What Compose gives the shell of MLflow's container, and its environment."""
    words = [str(COMPOSE), "config", "--format", "json"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    given = {**kept, **({"URL": url} if url else {})}
    done = subprocess.run(words, cwd=stack, env=given, text=True, capture_output=True, check=True)
    part = json.loads(done.stdout)["services"]["mlflow"]
    return part["command"][0].replace("$$", "$"), {**kept, **part["environment"]}


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("", "localhost:8443", "https://localhost:8443"),
        (URL, "models.example.org", URL),
        (f"{URL}/", "models.example.org", URL),
        (f"{URL}:443", "models.example.org", URL),
        (f"{URL}:8443", "models.example.org:8443", f"{URL}:8443"),
    ],
)
def test_mlflow_is_told_the_name_and_the_origin(
    stack: Path, tmp_path: Path, url: str, host: str, origin: str
) -> None:
    command, environment = server_command(stack, url)
    said = tmp_path / "mlflow"
    said.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    said.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    command = command.replace("/run/secrets", str(stack / "secrets"))
    done = subprocess.run(["sh", "-c", command], env=environment, text=True, capture_output=True, check=True)
    words = done.stdout.splitlines()
    assert words[words.index("--allowed-hosts") + 1].split(",")[-1] == host
    assert words[words.index("--cors-allowed-origins") + 1] == origin


@contextmanager
def mlflow(stack: Path, folder: Path) -> Iterator[int]:
    """The stack's MLflow on SQLite, started by the stack's own command; gives its port."""
    command, environment = server_command(stack, URL)
    port = free_port()
    for old, new in (
        ("/run/secrets", str(stack / "secrets")),
        ("--host 0.0.0.0 --port 5000", f"--host 127.0.0.1 --port {port}"),
        ("postgresql+psycopg2://mlflow@postgres:5432/mlflow", f"sqlite:///{folder}/mlflow.db"),
        (" /artifacts", f" {folder}/artifacts"),
    ):
        assert old in command
        command = command.replace(old, new)
    environment["PATH"] = f"{mlflows.environment()}/bin:{environment['PATH']}"
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            ["sh", "-c", command], env=environment, stdout=said, stderr=said, process_group=0
        )
    try:
        wait_for(port, process, mlflows.PATIENCE)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@NGINX
@pytest.mark.slow
def test_mlflows_page_works_under_the_name_it_is_reached_by_and_no_other(stack: Path, tmp_path: Path) -> None:
    asked = "/mlflow/ajax-api/2.0/mlflow/experiments/search"
    given = httpx.BasicAuth("mlflow", (stack / "secrets/mlflow_password").read_text().strip())
    client = httpx.Client(verify=False, auth=given, timeout=60)  # noqa: S501 - signed by itself
    with mlflow(stack, tmp_path) as port, nginx(stack, tmp_path, port) as url, client:

        def answer(host: str, origin: str) -> int:
            headers = {"Host": host, "Origin": origin}
            return client.post(url + asked, json={"max_results": 5}, headers=headers).status_code

        assert answer("models.example.org", URL) == 200
        assert answer("localhost:8443", "https://localhost:8443") == 200
        assert answer("models.example.org", "https://evil.example") == 403
        assert answer("evil.example", URL) == 403
