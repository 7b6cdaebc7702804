"""What is written as YAML is read back as it was, comments or not."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from relevo.export.emit import Noted, documents

SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text() | st.sampled_from(
    ["no", "1.0", "1e3", "0x1", "~", "null", "- a", "a: b", "a #b", "a\nb\n", " a\n", "a\n\n", "2026-01-01", "500m"]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=5))
def test_a_document_is_read_back_as_it_was(value: dict[str, Any]) -> None:
    assert yaml.safe_load(documents(value)) == value


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(), min_size=1), min_size=1, max_size=4))
def test_documents_follow_one_another(values: list[dict[str, Any]]) -> None:
    assert list(yaml.safe_load_all(documents(*values, head="what these are"))) == values


def test_a_reason_stands_above_its_line() -> None:
    found = documents({"a": [Noted({"b": Noted(1, "since"), "c": 2}, "a pair")], "d": Noted("x", "the last")})
    assert found == "a:\n  # a pair\n  # since\n  - b: 1\n    c: 2\n# the last\nd: x\n"
