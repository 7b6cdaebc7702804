"""The reggaeton example: made-up songs to a released model, and what its contract refuses."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relevo import ModelPackage, load, run, validation
from relevo.errors import RequestError
from relevo.score import score
from relevo.workspace import Workspace
from support import bare, project

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.xdist_group("reggaeton")  # one process makes what they share

EXAMPLE = Path(__file__).parents[1] / "examples" / "reggaeton"
ASKED = {
    "danceability": 0.61,
    "energy": 0.88,
    "speechiness": 0.06,
    "acousticness": 0.0,
    "valence": 0.46,
    "tempo": 131.06,
    "loudness": -4.43,
}
QUICK = (
    ("folds=5, repeats=10", "folds=3, repeats=2"),
    ("trials=3", "trials=1"),
    ("n_estimators=200", "n_estimators=40"),
    ("n_estimators=300", "n_estimators=40"),
    ('"pr_auc": 0.6', '"pr_auc": 0.5'),
)


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"reggaeton_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with the whole sample and fewer repeats."""
    copy = tmp_path_factory.mktemp("example") / "reggaeton"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    project.edit(copy / "project.py", *QUICK)
    module("sample").write(copy / "data")
    return copy


@pytest.fixture(scope="module")
def released(folder: Path) -> tuple[Workspace, dict[str, Any]]:
    """Its workspace after a run, and the outputs of the run's steps."""
    workspace = Workspace.open(folder)
    ended = run(load(folder), workspace)
    steps = {step.name: dict(step.output) for step in workspace.ledger.steps(ended.id)}
    verdict = steps["judge"]["verdict"]
    assert ended.status == "released", [r["text"] for r in verdict["reasons"] if not r["passed"]]
    return workspace, steps


@pytest.fixture(scope="module")
def package(released: tuple[Workspace, dict[str, Any]]) -> ModelPackage:
    workspace, steps = released
    return ModelPackage.load(workspace.blobs.folder(steps["package"]["digest"]))


def test_the_file_decides_and_songs_without_features_do_not_count(
    released: tuple[Workspace, dict[str, Any]],
) -> None:
    """70 songs are in the one file and 2,230 in the other, of which 8 say nothing; the 50 others have no label."""
    workspace, steps = released
    evaluation = json.loads(workspace.blobs.get(steps["evaluate"]["blob"]))["evaluation"]
    assert (evaluation["rows"], evaluation["positives"], evaluation["repeats"]) == (2292, 70, 2)
    assert evaluation["spread"]["pr_auc"]["fold_mean"] > 0.5
    (clean,) = steps["clean"]["snapshots"].values()
    snapshot = workspace.ledger.snapshot(clean, project="reggaeton")
    assert snapshot is not None
    assert (snapshot.rows, snapshot.quarantined) == (2342, 8)
    assert steps["audit"]["proven"]


def test_no_column_that_tells_the_files_apart_is_asked_for(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    leaks = module("results").LEAKS
    assert not leaks & set(package.request.names)
    assert not leaks & {encoder.feature for encoder in package.manifest.encoders}


def test_seven_features_are_enough(package: ModelPackage) -> None:
    (answer,) = package.predict([validation.validate(package.validators, ASKED)])
    assert answer.label in ("reggaeton", "other")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loudness": 125.513}, "loudness: must be from -60 to 5."),
        ({"tempo": -4.43}, "tempo: must be from 20 to 250."),
        ({"danceability": 61}, "danceability: must be from 0 to 1."),
        ({"duration": 3.5}, "duration: must be a whole number."),
    ],
)
def test_a_number_in_the_wrong_field_is_refused_with_the_range(
    package: ModelPackage, change: dict[str, float], said: str
) -> None:
    """One public README asks with a loudness of 125.513, which is a tempo."""
    with pytest.raises(RequestError, match=said.replace(".", r"\.")):
        validation.validate(package.validators, ASKED | change)


def test_unlabelled_songs_get_a_mark_and_a_probability(
    folder: Path, released: tuple[Workspace, dict[str, Any]], package: ModelPackage, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    found = score(released[0].lake, package, folder / "data" / "data_test.csv", out)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (found.rows, found.refused, len(rows)) == (50, 0, 50)
    assert {row["decision"] for row in rows} == {"reggaeton", "other"}
    assert all(
        (float(row["probability"]) >= package.threshold) == (row["decision"] == "reggaeton") for row in rows
    )


def test_the_sample_is_as_flawed_as_the_real_files(folder: Path) -> None:
    """Only one file has a time signature, songs stand in it twice, and one positive is a mix of 25 minutes."""
    tables = {}
    for name in ("reggaeton", "todotipo", "test"):
        with (folder / "data" / f"data_{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    assert [len(rows) for rows in tables.values()] == [70, 2230, 50]
    assert "time_signature" not in tables["reggaeton"][0]
    assert "time_signature" in tables["todotipo"][0]
    songs = [
        tuple(v for k, v in row.items() if k not in ("", "id_new"))
        for row in tables["todotipo"]
        if row["tempo"] != "NA"
    ]
    assert len(songs) - len(set(songs)) == 77
    assert sum(int(row["duration"]) == 1_499_600 for row in tables["reggaeton"]) == 1


@pytest.mark.skipif("RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA names no folder with data")
def test_the_real_songs_are_read_as_the_sample_is(tmp_path: Path) -> None:
    """The headers of the real files are those of the sample, and every real song keeps the contract."""
    real = Path(os.environ["RELEVO_TEST_DATA"]) / "reggaeton"
    definition = load(EXAMPLE, sets={"songs": str(real / "*.csv")})
    _, clean = bare.cleaned(definition, tmp_path)
    assert clean["songs"].rows == 2342
    assert clean["songs"].quarantined == 8
    assert sum(1 for reason in clean["songs"].reasons if "empty" in reason) == len(clean["songs"].reasons)
