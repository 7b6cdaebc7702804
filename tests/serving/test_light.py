"""The serving process stays light: it imports no library of training or of the lake."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from support import service
from support.service import GOOD

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {
    "sklearn",
    "pandas",
    "polars",
    "duckdb",
    "deltalake",
    "sqlglot",
    "lightgbm",
    "xgboost",
    "scipy",
    "pyarrow",
}
HEAVY |= {"alembic", "optuna", "onnx", "skl2onnx", "onnxmltools", "gradio"}
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from relevo.serving import create_app
from relevo.workspace import Workspace

app = create_app(Workspace.open(Path(sys.argv[1])), "flights", collect=False)
said = []

async def ask(path, method, body=b""):
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "root_path": "",
             "scheme": "http", "server": ("x", 80), "client": ("y", 1)}
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}
    async def send(message):
        if message["type"] == "http.response.start":
            said.append(message["status"])
    await app(scope, receive, send)

async def main():
    await ask("/v1/predict", "POST", sys.argv[2].encode())
    for path in ("/ready", "/v1/model", "/metrics", "/docs", "/openapi.json"):
        await ask(path, "GET")
    await app.counting.settle()

asyncio.run(main())
print(json.dumps({"said": said, "modules": sorted({name.partition(".")[0] for name in sys.modules}),
                  "masked": "numpy.ma" in sys.modules}))
"""


def test_serving_imports_nothing_heavy(tmp_path: Path) -> None:
    import json

    service.workspace(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(GOOD)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["said"] == [200] * 6
    assert HEAVY & set(found["modules"]) == set()
    assert not found["masked"]  # 10 MB


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path, running: service.Service) -> None:
    service.workspace(tmp_path)
    port = running.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "relevo", "serve", str(tmp_path), "--port", port],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert re.search(rf"127\.0\.0\.1:{port}", done.stderr)
    assert "Traceback" not in done.stderr
