"""Packages loaded: whole ones answer, anything else is refused before it can do harm."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from relevo import digest as digests
from relevo import pack, validation
from relevo.asof import Asked
from relevo.errors import PackageError
from relevo.package import ModelPackage, calibrated
from support import small

if TYPE_CHECKING:
    from pathlib import Path

ALGORITHMS = ("logistic", "lightgbm", "xgboost")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole package with golden rows."""
    rng = random.Random(1)
    small.write(tmp_path / "draft")
    draft = ModelPackage.load(tmp_path / "draft")
    golden = pack.golden_rows(draft, [Asked(small.request(rng)) for _ in range(20)])
    small.write(tmp_path / "package", golden=golden, reference={"features": {}})
    return tmp_path / "package"


def edit(folder: Path, change: dict[str, Any]) -> None:
    """Alter the manifest as someone would who can write files."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | change), encoding="utf-8")


def replace(folder: Path, file: str, content: bytes) -> None:
    """Replace a file and its digest in the manifest."""
    (folder / file).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][file] = {"bytes": len(content), "sha256": digests.of_bytes(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_package_answers_as_the_native_model(tmp_path: Path, algorithm: str) -> None:
    fit = small.fitted(algorithm)
    digest = small.write(tmp_path / "p", fit=fit)
    package = ModelPackage.load(tmp_path / "p")
    rng = random.Random(2)
    requests = [small.request(rng) for _ in range(500)]
    matrix = package.matrix([package.features(request) for request in requests])
    native = calibrated(small.native_margin(fit, matrix), fit.calibration["a"], fit.calibration["b"])
    answers = package.predict(requests)
    np.testing.assert_allclose([a.probability for a in answers], native, atol=1e-6, rtol=0)
    assert [a.decision for a in answers] == [a.probability >= package.threshold for a in answers]
    assert {(a.decision, a.label) for a in answers} == {(True, "late"), (False, "on time")}
    assert package.digest == digest


def test_answers_do_not_depend_on_the_company_they_come_in(folder: Path) -> None:
    package = ModelPackage.load(folder)
    rng = random.Random(3)
    requests = [small.request(rng) for _ in range(64)]
    alone = [package.predict([request])[0] for request in requests]
    assert package.predict(requests) == alone


def test_no_request_no_answer(folder: Path) -> None:
    assert ModelPackage.load(folder).predict([]) == []


def test_two_writings_of_one_model_are_one_package(tmp_path: Path) -> None:
    assert small.write(tmp_path / "a") == small.write(tmp_path / "b")


def test_the_validator_comes_from_the_package(folder: Path) -> None:
    package = ModelPackage.load(folder)
    row = small.body(small.request(random.Random(4)))
    assert validation.validate(package.validators, row)["airline"] == row["Emp-I"]
    assert package.request == small.definition().request


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx", "golden.jsonl", "lookups/holidays.jsonl"])
@pytest.mark.parametrize("harm", ["truncated", "altered", "absent", "empty", "link"])
def test_a_harmed_file_is_refused(folder: Path, file: str, harm: str) -> None:
    path = folder / file
    content = path.read_bytes()
    if harm == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "altered":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
        if harm == "link":
            target = folder.parent / "elsewhere"
            target.write_bytes(content)
            path.symlink_to(target)
    with pytest.raises(PackageError):
        ModelPackage.load(folder)


def test_a_foreign_file_is_refused(folder: Path) -> None:
    (folder / "setup.py").write_text("print('hello')", encoding="utf-8")
    with pytest.raises(PackageError, match=r"foreign file, setup\.py"):
        ModelPackage.load(folder)


def test_another_folder_is_not_a_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="not a package"):
        ModelPackage.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 99}, "format 99"),
        ({"format": True}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"threshold": "0.5"}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"calibration": {"a": 1}}, "calibration"),
        ({"encoders": []}, "encoders"),
        ({"encoders": [{"feature": "x"}]}, "encoders"),
        ({"request": {"name": "x"}}, "request"),
        ({"tree": {}}, "."),
        ({"lookups": []}, "look-ups"),
        ({"decision": {"rule": []}}, "decision"),
        ({"files": {}}, "files"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(folder: Path, change: dict[str, Any], told: str) -> None:
    edit(folder, change)
    with pytest.raises(PackageError, match=told):
        ModelPackage.load(folder)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("scheduled_at", {"ge": "abc"}),
        ("scheduled_at", {"ge": 5}),
        ("scheduled_at", {"required": False, "default": "soon"}),
        ("scheduled_at", {"choices": []}),
        ("scheduled_at", {"type": []}),
        ("destination", {"pattern": "("}),
        ("destination", {"max_length": "x"}),
    ],
)
def test_a_contract_that_cannot_be_built_is_refused(folder: Path, field: str, change: dict[str, Any]) -> None:
    request = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["request"]
    next(row for row in request["fields"] if row["name"] == field).update(change)
    edit(folder, {"request": request})
    with pytest.raises(PackageError, match="request"):
        ModelPackage.load(folder)


def test_an_entry_left_out_is_named(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    del manifest["labels" if "labels" in manifest else "positive"]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(PackageError, match="positive"):
        ModelPackage.load(folder)


def test_a_file_outside_the_folder_cannot_be_named(folder: Path) -> None:
    (folder.parent / "secret").write_bytes(b"x")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": digests.of_bytes(b"x")}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(PackageError):
        ModelPackage.load(folder)


def test_other_encoders_than_the_features_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    edit(folder, {"encoders": manifest["encoders"][::-1]})
    with pytest.raises(PackageError, match="encoders"):
        ModelPackage.load(folder)


def test_a_golden_row_answered_otherwise_is_refused(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "golden.jsonl").read_bytes().splitlines()]
    rows[3]["probability"] += 2e-6
    replace(folder, "golden.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    with pytest.raises(PackageError, match="row 4"):
        ModelPackage.load(folder)


def test_another_model_of_the_same_shape_is_caught_by_the_golden_rows(folder: Path) -> None:
    replace(folder, "model.onnx", small.fitted("xgboost").onnx)
    with pytest.raises(PackageError, match=r"golden\.jsonl"):
        ModelPackage.load(folder)


def test_a_model_that_takes_other_features_is_refused(tmp_path: Path) -> None:
    small.write(tmp_path / "p", model=b"\x08\x0a")
    with pytest.raises(PackageError):
        ModelPackage.load(tmp_path / "p")


def test_reference_and_golden_can_be_read(folder: Path) -> None:
    package = ModelPackage.load(folder)
    assert package.reference == {"features": {}}
    assert len(package.golden) == 20


def test_loading_and_answering_imports_no_training_library(folder: Path) -> None:
    code = (
        "import sys, json; from relevo import ModelPackage, validation; p = ModelPackage.load(sys.argv[1]);"
        "p.predict([validation.validate(p.validators, json.loads(sys.argv[2]))]); print(*sorted(sys.modules))"
    )
    row = json.dumps(small.body(small.request(random.Random(5))))
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder), row],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    roots = {name.partition(".")[0] for name in found.stdout.split()}
    forbidden = {
        "sklearn",
        "pandas",
        "polars",
        "duckdb",
        "deltalake",
        "sqlglot",
        "lightgbm",
        "xgboost",
        "optuna",
    }
    assert "onnxruntime" in roots
    assert roots & (forbidden | {"onnx", "scipy", "sqlalchemy"}) == set()
