from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from relevo import digest as digests
from relevo.contract import Contract, Field
from relevo.encoding import Encoder
from relevo.errors import LedgerError, PackageError
from relevo.package.manifest import FORMAT, Manifest
from relevo.records import Reason, Verdict
from relevo.register import next_version, register
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

AIRLINE = Field(name="airline", alias="OPERA", type="text")
HOUR = Field(name="hour", alias="hour", type="integer", required=False, default=0)
ACCEPTED = Verdict(accepted=True, reasons=(Reason(check="minimum", passed=True, text="fine"),))
REFUSED = Verdict(accepted=False, reasons=(Reason(check="minimum", passed=False, text="poor"),))


def an_encoder(feature: str, levels: dict[str, float] | None) -> Encoder:
    return Encoder(
        feature=feature, type="text" if levels else "integer", levels=levels, unseen=0.1, null=None
    )


BASE = Manifest(
    format=FORMAT,
    relevo="0.1.0",
    project="flights",
    algorithm="logistic",
    settings={"c": 1.0},
    request=Contract("Flight", (AIRLINE, HOUR)),
    sql="select airline, hour from request",
    tree={},
    encoders=(an_encoder("airline", {"LA": 0.2}), an_encoder("hour", None)),
    lookups=(),
    histories=(),
    nulls=(),
    naive=None,
    decision={"rule": "best_threshold"},
    recommend=None,
    positive="late",
    negative="on time",
    calibration={"a": 1.0, "b": 0.0},
    threshold=0.5,
    metric="f1",
    metrics={"f1": {"value": 0.5}},
    data={"rows": 10},
    libraries={},
    files={},
)


def asked(*fields: Field) -> Manifest:
    return replace(BASE, request=Contract("Flight", fields))


class TestNumbers:
    """Which number follows."""

    def test_the_first_is_1_0_0(self) -> None:
        assert next_version(None, None, BASE) == ("1.0.0", "The first version.")

    @pytest.mark.parametrize(
        ("new", "number", "why"),
        [
            (replace(BASE, data={"rows": 11}), "1.2.4", "Patch: new data or settings only."),
            (replace(BASE, settings={"c": 2.0}, threshold=0.4), "1.2.4", "Patch"),
            (
                replace(BASE, encoders=(an_encoder("airline", {"LA": 0.3, "SK": 0.1}), BASE.encoders[1])),
                "1.2.4",
                "Patch",
            ),
            (asked(replace(AIRLINE, description="Who flies"), HOUR), "1.2.4", "Patch"),
            (
                replace(BASE, algorithm="xgboost"),
                "1.3.0",
                "Minor: the algorithm was logistic and is now xgboost.",
            ),
            (
                replace(BASE, sql="select airline, hour + 1"),
                "1.3.0",
                "Minor: the features are computed differently.",
            ),
            (
                replace(BASE, encoders=(BASE.encoders[0], an_encoder("weekday", None))),
                "1.3.0",
                "Minor: the feature weekday is new; the feature hour is gone.",
            ),
            (
                replace(BASE, encoders=(BASE.encoders[0], an_encoder("hour", {"1": 0.1}))),
                "1.3.0",
                "Minor: the features are computed differently.",
            ),
            (
                asked(AIRLINE, HOUR, replace(HOUR, name="gate", alias="gate")),
                "1.3.0",
                "Minor: the request changed",
            ),
            (asked(replace(AIRLINE, nullable=True), HOUR), "1.3.0", "Minor: the request changed"),
            (asked(AIRLINE, replace(HOUR, required=True)), "2.0.0", "Major: “hour” is now required."),
            (
                asked(replace(AIRLINE, pattern="^[A-Z]+$"), HOUR),
                "2.0.0",
                "Major: “OPERA” accepts fewer values.",
            ),
            (
                replace(asked(replace(AIRLINE, type="integer"), HOUR), algorithm="xgboost"),
                "2.0.0",
                "Major: “OPERA” was text and is now integer.",
            ),
            (replace(BASE, positive="delayed"), "2.0.0", "Major: the label “late” is now “delayed”."),
        ],
    )
    def test_it_rises_by_what_changed(self, new: Manifest, number: str, why: str) -> None:
        found, change = next_version("1.2.3", BASE, new)
        assert found == number
        assert change.startswith(why)

    def test_without_the_package_before_it_rises_as_if_everything_changed(self) -> None:
        assert next_version("1.2.3", None, BASE) == (
            "2.0.0",
            "Major: the package of 1.2.3 is gone, so what changed is not known.",
        )

    def test_a_number_of_another_shape_is_an_error(self) -> None:
        with pytest.raises(LedgerError, match="“v1” is not a version"):
            next_version("v1", BASE, BASE)


