"""The page of each of the four examples in a browser: asked, answered, with a file in and out."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from relevo.collect import collect
from relevo.workspace import Workspace
from support import browsing, example, paging, project, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from support.browsing import Visit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="Chromium is not installed"),
]
VERSION = "Answered by version 1.0.0."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as running:
        yield running


def rows(name: str) -> list[dict[str, str]]:
    """Two requests, the second of which breaks the contract."""
    requests: dict[str, dict[str, Any]] = {
        "flights": {"Fecha-I": "2017-07-14 19:35:00", "Des-I": "SCFA", "Emp-I": "SKU", "TIPOVUELO": "N"},
        "readmission": {
            "age": "[70-80)", "admission_type_id": 1, "discharge_disposition_id": 1, "admission_source_id": 7,
            "time_in_hospital": 4, "num_lab_procedures": 43, "num_procedures": 1, "num_medications": 15,
            "number_outpatient": 0, "number_emergency": 0, "number_inpatient": 0, "number_diagnoses": 9,
        },
        "reggaeton": {
            "danceability": 0.61, "energy": 0.88, "speechiness": 0.06, "acousticness": 0.1,
            "valence": 0.46, "tempo": 95.02, "loudness": -4.43,
        },
        "sodai": {"customer_id": 181696, "product_id": 31036},
    }  # fmt: skip
    good = requests[name]
    return [good, good | {next(iter(good)): "nonsense"}]


def written(name: str, folder: Path) -> Path:
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as out:
        table = csv.DictWriter(out, rows(name)[0])
        table.writeheader()
        table.writerows(rows(name))
    return path


def batch(visit: Visit, name: str, folder: Path) -> None:
    """A file goes in; it comes out with an answer or a problem for each row."""
    visit.tab("A file")
    visit.score(written(name, folder))
    visit.says("scored", "2 rows, 1 of them refused.")
    found = visit.download(folder)
    assert found.name == f"{name}-scored.csv"
    with found.open(newline="") as table:
        first, second = csv.DictReader(table)
    assert (first["version"], first["error"]) == ("1.0.0", "")
    assert 0 <= float(first["probability"]) <= 1
    assert second["probability"] == ""
    assert next(iter(rows(name)[0])) in second["error"]


def answered(visit: Visit) -> str:
    """The answer's words; nothing was asked of another machine, and no script failed."""
    visit.says("answer", VERSION)
    said = visit.text("answer")
    assert (visit.elsewhere, visit.said) == ([], [])
    return said


def flights(visit: Visit, url: str) -> None:
    """Filled by hand: texts, a date and time, a list; what may be left empty is."""
    visit.open(url)
    visit.fill(0, "2017-07-14 19:35:00")
    visit.fill(2, "SCFA")
    visit.fill(3, "SKU")
    visit.choose(4, "N")
    visit.ask()
    said = answered(visit)
    assert "The probability of “late” is" in said
    assert visit.text("decision") in ("late", "on time")
    visit.says("explanation", "Fecha-I")


def readmission(visit: Visit, url: str) -> None:
    """One of the package's own requests, with a field that is wrong by hand."""
    visit.open(url)
    visit.example(2)
    visit.choose(2, "—")
    visit.ask()
    visit.says("answer", "The request breaks the contract.")
    visit.says("problem-2", "is required and absent.")
    visit.choose(2, "[60-70)")
    visit.ask()
    assert "The probability of “readmitted” is" in answered(visit)
    assert not visit.page.is_visible("#problem-2")


def reggaeton(visit: Visit, url: str) -> None:
    """Sliders and numbers that may be left empty."""
    visit.open(url)
    visit.page.locator("#field-5 input[type=number]").fill("95.02")
    visit.fill(9, "10")
    visit.ask()
    visit.says("problem-9", "must be from 1000 to 1800000.")
    visit.fill(9, "")
    visit.ask()
    assert "The probability of “reggaeton” is" in answered(visit)
    visit.says("explanation", "95.02")


def sodai(visit: Visit, url: str) -> None:
    """A customer is chosen; five products come, the likeliest first."""
    visit.open(url)
    visit.page.locator("#recommend-for input").fill("nobody")
    visit.page.locator("#recommend-for input").blur()
    visit.ask("recommend")
    visit.says("recommend-problem", "must be a whole number.")
    visit.page.locator("#recommend-for input").click()
    visit.page.get_by_role("option").nth(1).click()
    visit.ask("recommend")
    visit.says("recommendations", VERSION)
    table = visit.page.locator("#recommended tr").all_inner_texts()[1:]
    assert len(table) == 5
    shares = [float(line.split("\t")[2].rstrip("%")) for line in table]
    assert shares == sorted(shares, reverse=True)
    visit.tab("One prediction")
    visit.example(0)
    visit.ask()
    assert "The probability of “buys” is" in answered(visit)


def logged(folder: Path) -> list[tuple[str | None, int]]:
    """How many predictions came by which page."""
    collect(Workspace.open(folder))
    done = project.call("sql", "select via, count(*) n from predictions group by via", "-p", folder, "--json")
    return [(row["via"], row["n"]) for row in json.loads(done.out)]


@pytest.mark.parametrize(
    ("name", "told"), [("reggaeton", reggaeton), ("sodai", sodai)], ids=["reggaeton", "sodai"]
)
def test_a_page_that_answers_itself(
    name: str, told: Callable[[Visit, str], None], browser: Browser, tmp_path: Path
) -> None:
    """The predictions are logged like a service's, marked as the page's."""
    folder = example.made(name, tmp_path)
    with paging.shown(tmp_path / "said.txt", str(folder)) as url, browsing.visiting(browser) as visit:
        told(visit, url)
        batch(visit, name, tmp_path)
    ((via, count),) = logged(folder)
    assert via == "gradio"
    assert count >= 2


def test_a_page_of_a_service(browser: Browser, tmp_path: Path) -> None:
    folder = example.made("readmission", tmp_path)
    running = service.start(folder)
    try:
        with (
            paging.shown(tmp_path / "said.txt", "--url", running.url) as url,
            browsing.visiting(browser) as visit,
        ):
            readmission(visit, url)
            batch(visit, "readmission", tmp_path)
    finally:
        assert running.stop() == 0
    assert logged(folder) == [(None, 2)]


def test_a_page_within_a_service(browser: Browser, tmp_path: Path) -> None:
    folder = example.made("flights", tmp_path)
    running = service.start(folder, "--gradio")
    try:
        with browsing.visiting(browser) as visit:
            flights(visit, f"{running.url}/gradio")
            batch(visit, "flights", tmp_path)
    finally:
        assert running.stop() == 0
    assert logged(folder) == [("gradio", 2)]
