"""nginx before a service, under a path of its own."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from support import service
from support.loopback import held_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
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


@contextmanager
def proxy(folder: Path, url: str, tail: str) -> Iterator[httpx.Client]:
    """Run nginx before ``url``: with the tail "/" it takes its own path away, without one it keeps it."""
    folder.mkdir()
    with held_port() as port:
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
