"""What ``relevo new`` writes runs to a verdict without an edit."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from relevo import GroupSplit, TimeSplit, Tuning, lifecycle
from relevo.definition import load
from relevo.errors import DataError
from relevo.scaffold import new
from relevo.workspace import Workspace
from support import project, tables

if TYPE_CHECKING:
    from relevo.records import Run

DATA = os.environ.get("RELEVO_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="RELEVO_TEST_DATA names no folder with the real files")


def run(folder: Path) -> Run:
    """Run a made project as it stands, with one trial for each candidate."""
    definition = load(folder)
    quick = replace(definition, project=replace(definition.project, tuning=Tuning(trials=1)))
    return lifecycle.run(quick, Workspace.open(folder))


def test_from_the_command_line_to_a_released_version(tmp_path: Path) -> None:
    source = tables.plain(tmp_path / "customers.csv", land=lambda _: "CL", rows=tables.customers(1500))
    folder = tmp_path / "churn"
    made = project.call("new", folder, "--from", source, "--target", "left")
    assert (made.code, made.err) == (0, "")
    assert made.out.splitlines()[0].endswith('are “yes” ("left").')
    assert made.out.splitlines()[-1] == f"Written: {folder}. Read project.py, then: relevo run {folder}"
    assert project.call("check", folder).code == 0
    done = project.call("run", folder, "--trials", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "Version 1.0.0 is now champion."
    answer = project.call(
        "predict", "age=70", "income=900.5", "city=Lima", "plan=basic", "-p", folder, "--json"
    )
    assert answer.document["label"] == "yes"


def test_the_command_line_says_what_was_found(tmp_path: Path) -> None:
    source = tables.plain(tmp_path / "customers.csv", land=lambda _: "CL")
    words: list[str | Path] = ["new", tmp_path / "p", "--from", source, "--target", "left"]
    said = project.call(*words, "--lang", "es").out
    assert "Fuera land: es “CL” en todas las filas." in said
    assert project.call(*words).err.startswith(f"Error: {tmp_path / 'p'} is there already")
    words[1] = tmp_path / "q"
    assert "the language “fr” is unknown. Known: en, es." in project.call(*words, "--lang", "fr").err
    found = project.call(*words, "--json").document
    assert (found["project"], found["rows"], found["target"]["positive"]) == ("q", 600, "yes")


def test_spanish_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    source = tables.write(
        tmp_path / "clientes.csv",
        [" Edad", "Ingreso mensual ", "Ciudad", "Plan", "¿Se fue?"],
        lambda row: [
            row["age"],
            f" {row['income']:.2f}".replace(".", ","),
            row["city"],
            row["plan"],
            "Sí" if row["leaves"] else "No",
        ],
        rows=tables.customers(1000),
        delimiter=";",
        encoding="latin-1",
    )
    new(tmp_path / "p", source, "¿Se fue?")
    assert run(tmp_path / "p").status == "released"


@pytest.mark.slow
def test_times_ids_nulls_and_constants(tmp_path: Path) -> None:
    source = tables.plain(
        tmp_path / "customers.csv",
        rows=tables.customers(1500),
        row=lambda row: row["number"],
        land=lambda _: "CL",
        customer_id=lambda row: row["number"] % 300,
        weight=lambda row: "?" if row["number"] % 3 else 50 + row["age"] / 2,
        born=lambda row: f"{2024 - row['age']}/03/09",
        signed_at=lambda row: row["at"],
        vip=lambda row: "x" if row["number"] % 4 else "",
    )
    new(tmp_path / "p", source, "left")
    assert isinstance(load(tmp_path / "p").project.split, TimeSplit)
    assert run(tmp_path / "p").status == "released"


def test_noise_is_refused_by_the_gate(tmp_path: Path) -> None:
    draw = random.Random(0)
    source = tables.write(
        tmp_path / "noise.csv",
        ["a", "b", "y"],
        lambda _: [draw.random(), draw.randrange(9), draw.randrange(2)],
        rows=tables.customers(400),
    )
    new(tmp_path / "p", source, "y")
    ended = run(tmp_path / "p")
    assert ended.status == "refused"


def wide(path: Path, rows: int) -> Path:
    """Write 299 columns of noise, five of which make the outcome."""
    draw = random.Random(0)

    def cells(_: tables.Row) -> list[object]:
        numbers = [round(draw.gauss(0, 1), 3) for _ in range(299)]
        return [*numbers, int(sum(numbers[:5]) + draw.gauss(0, 1) > 0)]

    header = [*(f"x{n}" for n in range(299)), "y"]
    return tables.write(path, header, cells, rows=tables.customers(rows))


@pytest.mark.slow
@pytest.mark.slow
def test_300_columns(tmp_path: Path) -> None:
    new(tmp_path / "p", wide(tmp_path / "wide.csv", 800), "y")
    assert load(tmp_path / "p").project.tuning.trials == 3
    assert run(tmp_path / "p").status == "released"


@needs_data
class TestRealData:
    """The four cases: a project, or exactly what a person must decide."""

    data = Path(DATA or "")

    def test_flights_has_no_outcome_column(self, tmp_path: Path) -> None:
        source = self.data / "flights" / "dataset_SCL.csv"
        with pytest.raises(
            DataError, match=r"no column “atraso_15”.*A person must say what is to be predicted"
        ):
            new(tmp_path / "p", source, "atraso_15")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_flights_by_a_condition(self, tmp_path: Path) -> None:
        source = self.data / "flights" / "dataset_SCL.csv"
        target = 'date_diff(\'minute\', "Fecha-I", "Fecha-O") > 15'
        found = new(tmp_path / "p", source, target).found
        definition = load(tmp_path / "p")
        assert definition.request.names == (
            "fecha_i", "vlo_i", "des_i", "emp_i", "tipovuelo", "opera", "siglades",
        )  # fmt: skip
        assert {"DIA", "MES", "DIANOM", "Vlo-O", "Des-O", "Emp-O"} < set(tables.left_out(found))
        assert definition.project.main_table.event_time == "fecha_i"
        tables.check_format(tmp_path / "p")

    def test_reggaeton_in_one_file_of_two(self, tmp_path: Path) -> None:
        source = self.data / "reggaeton" / "data_todotipo.csv"
        with pytest.raises(DataError, match="no column “reggaeton”"):
            new(tmp_path / "p", source, "reggaeton")

    @pytest.mark.slow
    def test_reggaeton_merged(self, tmp_path: Path) -> None:
        merged = tmp_path / "songs.csv"
        folder = self.data / "reggaeton"
        duckdb.execute(
            f"copy (select *, 1 as reggaeton from read_csv('{folder}/data_reggaeton.csv') union all by name "
            f"select *, 0 from read_csv('{folder}/data_todotipo.csv', nullstr='NA')) to '{merged}'".replace(
                "select *, 0 from", "select *, 0 as reggaeton from"
            )
        )
        found = new(tmp_path / "p", merged, "reggaeton").found
        reasons = tables.left_out(found)
        assert reasons["time_signature"].startswith("it is filled for “no” and empty for “yes”")
        assert "id_new" in reasons
        assert load(tmp_path / "p").project.metric == "pr_auc"
        assert run(tmp_path / "p").status in ("released", "refused")

    @pytest.mark.slow
    def test_readmission(self, tmp_path: Path) -> None:
        source = self.data / "readmission" / "diabetic_data.csv"
        with pytest.raises(DataError, match=r"has 3 values: NO .*--positive '<30'"):
            new(tmp_path / "p", source, "readmitted")
        found = new(tmp_path / "p", source, "readmitted", positive="<30").found
        definition = load(tmp_path / "p")
        assert definition.project.split == GroupSplit("patient_nbr")
        assert found.nulls == ("?",)
        assert set(tables.left_out(found)) == {
            "encounter_id",
            "examide",
            "citoglipton",
            "metformin-pioglitazone",
        }
        assert "None" in (definition.request["a1cresult"].choices or ())
        tables.check_format(tmp_path / "p")

    def test_sodai(self, tmp_path: Path) -> None:
        found = new(tmp_path / "p", self.data / "sodai" / "transacciones.parquet", "items > 3").found
        definition = load(tmp_path / "p")
        assert definition.project.main_table.event_time == "purchase_date"
        assert definition.request.names == ("customer_id", "product_id", "purchase_date")
        assert set(tables.left_out(found)) == {"order_id", "__index_level_0__"}
