"""docs/features-sql.md lists what the compiler supports, no more and no less."""

import re
from pathlib import Path

from relevo.sql import SUPPORTED
from relevo.sql.dates import STRFTIME_CODES

PAGE = (Path(__file__).parents[2] / "docs" / "features-sql.md").read_text(encoding="utf-8")


def test_every_function_is_on_the_page() -> None:
    section = PAGE.split("## Functions")[1].split("`date_part` and `extract`")[0]
    named = set(re.findall(r"`([a-z_0-9]+)[(`]", section))
    assert named == {name for function in SUPPORTED for name in function.names}


def test_every_format_code_is_on_the_page() -> None:
    codes = PAGE.split("`strftime` takes `")[1].split("`")[0].split()
    assert set(codes) == {f"%{code}" for code in STRFTIME_CODES}
