"""A real MLflow server on loopback, in an environment of its own, asked over its REST interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from relevo.records import Verdict
from relevo.register import register
from relevo.workspace import Workspace
from support import small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.records import ModelVersion

ROOT = Path(__file__).parents[2]
PATIENCE = 400.0
"""Seconds for the server to start: it imports much, and the machine may have other work."""
_SENDER = "import sys; from relevo.cli import mirror; mirror._PATIENCE = 900; sys.exit(mirror.main())"


def environment() -> Path:
    """The folder of the server's environment; made when it is not there."""
    made = subprocess.run(
        [ROOT / "scripts" / "engine-env", "mlflow"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class MlflowServer:
    """A server on SQLite that stores artifacts itself, and lets nobody in under another name than 127.0.0.1."""

    root: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> MlflowServer:
        """Start it, and wait until it answers."""
        self.root.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            environment() / "bin" / "mlflow",
            "server",
            "--workers",
            "1",
            "--host",
            "127.0.0.1",
        ]
        command += ["--port", str(self.port), "--allowed-hosts", f"127.0.0.1:{self.port}"]
        command += ["--backend-store-uri", f"sqlite:///{self.root / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self.root / "artifacts")]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.root / "said.txt").open("ab") as said:
            self.process = subprocess.Popen(
                command, stdout=said, stderr=said, env={**os.environ, **quiet}, process_group=0
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.process.poll() is None, (self.root / "said.txt").read_text()
            assert time.monotonic() < end, (self.root / "said.txt").read_text()
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End it and what it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def get(self, path: str, /, **params: Any) -> Any:
        """Ask with GET."""
        found = httpx.get(f"{self.url}/api/2.0/mlflow/{path}", params=params, timeout=120)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, path: str, /, method: str = "POST", **body: Any) -> Any:
        """Ask with POST, or another method that has a body."""
        found = httpx.request(method, f"{self.url}/api/2.0/mlflow/{path}", json=body, timeout=120)
        assert found.status_code == 200, found.text
        return found.json()

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """Every run of an experiment, deleted ones too, with tags, parameters and metrics by name."""
        try:
            known = self.get("experiments/get-by-name", experiment_name=experiment)["experiment"]
        except AssertionError:
            return []
        return list(self._pages([known["experiment_id"]]))

    def _pages(self, experiments: list[str]) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            found = self.post(
                "runs/search", experiment_ids=experiments, run_view_type="ALL", max_results=100, **more
            )
            for run in found.get("runs", []):
                said = run["data"]
                yield {
                    **run["info"],
                    "tags": {one["key"]: one["value"] for one in said.get("tags", [])},
                    "params": {one["key"]: one["value"] for one in said.get("params", [])},
                    "metrics": {one["key"]: one["value"] for one in said.get("metrics", [])},
                }
            token = found.get("next_page_token", "")
            if not token:
                return

    def model(self, name: str) -> dict[str, Any]:
        """A registered model with its aliases and tags by name."""
        found = self.get("registered-models/get", name=name)["registered_model"]
        return {
            **found,
            "aliases": {one["alias"]: str(one["version"]) for one in found.get("aliases", [])},
            "tags": {one["key"]: one["value"] for one in found.get("tags", [])},
        }

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Its versions, the first one first, with tags by name."""
        found = self.get("model-versions/search", filter=f"name = '{name}'").get("model_versions", [])
        tagged = [{**one, "tags": {tag["key"]: tag["value"] for tag in one.get("tags", [])}} for one in found]
        return sorted(tagged, key=lambda one: int(one["version"]))

    def move(self, name: str, alias: str, version: str) -> None:
        """Put an alias on a version, as MLflow's client does."""
        self.post("registered-models/alias", name=name, alias=alias, version=version)


def settle(root: Path, name: str, **settings: Any) -> Path:
    """Let a project be known to MLflow under a name of its own, so that tests may share a server."""
    given = {"experiment": name, "model": name, "timeout": 120, **settings}
    lines = [f"{key} = {value!r}" for key, value in given.items()]
    (root / "relevo.toml").write_text("\n".join(["[mlflow]", *lines, ""]), encoding="utf-8")
    return root


def another(root: Path, *, accepted: bool = True, **changes: Any) -> ModelVersion:
    """Register one more version of the flights project in a workspace; ``changes`` are of its package."""
    made = Workspace.open(root)
    folder = root / ".relevo" / "made" / os.urandom(4).hex()
    small.write(folder, **changes)
    found = register(made, folder, verdict=Verdict(accepted=accepted, reasons=()), run="by hand")
    made.ledger.close()
    return found


def sender(root: Path, url: str) -> subprocess.Popen[bytes]:
    """The process that a command leaves behind to tell MLflow; it waits long for another one."""
    return subprocess.Popen(
        [sys.executable, "-c", _SENDER, str(root)],
        env={**os.environ, "MLFLOW_TRACKING_URI": url, "RELEVO_LANG": "en"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def follower(root: Path, url: str) -> subprocess.Popen[bytes]:
    """The process by which ``relevo up`` tells MLflow; it has begun."""
    found = subprocess.Popen(
        [sys.executable, "-m", "relevo.cli.following", str(root)],
        env={**os.environ, "MLFLOW_TRACKING_URI": url, "RELEVO_LANG": "en"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert found.stdout is not None
    assert b"mlflow" in found.stdout.readline()
    return found
