"""A package as a folder that MLflow knows as a model: data only, with the request's fields as its signature.

MLflow's own functions for this import pandas and look at what is installed; the format is a YAML file and a few
others, so they are written here. Requirements are named, never inferred.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from relevo import __version__, lookups
from relevo.extras import need
from relevo.mirroring import FLAVOR
from relevo.package import manifest as manifests
from relevo.package.model import GOLDEN, MANIFEST
from relevo.tracking import pyfunc
from relevo.tracking.server import EXTRA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from relevo.contract import Contract, Field
    from relevo.package.manifest import Manifest
    from relevo.records import ModelVersion
    from relevo.workspace import Workspace

REQUIREMENTS = (f"relevo=={__version__}", "mlflow-skinny>=3.4,<4", "pandas>=2.3")
"""What loading the model takes; of Relevo its extras are not needed."""
EXAMPLES = 5
"""Rows of the input example."""
_EXAMPLE, _SERVING = "input_example.json", "serving_input_example.json"
_DATA = "data"
_KINDS = {"boolean": "boolean", "integer": "long", "double": "double", "text": "string"}


def write(
    folder: Path, workspace: Workspace, version: ModelVersion, *, model_id: str, run_id: str, mlflow: str
) -> int:
    """Write the folder; returns its size in bytes. Raises ``PackageError`` when the package is not at hand."""
    package = workspace.blobs.folder(version.digest)
    data = folder / _DATA
    data.mkdir(parents=True)
    _copy(package, data / pyfunc.PACKAGE)
    manifest = manifests.parse(orjson.loads((package / MANIFEST).read_bytes()))
    _take_histories(data, workspace, version, manifest)
    example = _write_example(folder, data / pyfunc.PACKAGE, manifest.request)
    _write_environment(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    described = {
        "model_id": model_id,
        **({"run_id": run_id} if run_id else {}),
        "model_uuid": model_id,
        "mlflow_version": mlflow,
        "utc_time_created": _utc(version.created_at),
        "model_size_bytes": size,
        "flavors": {
            "python_function": {
                "loader_module": FLAVOR,
                "data": _DATA,
                "python_version": platform.python_version(),
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            }
        },
        "signature": signature(manifest.request),
        "metadata": {
            "relevo": {
                "project": version.project,
                "version": version.version,
                "digest": version.digest,
                "threshold": manifest.threshold,
                "positive": manifest.positive,
                "negative": manifest.negative,
            }
        },
        **example,
    }
    _yaml(folder / "MLmodel", described)
    return size


def _copy(package: Path, to: Path) -> None:
    """Copy a package; the first file that cannot be copied ends it with its own error."""
    for path in sorted(package.rglob("*")):
        target = to / path.relative_to(package)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _utc(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def signature(request: Contract) -> dict[str, str | None]:
    """The request's fields by alias, and the answer's columns, as MLflow writes a signature.

    Times and numbers that may be absent are ``any``: MLflow would refuse texts as times under pandas 3, and whole
    numbers beside missing ones. The package's own contract refuses what is wrong, and says why.
    """
    inputs = [_column(field.alias, _kind(field), required=field.required) for field in request.fields]
    outputs = [
        _column("probability", "double", required=True),
        _column("decision", "boolean", required=True),
        _column("label", "string", required=True),
    ]
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}


def _kind(field: Field) -> str:
    kind = _KINDS.get(field.type, "any")
    return "any" if field.nullable and kind != "string" else kind


def _column(name: str, kind: str, *, required: bool) -> dict[str, Any]:
    return {"type": kind, "name": name, "required": required}


def _take_histories(data: Path, workspace: Workspace, version: ModelVersion, manifest: Manifest) -> None:
    """The newest keyed file of each history that the package looks up, as it is when the model is logged."""
    made = lookups.known(workspace.ledger, version.project, manifest.histories)
    there = [one for one in made if one is not None and lookups.place(workspace.lookups, one).is_file()]
    if not there:
        return
    folder = data / pyfunc.LOOKUPS
    folder.mkdir()
    for one in there:
        shutil.copyfile(lookups.place(workspace.lookups, one), lookups.place(folder, one))
    (data / pyfunc.HISTORIES).write_text(json.dumps([asdict(one) for one in there]), encoding="utf-8")


def _write_example(folder: Path, package: Path, request: Contract) -> Mapping[str, Any]:
    """The first golden requests as MLflow's input example; nothing when there are none."""
    golden = package / GOLDEN
    lines = golden.read_bytes().splitlines()[:EXAMPLES] if golden.is_file() else []
    asked = [orjson.loads(line)["request"] for line in lines]
    if not asked:
        return {}
    names = [field.alias for field in request.fields]
    split = {"columns": names, "data": [[one.get(name) for name in names] for one in asked]}
    (folder / _EXAMPLE).write_text(json.dumps(split), encoding="utf-8")
    (folder / _SERVING).write_text(json.dumps({"dataframe_split": split}), encoding="utf-8")
    info = {
        "artifact_path": _EXAMPLE,
        "type": "dataframe",
        "pandas_orient": "split",
        "serving_input_path": _SERVING,
    }
    return {"saved_input_example_info": info}


def _write_environment(folder: Path) -> None:
    """What MLflow makes an environment from, in the three ways it knows."""
    python = platform.python_version()
    (folder / "requirements.txt").write_text("\n".join(REQUIREMENTS) + "\n", encoding="utf-8")
    _yaml(
        folder / "python_env.yaml",
        {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]},
    )
    parts = [f"python={python}", "pip", {"pip": list(REQUIREMENTS)}]
    _yaml(folder / "conda.yaml", {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": parts})


def _yaml(path: Path, value: Any) -> None:
    path.write_text(
        need("yaml", EXTRA).safe_dump(value, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
