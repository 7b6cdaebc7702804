"""A service that everything happened to, so that each of its metrics has a sample; and a Prometheus that asks it."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from relevo import challenge
from relevo.ids import uuid7
from relevo.records import Run, Step, now
from support import alarms, planted, service
from support.provider import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.ledger import Ledger

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
STEPS = ("ingest", "train:logistic", "release")


def happened(ledger: Ledger, project: str = "flights") -> None:
    """Record runs with steps, a window, an alert and a message that waits."""
    for status in ("released", "watched", "failed"):
        run = uuid7()
        ledger.start_run(Run(id=run, project=project, status="running", started_at=now()))
        for step in STEPS:
            ledger.save_step(a_step(run, step))
        ledger.finish_run(run, status=status)
    signals = {"hour": {"psi": {"value": 0.2, "low": 0.1, "high": 0.3}}}
    told = ({"kind": "drift", "about": "hour", "severity": "note"},)
    ledger.watch.add_window(
        alarms.a_window(project, rows=10, figures={"rows": 10, "signals": signals}, findings=told)
    )
    ledger.alerts.open(alarms.an_alert(project))
    alarms.queue(ledger, project, alarms.a_message(project))


def a_step(run: str, name: str, **changes: Any) -> Step:
    """A step as it is recorded."""
    given: dict[str, Any] = {
        "inputs": "a" * 64, "status": "done", "output": {}, "started_at": now(), "wall_seconds": 2.0,
        "cpu_seconds": 1.0, "peak_rss_bytes": 200 << 20, "rows_in": 10, "rows_out": 9, "bytes_out": 8,
    }  # fmt: skip
    return Step(run=run, name=name, **(given | changes))


@contextmanager
def busy(root: Path) -> Iterator[service.Service]:
    """A service with a challenger that predicts, refuses, and is told outcomes."""
    known = {"reference": planted.reference()}
    made = service.workspace(root, known, known | service.SECOND)
    happened(made.ledger)
    tried = next(one.version for one in made.ledger.versions("flights") if one.version != "1.0.0")
    challenge.canary(made, "flights", tried, share=0.5, who="test")
    running = service.start(root)
    try:
        ask(running)
        yield running
    finally:
        assert running.stop() == 0


def ask(running: service.Service) -> None:
    """Everything that is counted: predictions, an unknown text and field, refusals, labels."""
    identity = running.ask(service.GOOD).json()["id"]
    for body in (service.GOOD | {"Emp-I": "???", "more": 1}, [service.GOOD] * 3, {}, b"{"):
        running.ask(body)
    told = running.client.post("/v1/labels", json=[{"id": identity, "outcome": "late"}])
    assert told.status_code == 200, told.text
    running.client.get("/nowhere")


@contextmanager
def prometheus(folder: Path, config: str) -> Iterator[str]:
    """A Prometheus with this configuration, on loopback, that has its data in a folder."""
    port = free_port()
    (folder / "prometheus.yml").write_text(config)
    command = [
        str(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        service.until(lambda: _answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"{url}/-/ready", timeout=5).status == 200)
    except OSError:
        return False


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers; fails when it does not take the expression."""
    asked = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=30) as answer:
        found = json.load(answer)
    assert found["status"] == "success", found
    return list(found["data"]["result"])
