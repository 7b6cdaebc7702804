"""Real blocks of 15,000 encounters: what is missing in the first three is told by name; the same rows are silent."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from relevo.definition import load
from relevo.lifecycle import run
from relevo.monitor import monitor
from relevo.workspace import Workspace
from support import project

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parents[2] / "examples" / "readmission"
BLOCK = 15_000
QUICK = (
    ('Batches("http://127.0.0.1:8100/batches/{number}")', 'Files("data/*.csv")'),
    ("from relevo import Batches, Files", "from relevo import Files"),
    ("Tuning(trials=4)", "Tuning(trials=1)"),
    ('gate=Gate(minimum={"roc_auc": 0.6}, margin=0.01)', "gate=Gate(beats_baselines=False)"),
    ('    cases="cases.csv",\n', ""),
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "RELEVO_TEST_DATA" not in os.environ, reason="RELEVO_TEST_DATA names no folder with data"
    ),
]


def _write(path: Path, header: list[str], rows: Iterable[list[str]], *, more: int = 0) -> None:
    """Write rows, as those of other stays and patients when ``more`` is added to their numbers."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows([str(int(row[0]) + more), str(int(row[1]) + more), *row[2:]] for row in rows)


def _nulls(windows: list[Any], name: str) -> set[str]:
    """The columns that are told to be missing otherwise in a file, or in its batch of examples."""
    return {
        found["about"]
        for window in windows
        if name in window.name or name in str(window.figures.get("names", {}).values())
        for found in window.findings
        if found["kind"] == "nulls"
    }


def test_the_first_three_blocks_are_told_by_name_and_the_same_rows_are_not(tmp_path: Path) -> None:
    source = Path(os.environ["RELEVO_TEST_DATA"]) / "readmission" / "diabetic_data.csv"
    with source.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    blocks = [rows[start : start + BLOCK] for start in range(0, 6 * BLOCK, BLOCK)]
    folder = tmp_path / "readmission"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns(".relevo", "data", "__pycache__"))
    project.edit(folder / "project.py", *QUICK)
    text = (folder / "project.py").read_text(encoding="utf-8")
    begin, end = text.index("        lightgbm("), text.index("    ],\n    tuning=")
    (folder / "project.py").write_text(text[:begin] + text[end:], encoding="utf-8")  # the quicker one alone
    (folder / "data").mkdir()
    for number in (5, 6):
        _write(folder / "data" / f"block{number}.csv", header, blocks[number - 1])
    definition, workspace = load(folder), Workspace.open(folder)
    assert run(definition, workspace).status == "released"

    _write(folder / "data" / "same.csv", header, blocks[4], more=10**10)
    found = monitor(definition, workspace)
    assert {window.source for window in found} == {"files", "arrivals"}
    assert [one for window in found for one in window.findings] == []

    for number in (1, 2, 3):
        _write(folder / "data" / f"block{number}.csv", header, blocks[number - 1])
    found = monitor(definition, workspace)
    for number in (1, 2, 3):
        assert {"payer_code", "medical_specialty"} <= _nulls(found, f"block{number}.csv")
