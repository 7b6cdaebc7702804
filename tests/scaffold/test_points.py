"""Points between thousands, where commas are decimal, and points that are decimal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support import tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relevo.scaffold import Found


def amounts(
    folder: Path,
    cell: Callable[[tables.Row], Any],
    *,
    delimiter: str = ";",
    **more: Callable[[tables.Row], Any],
) -> Found:
    source = tables.write(
        folder / "rows.csv",
        ["age", "amount", *more, "left"],
        lambda row: [row["age"], cell(row), *(give(row) for give in more.values()), int(row["leaves"])],
        delimiter=delimiter,
    )
    return tables.made(source)[0]


def pesos(row: tables.Row) -> str:
    """From 90 to three million, most of them with one point."""
    return f"{90 + row['number'] * 13 * (400 if row['number'] % 7 == 0 else 1):,}".replace(",", ".")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_points_part_thousands(tmp_path: Path, delimiter: str) -> None:
    found = amounts(tmp_path, pesos, delimiter=delimiter)
    column = found.all[1]
    assert (column.type, column.form.name if column.form else "") == ("text", "1.234,5")
    (said,) = found.kept_words
    assert "in amount is taken for 1" in said
    written = (tmp_path / "made_rows" / "project.py").read_text(encoding="utf-8")
    assert "with points between" in written
    assert "replace(replace(amount, '.', ''), ',', '.')" in (
        tmp_path / "made_rows" / "features.sql"
    ).read_text(encoding="utf-8")


def test_round_thousands_nulls_and_a_mistake(tmp_path: Path) -> None:
    def cell(row: tables.Row) -> str:
        if row["number"] == 77:
            return "much"
        return "s/d" if row["number"] % 5 == 0 else f"{row['number'] + 1}.000"

    found = amounts(tmp_path, cell)
    column = found.all[1]
    assert column.form is not None
    assert (found.nulls, column.strays, column.stray) == (("s/d",), 1, "much")


@pytest.mark.parametrize(
    "cell",
    [
        lambda row: f"{row['income'] / 100:.2f}",
        lambda row: f"{row['random']:.3f}",  # 0.123 parts no thousands
        lambda row: f"{2 * row['random']:.3f}",
        lambda row: "1.500" if row["number"] == 9 else 100 + row["number"],  # one alone
    ],
)
def test_points_that_are_decimal(tmp_path: Path, cell: Callable[[tables.Row], Any]) -> None:
    found = amounts(tmp_path, cell)
    assert (found.all[1].type, found.kept_words) == ("double", ())


def test_another_column_with_decimal_points_tells_what_points_are(tmp_path: Path) -> None:
    found = amounts(
        tmp_path, lambda row: f"{1 + row['number']}.500", share=lambda row: round(row["random"], 2)
    )
    assert [column.form for column in found.all] == [None] * 4


def test_where_commas_part_cells_points_are_decimal(tmp_path: Path) -> None:
    found = amounts(tmp_path, lambda row: f"{1 + row['number']}.500", delimiter=",")
    assert (found.all[1].type, found.kept_words) == ("double", ())


def test_numbers_that_are_codes_stay_texts(tmp_path: Path) -> None:
    found = amounts(tmp_path, lambda row: "007" if row["number"] == 9 else f"{1 + row['number']}.500")
    assert found.kept_words == ()
