"""What is told to MLflow, as plain data: no server is needed to see it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from relevo.errors import RequestError
from relevo.records import Mirrored
from relevo.tracking import documents, mlmodel, plots
from relevo.tracking.pyfunc import Model
from relevo.tracking.server import Address, masked
from relevo.workspace import Workspace
from support import small
from support.ledgers import a_version
from support.service import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relevo.ledger import Ledger


@pytest.fixture
def opened(original: Path) -> Iterator[Workspace]:
    found = Workspace.open(original)
    yield found
    found.ledger.close()


def every(document: documents.Document) -> Iterator[documents.Document]:
    yield document
    for child in document.children:
        yield from every(child)


@pytest.mark.slow
def test_two_makings_of_a_document_are_equal_and_names_are_such_as_mlflow_takes(opened: Workspace) -> None:
    [run] = opened.ledger.runs("flights")
    one, other = (documents.document(opened, run) for _ in range(2))
    assert one == other
    found = list(every(one))
    assert [document.part for document in found].count("run") == 1
    names = {name for document in found for name in (*document.params, *(m.name for m in document.metrics))}
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. /")
        for name in names
    )
    for document in found:
        assert document.ended is not None
        assert document.started <= document.ended
        series = [(metric.name, metric.at, metric.step) for metric in document.metrics]
        assert len(set(series)) == len(series)


@pytest.mark.slow
def test_the_plots_are_whole_svg_files_without_anything_loaded_from_elsewhere(opened: Workspace) -> None:
    [run] = opened.ledger.runs("flights")
    files = documents.document(opened, run).files
    drawn = {name: text for name, text in files.items() if name.endswith(".svg")}
    assert set(drawn) == {f"plots/{name}.svg" for name in ("calibration", "confusion", "metrics", "roc")}
    for text in drawn.values():
        root = ET.fromstring(text)  # noqa: S314 - our own
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "href" not in text
    assert "✓" in files["verdict.md"]


def test_the_roc_curve_goes_from_corner_to_corner_through_the_bins() -> None:
    bins = [
        {"predicted": 0.1, "observed": 0.0, "rows": 50},
        {"predicted": 0.9, "observed": 0.5, "rows": 50},
    ]
    text = plots.roc(bins, {"value": 0.8, "low": 0.7, "high": 0.9})
    line = next(one for one in ET.fromstring(text).iter() if one.get("stroke-width") == "2")  # noqa: S314 - our own
    points = [tuple(map(float, pair.split(","))) for pair in str(line.get("points")).split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert (x1 - x0) / (x2 - x0) == pytest.approx(25 / 75, abs=1e-3)
    assert (y1, y0 - y1) == pytest.approx((y2, y0 - y2))
    assert "0.800 [0.700, 0.900]" in text


def test_the_signature_is_the_contracts_and_lets_no_mlflow_refuse_what_the_contract_takes() -> None:
    found = mlmodel.signature(small.definition().request)
    inputs = {one["name"]: (one["type"], one["required"]) for one in json.loads(str(found["inputs"]))}
    assert inputs == {
        "Fecha-I": ("any", True),
        "Vlo-I": ("string", False),
        "Des-I": ("string", True),
        "Emp-I": ("string", True),
        "TIPOVUELO": ("string", True),
    }
    assert [one["name"] for one in json.loads(str(found["outputs"]))] == ["probability", "decision", "label"]


@pytest.mark.parametrize(
    "text",
    [
        "at http://ana:correct-horse@127.0.0.1:5000/x",
        "at http://ana:p@correct-horse@127.0.0.1:5000/x",
        "token bearer-of-secrets!",
        "user analyst",
    ],
)
def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "bearer-of-secrets")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "analyst")
    found = masked(text)
    assert "***" in found
    assert not any(secret in found for secret in ("correct-horse", "bearer-of-secrets", "analyst"))


def test_a_server_is_the_same_whoever_signs_in() -> None:
    one, other = Address("http://ana:secret@host:5000", 1), Address("http://host:5000/", 1)
    assert one.digest == other.digest != Address("http://host:5001", 1).digest
    assert Address("http://ana:p@ss@host:5000", 1).digest == one.digest
    assert one.shown == "http://***@host:5000"
    assert "secret" not in repr(one)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    small.write(folder / "package")
    return Model(folder)


@pytest.mark.parametrize(
    "given",
    [
        GOOD,
        [GOOD],
        pd.DataFrame([GOOD]),
        pd.DataFrame([GOOD]).astype(object),
        pd.DataFrame([{**GOOD, "Fecha-I": pd.Timestamp(GOOD["Fecha-I"])}]),
        {**GOOD, "Fecha-I": datetime.fromisoformat(GOOD["Fecha-I"])},
        {"scheduled_at": GOOD["Fecha-I"], **{key: value for key, value in GOOD.items() if key != "Fecha-I"}},
        {**GOOD, "Vlo-I": np.str_(GOOD["Vlo-I"])},
    ],
)
def test_the_model_answers_frames_and_requests_alike(model: Model, given: Any) -> None:
    wanted = model.package.predict([_validated(model)])[0]
    [found] = model.predict(given).to_dict("records")
    assert found == {"probability": wanted.probability, "decision": wanted.decision, "label": wanted.label}


def _validated(model: Model) -> dict[str, Any]:
    from relevo import validation

    return validation.validate(model.package.validators, GOOD)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NaT, pd.NA])
def test_what_is_missing_is_null(model: Model, missing: Any) -> None:
    rows = pd.DataFrame([{**GOOD, "Vlo-I": missing}], dtype=object)
    assert len(model.predict(rows)) == 1


def test_rows_that_break_the_contract_are_named(model: Model) -> None:
    with pytest.raises(RequestError, match=r"row 2: TIPOVUELO: must be one of: I, N"):
        model.predict([GOOD, {**GOOD, "TIPOVUELO": "Q"}])
    with pytest.raises(RequestError, match=r"row 1: Des-I"):
        model.predict([{**GOOD, "Des-I": None}])


def test_no_rows_have_no_answers_and_a_frames_index_is_kept(model: Model) -> None:
    assert list(model.predict([]).columns) == ["probability", "decision", "label"]
    frame = pd.DataFrame([GOOD, GOOD], index=[date(2017, 1, 1), date(2017, 1, 2)])
    assert list(model.predict(frame).index) == list(frame.index)


def test_how_things_stand_is_noted_once_and_changed(ledger: Ledger) -> None:
    one = Mirrored(project="flights", server="s", kind="run", key="a", remote="1", state="x", at="t")
    changed = Mirrored(project="flights", server="s", kind="run", key="a", error="no", at="u")
    ledger.mirror.note(one)
    assert ledger.mirror.first(changed) == one
    ledger.mirror.note(changed)
    assert ledger.mirror.known("flights", "s") == {("run", "a"): changed}
    assert ledger.mirror.known("flights", "other") == {}
    assert ledger.mirror.forget("flights", "s", "version", refused=True) == 0
    assert ledger.mirror.forget("flights", "s", "run", refused=True) == 1
    assert ledger.mirror.known("flights", "s") == {}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    from relevo.ledger import Ledger

    made = Ledger(tmp_path / "ledger.db")
    made.add_version(a_version("flights", "1.0.0"))
    yield made
    made.close()


@pytest.mark.parametrize(
    "module", ["relevo.cli.app", "relevo.cli.running", "relevo.cli.up", "relevo.tracking.sync"]
)
def test_mlflow_is_imported_by_nobody_who_does_not_use_it(module: str) -> None:
    code = (
        f"import sys, {module}; print([name for name in ('mlflow', 'pandas', 'yaml') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_the_hint_names_the_extra(tmp_path: Path) -> None:
    """Where the client is absent, as in an environment without the extra."""
    code = (
        "import sys; sys.modules['mlflow'] = None\n"
        "from relevo.cli import mirror\n"
        "import importlib.machinery as m\n"
        "print(mirror.hint())"
    )
    environment = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "RELEVO_LANG": "en", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert 'pip install "relevo[mlflow]"' in done.stdout, done.stderr
