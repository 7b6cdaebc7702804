"""Other ways to serve the same LightGBM, each in a throw-away environment, as its documentation has it.

They are asked for less than Relevo: the features come ready-made in the request, and there is neither key nor rate
limit nor prediction log. One worker each; MLServer answers in its own process (``parallel_workers`` 0), which
on one core is its quickest. The versions of what the pickle needs are this environment's, all else is the newest.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from support.services import FAILURES, Service, complain, free_port, running
from support.usual import features

from support.flights import FIELDS, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PICKLED = ("scikit-learn", "lightgbm", "pandas")
MODEL = "flights"
INFER = f"/v2/models/{MODEL}/infer"
READY = "/v2/health/ready"
# its class alone is the answer without it, and the newest format needs a list of what may be loaded
SAVE = """
import pickle, sys, mlflow.sklearn
with open(sys.argv[1], "rb") as file:
    pipeline = pickle.load(file)
mlflow.sklearn.save_model(pipeline, sys.argv[2], pyfunc_predict_fn="predict_proba", pip_requirements=[],
                          serialization_format="cloudpickle")
"""
BENTO = """
import pickle
from typing import Any
import bentoml
import pandas as pd

@bentoml.service(workers=1)
class Flights:
    def __init__(self) -> None:
        with open({pipeline!r}, "rb") as file:
            self.model = pickle.load(file)

    @bentoml.api
    def predict(self, row: dict[str, Any]) -> float:
        return float(self.model.predict_proba(pd.DataFrame([row]))[0, 1])
"""


class Peer(NamedTuple):
    """One to compare with."""

    name: str
    times: float
    """Relevo promises to answer so many times as fast."""
    packages: tuple[str, ...]
    prepare: Callable[[Path, Path, Path], Service]
    """From what support/flights.py made, an empty folder of its own, and the folder of its programs."""
    probability: Callable[[Any], float]
    """Where it stands in an answer."""
    expected: Callable[[Path], float]
    """What the first answer must be, by the model itself."""


def services(made: Path) -> list[Service]:
    """Install each peer, start it once and see that it answers right; says why one is left out."""
    found = [_service(peer, made) for peer in PEERS]
    return [service for service in found if service]


def _service(peer: Peer, made: Path) -> Service | None:
    folder = made / peer.name.replace(" ", "-")
    folder.mkdir()
    log = folder / "log"
    try:
        prepared = peer.prepare(made, folder, _install(peer, made))
        service = replace(prepared, name=peer.name, log=log, optional=True)
        _see_that_it_is_right(peer, service, made)
    except FAILURES as error:
        complain(peer.name, error, log)
        return None
    return service


def _install(peer: Peer, made: Path) -> Path:
    """Make the environment, once for all peers of the same packages; gives the folder of its programs."""
    place = made / "environments" / peer.packages[0]
    programs = place / "bin"
    if place.exists():
        return programs
    uv = shutil.which("uv")
    if uv is None:
        raise OSError("uv is not on the PATH")
    wanted = [*peer.packages, *(f"{name}=={version(name)}" for name in PICKLED)]
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
    _run([uv, "pip", "install", "--quiet", "--python", str(programs / "python"), *wanted])
    listed = _run([uv, "pip", "list", "--quiet", "--format", "json", "--python", str(programs / "python")])
    shown = {*peer.packages, *PICKLED, "uvicorn", "fastapi"}
    print(", ".join(f"{one['name']} {one['version']}" for one in json.loads(listed) if one["name"] in shown))
    return programs


def _run(command: list[str], **variables: str) -> str:
    """Run to the end and give what it printed; raises ``CalledProcessError``, ``TimeoutExpired``."""
    environment = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=900, env=environment)
    return done.stdout


def _see_that_it_is_right(peer: Peer, service: Service, made: Path) -> None:
    """Raise ``ValueError`` unless the first body is answered with the model's own probability."""
    body = service.bodies.read_bytes().splitlines()[0]
    with running(service) as (_, port, _):
        url, kind = f"http://127.0.0.1:{port}{service.path}", {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=30) as answer:
            found = peer.probability(json.load(answer))
    expected = peer.expected(made)
    if abs(found - expected) > 1e-9:
        raise ValueError(f"it answers {found} where the model says {expected}")


