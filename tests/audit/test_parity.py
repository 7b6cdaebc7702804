"""The parity proof passes what is alike and refuses every planted fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from relevo import digest as digests
from relevo.audit import Native, Parity, audit
from relevo.package import ModelPackage
from support import small, stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> stores.Made:
    return stores.make(tmp_path_factory.mktemp("lake"))


def proof(made: stores.Made, package: ModelPackage, rows: int = 1000) -> Parity:
    def margin(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return small.native_margin(made.fit, matrix)

    native = Native(made.fit.encoders, margin, made.fit.calibration, made.fit.threshold)
    return audit(made.definition, made.lake, made.clean, made.examples, package, native, rows=rows)


def spoiled(made: stores.Made, folder: Path, change: Callable[[dict[str, Any]], None]) -> ModelPackage:
    """Pack the fit, then alter the manifest as a wrong packer would have written it."""
    made.package(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (folder / "manifest.json").write_bytes(digests.canonical(manifest))
    return ModelPackage.load(folder)


def test_what_was_trained_is_what_answers(made: stores.Made, tmp_path: Path) -> None:
    found = proof(made, made.package(tmp_path / "p"))
    assert found.faults == ()
    assert found.proven
    assert found.rows == 1000
    assert found.edges > 300
    assert found.largest <= 1e-6


def test_one_category_swapped(made: stores.Made, tmp_path: Path) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        levels = manifest["encoders"][0]["levels"]
        levels["LAN"], levels["SKU"] = levels["SKU"], levels["LAN"]

    found = proof(made, spoiled(made, tmp_path / "p", swap))
    assert not found.proven
    assert "“airline” is encoded" in found.faults[0]


def test_one_null_mishandled(made: stores.Made, tmp_path: Path) -> None:
    def mishandle(manifest: dict[str, Any]) -> None:
        text = json.dumps(manifest["tree"])
        assert '"?"' in text
        manifest["tree"] = json.loads(text.replace('"?"', '"1"'))

    found = proof(made, spoiled(made, tmp_path / "p", mishandle))
    assert not found.proven
    assert "“flight”" in found.faults[0]


def test_the_null_of_an_encoder_mishandled(made: stores.Made, tmp_path: Path) -> None:
    """No flight feature is ever null here, but an edge of the contract or an encoder's number may be."""

    def mishandle(manifest: dict[str, Any]) -> None:
        encoder = next(e for e in manifest["encoders"] if e["feature"] == "destination")
        encoder["unseen"] += 0.25

    found = proof(made, spoiled(made, tmp_path / "p", mishandle))
    assert not found.proven
    assert "“destination” is encoded" in found.faults[0]


@pytest.mark.parametrize("side", ["tree", "sql"])
def test_one_feature_off_by_a_hundred_thousandth(made: stores.Made, tmp_path: Path, side: str) -> None:
    """Trees would not notice 1e-5 on most rows; the comparison of the features does."""
    ratio = stores.with_ratio(tmp_path)
    assert proof(ratio, ratio.package(tmp_path / "whole")).proven

    def shift(manifest: dict[str, Any]) -> None:
        text = json.dumps(manifest[side])
        assert "1440" in text
        manifest[side] = json.loads(text.replace("1440.0", "1439.9856"))

    found = proof(ratio, spoiled(ratio, tmp_path / "p", shift))
    assert not found.proven
    assert "“share_of_day”" in found.faults[0]


def test_another_threshold(made: stores.Made, tmp_path: Path) -> None:
    def move(manifest: dict[str, Any]) -> None:
        manifest["threshold"] = min(0.99, manifest["threshold"] + 0.2)

    assert not proof(made, spoiled(made, tmp_path / "p", move)).proven


def test_another_calibration(made: stores.Made, tmp_path: Path) -> None:
    def move(manifest: dict[str, Any]) -> None:
        manifest["calibration"]["b"] += 1e-4

    found = proof(made, spoiled(made, tmp_path / "p", move))
    assert not found.proven
    assert found.largest > 1e-6


def test_a_look_up_row_missing(made: stores.Made, tmp_path: Path) -> None:
    def cut(manifest: dict[str, Any]) -> None:
        path = tmp_path / "p" / "lookups" / "holidays.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)[1:]
        path.write_bytes(b"".join(lines))
        whole = b"".join(lines)
        manifest["files"]["lookups/holidays.jsonl"] = {"bytes": len(whole), "sha256": digests.of_bytes(whole)}

    found = proof(made, spoiled(made, tmp_path / "p", cut))
    assert not found.proven
    assert "“holiday”" in found.faults[0]


@pytest.mark.slow
def test_a_stricter_contract(made: stores.Made, tmp_path: Path) -> None:
    def narrow(manifest: dict[str, Any]) -> None:
        field = next(f for f in manifest["request"]["fields"] if f["name"] == "airline")
        field["pattern"] = "^LAN$"

    found = proof(made, spoiled(made, tmp_path / "p", narrow))
    assert not found.proven
    assert "refuses it" in found.faults[0]


def test_faults_are_counted_but_not_all_kept(made: stores.Made, tmp_path: Path) -> None:
    def negate(manifest: dict[str, Any]) -> None:
        manifest["calibration"]["a"] = -manifest["calibration"]["a"]

    found = proof(made, spoiled(made, tmp_path / "p", negate))
    assert len(found.faults) == 20
    assert found.more > 100
