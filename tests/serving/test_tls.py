"""TLS from certificate files."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from support import service
from support.service import GOOD
from support.tls import certificate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # each test starts services of its own


def test_answers_go_over_tls(tmp_path: Path) -> None:
    """With paths that count from the project's folder; the short way is the same."""
    service.workspace(tmp_path)
    certificate(tmp_path)
    started = service.start(tmp_path, "--certificate", "tls.pem", "--certificate-key", "tls.key")
    assert started.url.startswith("https://")
    trust = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    with httpx.Client(base_url=started.url, verify=trust, timeout=60) as client:
        answers = [client.post("/v1/predict", json=GOOD) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["probability"] for answer in answers}) == 1
    assert started.stop() == 0


def test_a_key_of_another_certificate_is_refused_at_the_start(tmp_path: Path) -> None:
    service.workspace(tmp_path)
    certificate(tmp_path)
    certificate(tmp_path, "other")
    command = [sys.executable, "-m", "relevo", "serve", str(tmp_path), "--port", "0"]
    files = ["--certificate", "tls.pem", "--certificate-key", "other.key"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "tls.pem" in done.stderr
    assert "Traceback" not in done.stderr
