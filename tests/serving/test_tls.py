"""TLS from certificate files."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support import service
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # each test starts services of its own


def certificate(folder: Path, name: str = "tls") -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relevo test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


def test_answers_go_over_tls(tmp_path: Path) -> None:
    """With paths that count from the project's folder; the short way is the same."""
    service.workspace(tmp_path)
    certificate(tmp_path)
    started = service.start(tmp_path, "--certificate", "tls.pem", "--certificate-key", "tls.key")
    assert started.url.startswith("https://")
    trust = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    with httpx.Client(base_url=started.url, verify=trust) as client:
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