def _mlflow(made: Path, folder: Path, programs: Path) -> Service:
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    model, bodies = folder / "model", folder / "bodies.jsonl"
    _run([str(programs / "python"), "-c", SAVE, str(made / "pipeline.pickle"), str(model)], **variables)
    write_lines(bodies, [{"dataframe_records": [row]} for row in _rows(made)])
    command = [str(programs / "mlflow"), "models", "serve", "--model-uri", str(model), "--port", "{port}"]
    command += ["--env-manager", "local", "--workers", "1"]
    return Service("MLflow", command, bodies, "/invocations", "/ping", variables=variables)


def _bentoml(made: Path, folder: Path, programs: Path) -> Service:
    source = BENTO.format(pipeline=str(made / "pipeline.pickle"))
    (folder / "service.py").write_text(source, encoding="utf-8")
    bodies = folder / "bodies.jsonl"
    write_lines(bodies, [{"row": row} for row in _rows(made)])
    command = [str(programs / "bentoml"), "serve", "service:Flights", "--working-dir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "{port}"]
    variables = {"BENTOML_DO_NOT_TRACK": "1", "BENTOML_HOME": str(folder / "home")}
    return Service("BentoML", command, bodies, "/predict", "/readyz", variables=variables)


def _mlserver(made: Path, folder: Path, programs: Path) -> Service:
    bodies = folder / "bodies.jsonl"
    write_lines(bodies, [{"inputs": [_tensor(*item) for item in row.items()]} for row in _rows(made)])
    given = {"uri": str(made / "pipeline.pickle"), "content_type": "pd"}
    model = {
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {**given, "extra": {"predict_fn": "predict_proba"}},
    }
    return _on_mlserver("MLServer", model, folder, programs, bodies)


def _mlserver_floats(made: Path, folder: Path, programs: Path) -> Service:
    bodies = folder / "bodies.jsonl"
    rows = [json.loads(line) for line in (made / "floats.jsonl").read_text().splitlines()]
    tensors = [{"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row} for row in rows]
    write_lines(bodies, [{"inputs": [one]} for one in tensors])
    model = {
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": str(made / "booster.txt")},
    }
    return _on_mlserver("MLServer, floats", model, folder, programs, bodies)


def _on_mlserver(name: str, model: dict[str, Any], folder: Path, programs: Path, bodies: Path) -> Service:
    ports = {"grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", **ports}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    described = json.dumps({"name": "flights", **model})
    (folder / "model-settings.json").write_text(described, encoding="utf-8")
    command, variables = [str(programs / "mlserver"), "start", str(folder)], {"MLSERVER_HTTP_PORT": "{port}"}
    path = "/v2/models/flights/infer"
    return Service(name, command, bodies, path, "/v2/health/ready", variables=variables)


def _tensor(name: str, value: Any) -> dict[str, Any]:
    kind = {str: "BYTES", bool: "BOOL", int: "INT64"}[type(value)]
    text = {"parameters": {"content_type": "str"}} if kind == "BYTES" else {}
    return {"name": name, "shape": [1], "datatype": kind, "data": [value], **text}


def _rows(made: Path) -> list[dict[str, Any]]:
    """The pipeline's features of each body."""
    bodies = [json.loads(line) for line in (made / "bodies.jsonl").read_text(encoding="utf-8").splitlines()]
    return [features(*(body[name] for name in FIELDS)) for body in bodies]


def _by_pipeline(made: Path) -> float:
    import pandas as pd

    pipeline = pickle.loads((made / "pipeline.pickle").read_bytes())  # noqa: S301 - made by this benchmark a moment ago
    return float(pipeline.predict_proba(pd.DataFrame(_rows(made)[:1]))[0, 1])


def _by_booster(made: Path) -> float:
    import lightgbm

    with (made / "floats.jsonl").open(encoding="utf-8") as lines:
        row = json.loads(next(lines))
    return float(lightgbm.Booster(model_file=made / "booster.txt").predict([row])[0])


def _first_output(answer: Any) -> float:
    """The last number of the first output of the Open Inference Protocol: the only one, or the second class's."""
    return float(answer["outputs"][0]["data"][-1])


ON_MLSERVER = ("mlserver", "mlserver-sklearn", "mlserver-lightgbm")
PEERS = [
    Peer(
        "MLflow", 100, ("mlflow",), _mlflow, lambda answer: float(answer["predictions"][0][1]), _by_pipeline
    ),
    Peer("BentoML", 80, ("bentoml",), _bentoml, float, _by_pipeline),
    Peer("MLServer", 80, ON_MLSERVER, _mlserver, _first_output, _by_pipeline),
    Peer("MLServer, floats", 6, ON_MLSERVER, _mlserver_floats, _first_output, _by_booster),
]
