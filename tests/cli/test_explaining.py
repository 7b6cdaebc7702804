"""``relevo predict --explain``: the same answer, with what each field adds to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from relevo.pack import BACKGROUND_ROWS
from relevo.package import ModelPackage
from relevo.workspace import Workspace
from support import histories, project

if TYPE_CHECKING:
    from pathlib import Path

FLIGHT = {"Fecha-I": "2017-07-14 07:35:00", "Vlo-I": "226", "Des-I": "SCFA", "Emp-I": "SKU", "TIPOVUELO": "N"}
PAIRS = [f"{name}={value}" for name, value in FLIGHT.items()]


def ask(folder: Path, *words: str) -> Any:
    done = project.call("predict", *words, "-p", folder, "--json")
    assert (done.code, done.err) == (0, ""), done.out
    return done.document


def test_an_answer_is_explained(original: Path) -> None:
    answer = ask(original, *PAIRS, "--explain")
    found = answer.pop("explanation")
    assert answer == ask(original, *PAIRS)
    total = found["base"] + sum(one["contribution"] for one in found["fields"])
    assert total == pytest.approx(answer["probability"], abs=1e-9)
    assert {one["field"]: one["value"] for one in found["fields"]} == FLIGHT
    assert ask(original, json.dumps([FLIGHT]), "--explain")[0]["explanation"] == found


def test_people_read_a_table_and_sentences(original: Path) -> None:
    done = project.call("predict", *PAIRS, "-p", original, "--explain")
    answer, _, heading, *rest = done.out.splitlines()
    assert answer.endswith(", version 1.0.0)")
    assert heading.split() == ["field", "value", "points", "±"]
    assert {row.split()[0] for row in rest[:5]} == set(FLIGHT)
    assert rest[6].startswith("The probability of “late” is ")
    assert len(rest) == 6 + 2 + 5


def test_a_run_packages_rows_that_were_learned_from(original: Path) -> None:
    workspace = Workspace.open(original, create=False)
    [version] = workspace.ledger.versions("flights")
    package = ModelPackage.load(workspace.blobs.folder(version.digest))
    names = package.request.names
    with workspace.lake.connect() as connection:
        workspace.lake.bind(connection, "examples/flights", as_="examples")
        fields = ", ".join(f"request.{name}" for name in names)
        rows = connection.execute(f"select {fields} from examples where _part = 'train'").fetchall()
    assert len(package.background) == BACKGROUND_ROWS
    assert {tuple(row[name] for name in names) for row in package.background} <= set(rows)


@pytest.mark.slow
def test_histories_are_the_newest(tmp_path: Path) -> None:
    asked = [{"customer": customer, "product": 3} for customer in (100, 101, 102)]
    histories.workspace(tmp_path, {"background": asked})
    before = ask(tmp_path, "customer=103", "product=7", "--explain")["explanation"]
    histories.refresh(Workspace.open(tmp_path), 6)
    after = ask(tmp_path, "customer=103", "product=7", "--explain")["explanation"]
    assert before["base"] != after["base"]


def test_nothing_to_compare_with_is_told(tmp_path: Path) -> None:
    histories.workspace(tmp_path)
    done = project.call("predict", "customer=103", "product=7", "-p", tmp_path, "--explain")
    assert done.code == 1
    assert "nothing to compare the request with" in done.err