def made(folder: Path, manifest: Manifest = BASE, **changes: Any) -> Path:
    """Write a package's folder; the model is not looked at here."""
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(b"model")
    files = {"model.onnx": {"bytes": 5, "sha256": digests.of_bytes(b"model")}}
    written = replace(manifest, files=files, **changes)
    (folder / "manifest.json").write_bytes(digests.canonical(written.to_json()))
    return folder


class TestRegister:
    """Into the ledger."""

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Workspace:
        (tmp_path / "project").mkdir()
        return Workspace.open(tmp_path / "project")

    def test_a_package_is_stored_and_registered(self, workspace: Workspace, tmp_path: Path) -> None:
        version = register(workspace, made(tmp_path / "p"), verdict=ACCEPTED, run="r1")
        assert (version.version, version.status, version.algorithm) == ("1.0.0", "accepted", "logistic")
        assert (version.metrics, version.verdict, version.run) == (BASE.metrics, ACCEPTED, "r1")
        stored = workspace.blobs.folder(version.digest)
        assert json.loads((stored / "manifest.json").read_text())["project"] == "flights"
        assert workspace.ledger.version("flights", "1.0.0") == version

    def test_the_same_package_again_is_the_same_version(self, workspace: Workspace, tmp_path: Path) -> None:
        first = register(workspace, made(tmp_path / "p"), verdict=ACCEPTED, run="r1")
        assert register(workspace, made(tmp_path / "p"), verdict=ACCEPTED, run="r2") == first
        assert workspace.ledger.versions("flights") == [first]

    @pytest.mark.parametrize(("before", "after"), [(REFUSED, ACCEPTED), (ACCEPTED, REFUSED)])
    def test_a_package_judged_otherwise_gets_a_number_of_its_own(
        self, workspace: Workspace, tmp_path: Path, before: Verdict, after: Verdict
    ) -> None:
        first = register(workspace, made(tmp_path / "p"), verdict=before, run="r1")
        second = register(workspace, made(tmp_path / "p"), verdict=after, run="r2")
        assert (second.version, second.digest, second.verdict) == ("1.0.1", first.digest, after)
        assert second.change.endswith("It is the package of 1.0.0, judged anew.")
        assert register(workspace, made(tmp_path / "p"), verdict=before, run="r3") == first
        assert register(workspace, made(tmp_path / "p"), verdict=after, run="r4") == second
        assert workspace.ledger.version("flights", "1.0.0") == first

    def test_refused_versions_take_numbers_too(self, workspace: Workspace, tmp_path: Path) -> None:
        numbers = []
        for rows, verdict in ((1, ACCEPTED), (2, REFUSED), (3, ACCEPTED)):
            package = made(tmp_path / "p", data={"rows": rows})
            numbers.append(register(workspace, package, verdict=verdict, run="r").version)
        assert numbers == ["1.0.0", "1.0.1", "1.0.2"]
        assert [version.status for version in workspace.ledger.versions("flights")][1] == "refused"

    def test_what_was_stored_but_not_registered_is_registered_at_the_next_try(
        self, workspace: Workspace, tmp_path: Path
    ) -> None:
        """As when the process was killed in between."""
        package = made(tmp_path / "p")
        workspace.blobs.put_folder(package, digests.of_file(package / "manifest.json"))
        assert register(workspace, package, verdict=ACCEPTED, run="r").version == "1.0.0"

    def test_a_lost_package_does_not_stop_the_next(self, workspace: Workspace, tmp_path: Path) -> None:
        first = register(workspace, made(tmp_path / "p"), verdict=ACCEPTED, run="r1")
        shutil.rmtree(workspace.blobs.folder(first.digest))
        second = register(workspace, made(tmp_path / "p", data={"rows": 2}), verdict=ACCEPTED, run="r2")
        assert second.version == "2.0.0"

    def test_projects_that_share_a_ledger_number_their_own(
        self, workspace: Workspace, tmp_path: Path
    ) -> None:
        register(workspace, made(tmp_path / "p"), verdict=ACCEPTED, run="r1")
        other = register(workspace, made(tmp_path / "p", project="trains"), verdict=ACCEPTED, run="r1")
        assert (other.project, other.version) == ("trains", "1.0.0")

    @pytest.mark.parametrize("manifest", [None, b"{", b"{}", b"\xff"])
    def test_what_is_no_package_is_refused(
        self, workspace: Workspace, tmp_path: Path, manifest: bytes | None
    ) -> None:
        folder = made(tmp_path / "p")
        (folder / "manifest.json").unlink()
        if manifest is not None:
            (folder / "manifest.json").write_bytes(manifest)
        with pytest.raises(PackageError):
            register(workspace, folder, verdict=ACCEPTED, run="r")
        assert workspace.ledger.versions("flights") == []
