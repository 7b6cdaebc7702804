"""The readmission example: on sample data, and its code books against the real one."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import relevo
from support import project

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.xdist_group("readmission")  # one process makes what they share

HERE = Path(__file__).parents[2] / "examples" / "readmission"
ROWS = 4000
QUICK = (
    ("Tuning(trials=4)", "Tuning(trials=1)"),
    ("logistic(),\n", ""),
    ('Gate(minimum={"roc_auc": 0.6}, margin=0.01)', 'Gate(minimum={"roc_auc": 0.6}, beats_baselines=False)'),
)
BOOKS = ("admission_types", "discharges", "admission_sources")
GONE = {11, 13, 14, 19, 20, 21}
REAL = pytest.mark.skipif("RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA is not set")


def module(name: str) -> ModuleType:
    """One of the example's scripts."""
    spec = importlib.util.spec_from_file_location(f"readmission_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with sample data and a released version."""
    copy = tmp_path_factory.mktemp("example") / "readmission"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    project.edit(copy / "project.py", *QUICK)
    source = copy / "data" / "encounters.csv"
    module("sample").write(source, ROWS)
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[1] = lines[1].replace(",Male,", ",Unknown/Invalid,").replace(",Female,", ",Unknown/Invalid,")
    source.write_text("".join(lines), encoding="utf-8")
    with module("provider").provided(source, rows=1500) as url:
        project.edit(copy / "project.py", ("http://127.0.0.1:8100/batches/{number}", url))
        run = project.run(copy)
    assert run.status == "released", run.message
    return copy


def asked(folder: Path, query: str) -> list[dict[str, Any]]:
    """The rows of ``relevo sql``."""
    done = project.call("sql", query, "-p", folder, "--json")
    assert done.code == 0, done.err
    rows: list[dict[str, Any]] = done.document
    return rows


def sample(folder: Path) -> list[dict[str, str]]:
    with (folder / "data" / "encounters.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_dead_are_left_out_and_refused(folder: Path) -> None:
    rows = sample(folder)
    dead = [row for row in rows if int(row["discharge_disposition_id"]) in GONE]
    (found,) = asked(folder, "select count(*) as kept from clean.encounters")
    assert dead
    assert found == {"kept": len(rows) - len(dead)}
    assert asked(folder, "select count(*) as refused from quarantine.encounters") == [{"refused": 0}]
    request = {name: value for name, value in dead[0].items() if value != "?"}
    answer = project.call("predict", "-p", folder, *(f"{name}={value}" for name, value in request.items()))
    assert answer.code != 0
    assert "discharge_disposition_id" in answer.err


def test_a_living_patient_is_answered(folder: Path) -> None:
    row = next(row for row in sample(folder) if row["discharge_disposition_id"] == "3")
    request = [f"{name}={value}" for name, value in row.items() if value != "?"]
    answer = project.call("predict", "-p", folder, "--json", *request)
    assert answer.code == 0, answer.err
    assert json.dumps(answer.document).count("readmitted") >= 1


def test_a_question_mark_is_null_and_none_is_a_value(folder: Path) -> None:
    rows = sample(folder)
    (found,) = asked(
        folder,
        "select count(*) filter (payer_code is null) as payer, count(*) filter (a1c = 'None') as untested,"
        " count(*) filter (a1c is null) as nulls, count(*) filter (gender is null) as gender from clean.encounters",
    )
    alive = [row for row in rows if int(row["discharge_disposition_id"]) not in GONE]
    assert found["payer"] == sum(row["payer_code"] == "?" for row in alive) > 0
    assert found["untested"] == sum(row["A1Cresult"] == "None" for row in alive) > 0
    assert found["nulls"] == 0
    assert found["gender"] == 1


def test_no_patient_stands_on_both_sides(folder: Path) -> None:
    (found,) = asked(
        folder,
        "select count(*) as patients, count(*) filter (parts > 1) as parted, max(stays) as most from"
        " (select _group, count(distinct _part) as parts, count(*) as stays from examples.readmission group by 1)",
    )
    assert found["parted"] == 0
    assert found["most"] > 1
    assert found["patients"] > 1000


def test_codes_become_words(folder: Path) -> None:
    rows = asked(
        folder,
        "select distinct request.diag_1 as code, chapter_1, request.discharge_disposition_id as id, discharge,"
        " admission_type, admission_source from examples.readmission",
    )
    assert {row["chapter_1"] for row in rows if row["code"] == "250.6"} == {"diabetes"}
    assert {row["chapter_1"] for row in rows if row["code"] == "V57"} == {"supplementary"}
    assert {row["discharge"] for row in rows if row["id"] == 6} == {"home with care"}
    assert all(row["admission_type"] and row["admission_source"] for row in rows)


def test_the_provider_hands_out_every_row_once(tmp_path: Path) -> None:
    source = tmp_path / "encounters.csv"
    module("sample").write(source, 25)
    header, *lines = source.read_bytes().splitlines(keepends=True)
    with module("provider").provided(source, rows=10) as url:
        answers = [httpx.get(url.format(number=number)) for number in (1, 2, 3, 4)]
        nonsense = [httpx.get(url.format(number=number)).status_code for number in ("0", "-1", "x", "1/2")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert nonsense == [404] * 4
    assert all(answer.content.startswith(header) for answer in answers[:3])
    assert [answer.content.count(b"\n") - 1 for answer in answers[:3]] == [10, 10, 5]
    assert b"".join(answer.content.removeprefix(header) for answer in answers[:3]) == b"".join(lines)


def test_the_sample_has_the_columns_of_its_contract() -> None:
    table = relevo.load(HERE).contracts["encounters"]
    assert {field.alias for field in table.fields} <= set(module("sample").HEADER)
    assert len(module("sample").HEADER) == 50


def test_the_categories_are_what_the_script_writes(tmp_path: Path) -> None:
    module("sample").write_icd9(tmp_path / "icd9.csv")
    assert (tmp_path / "icd9.csv").read_bytes() == (HERE / "icd9.csv").read_bytes()


def test_the_request_takes_every_discharge_of_the_living() -> None:
    with (HERE / "discharges.csv").open(encoding="utf-8", newline="") as file:
        kinds = {int(row["id"]): row["kind"] for row in csv.DictReader(file)}
    gone = {code for code, kind in kinds.items() if kind in ("expired", "hospice")}
    choices = relevo.load(HERE).request["discharge_disposition_id"].choices
    assert gone == GONE
    assert set(choices or ()) == set(kinds) - gone


@REAL
def test_the_code_books_are_those_of_the_data() -> None:
    path = Path(os.environ["RELEVO_TEST_DATA"]) / "readmission" / "IDs_mapping.csv"
    blocks = path.read_text(encoding="utf-8").split("\n,\n")
    for name, block in zip(BOOKS, blocks, strict=True):
        with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            ours = {row["id"] for row in csv.DictReader(file)}
        assert ours == {row[0] for row in csv.reader(block.splitlines()[1:]) if row}
