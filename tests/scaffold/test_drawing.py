"""A random split is written so that the first run takes it, and no id is waved through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from relevo import GroupSplit, StratifiedSplit, examples
from relevo.errors import DataError
from relevo.split import unexplained
from support import bare, tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relevo.definition import Definition


def drawn(definition: Definition, folder: Path) -> None:
    """Take the steps of a run up to the examples."""
    lake, clean = bare.cleaned(definition, folder)
    examples.make(definition, lake, clean)


@pytest.mark.parametrize(
    ("header", "cell", "said"),
    [
        ("price", lambda row: f"{row['number'] % 300 / 2:.2f}".replace(".", ","), "numbers or dates"),
        ("ticket price", lambda row: f"{row['number'] % 300 / 2:.2f}".replace(".", ","), "numbers or dates"),
        (
            "born",
            lambda row: f"{10 + row['number'] % 12}/09/{1800 + row['number'] % 300}",
            "numbers or dates",
        ),
        ("signed", lambda row: f"{row['at']:%m/%d/%Y}", "numbers or dates"),
        ("seen", lambda row: f"{row['at']:%d/%m/%Y} 10:00", "numbers or dates"),
        ("at", lambda row: f"{row['at']:%Y-%m-%d}T10:00:00-03:00", "numbers or dates"),
        ("zip", lambda row: 7000 + row["number"] % 300, "categories"),
        ("town", lambda row: f"town {row['number'] % 300}", "categories"),
    ],
)
def test_numbers_dates_and_categories_that_come_again_are_explained(
    tmp_path: Path, header: str, cell: Callable[[tables.Row], Any], said: str
) -> None:
    source = tables.write(
        tmp_path / "rows.csv",
        ["age", header, "left"],
        lambda row: [row["age"], cell(row), int(row["leaves"])],
        delimiter=";",
    )
    found, definition = tables.made(source)
    split = definition.project.split
    assert isinstance(split, StratifiedSplit)
    assert f"{definition.request.names[1]}: " in split.because
    assert said in split.because
    assert any("write GroupSplit" in why for why in found.cut.why) == (said == "categories")
    drawn(definition, tmp_path)


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("cliente", lambda row: f"Ana Soto {row['number'] % 300}"),
        ("matricula", lambda row: f"K{row['number'] % 300}"),
        (
            "mail",
            lambda row: (
                f"{'abcdefghijkl'[row['number'] % 12]}@{'klmnopqrstuvwxyz' * (1 + row['number'] % 25)}"
            ),
        ),
        ("nro socio", lambda row: f"{12000 + row['number'] % 300:,}".replace(",", ".")),
        ("patient", lambda row: "" if row["number"] % 9 == 0 else row["number"] % 280),
    ],
)
def test_what_may_be_an_id_is_left_to_a_person(
    tmp_path: Path, header: str, cell: Callable[[tables.Row], Any]
) -> None:
    """Only the run may be told why chance is right, and it says what to write."""
    source = tables.write(
        tmp_path / "rows.csv",
        ["age", header, "born", "left"],
        lambda row: [row["age"], cell(row), f"{row['at']:%d/%m/%Y}", int(row["leaves"])],
        delimiter=";",
    )
    found, definition = tables.made(source)
    assert unexplained(definition.project.split)
    assert any(f"“{header}” comes again and may be an id" in why for why in found.cut.why)
    with pytest.raises(DataError, match=r"from relevo import GroupSplit\).* in 3 words or more"):
        drawn(definition, tmp_path)


def test_an_id_that_comes_again_is_split_by(tmp_path: Path) -> None:
    source = tables.plain(
        tmp_path / "rows.csv",
        patient_nbr=lambda row: row["number"] % 300,
        born=lambda row: f"{row['at']:%d/%m/%Y}",
    )
    _, definition = tables.made(source)
    assert definition.project.split == GroupSplit("patient_nbr")
    drawn(definition, tmp_path)


def test_copies_of_a_row_need_no_word(tmp_path: Path) -> None:
    """Each value stands in one row only, written twice: the run does not ask, so nothing is said."""
    rows = [row for row in tables.customers() for _ in range(2)]
    source = tables.write(
        tmp_path / "rows.csv",
        ["age", "price", "left"],
        lambda row: [row["age"], f"{row['number']},5", int(row["leaves"])],
        rows=rows,
        delimiter=";",
    )
    _, definition = tables.made(source)
    assert definition.project.split == StratifiedSplit()
    drawn(definition, tmp_path)
