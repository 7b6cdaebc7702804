"""``drift`` as it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from support import project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    generator = np.random.default_rng(1)
    for name, null in (("before", 0.4), ("after", 0.8)):
        codes = np.where(generator.random(2_000) < null, "", generator.choice(["MC", "HM"], 2_000))
        lines = [
            f"{code},{age:.2f},{day}"
            for code, age, day in zip(codes, generator.normal(50, 9, 2_000), range(2_000), strict=True)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["payer_code,age,number", *lines]) + "\n")
    return tmp_path


def test_the_columns_that_moved_most_come_first(made: Path) -> None:
    done = project.call("drift", made / "before.csv", made / "after.csv")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("2,000 rows of ")
    assert lines[2].split()[0] == "payer_code"
    assert "“null” " in lines[2]


def test_the_document_is_a_windows_signals(made: Path) -> None:
    words = ("drift", made / "before.csv", made / "after.csv", "--columns", "age, payer_code", "--json")
    found = project.call(*words).document
    assert list(found["signals"]) == ["payer_code", "age"]
    assert found["signals"]["payer_code"]["tv"]["low"] > 0.3
    assert found["signals"]["age"]["p"] > 0.001


def test_fewer_columns_are_shown(made: Path) -> None:
    done = project.call("drift", made / "before.csv", made / "after.csv", "--top", "1")
    assert len(done.out.splitlines()) == 4
    assert "2 more moved less; --top shows them." in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("before.csv", "none.csv"), "none.csv: there is no such file or folder. Check the path."),
        (
            ("before.csv", "after.csv", "--columns", "ages"),
            "has no column “ages”. Its columns are: payer_code, age, number.",
        ),
    ],
)
def test_mistakes_are_named(made: Path, words: tuple[str, ...], said: str) -> None:
    paths = [made / word if word.endswith(".csv") else word for word in words]
    done = project.call("drift", *paths)
    assert done.code == 1
    assert said in done.err
    assert "Traceback" not in done.err
