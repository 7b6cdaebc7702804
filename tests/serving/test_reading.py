"""Bodies are read as JSON that no two readers could understand differently."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevo.serving.problems import Refusal
from relevo.serving.reading import one_line, parse

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
ROWS = st.dictionaries(
    st.text(), VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(), VALUES, max_size=2)
)


@given(ROWS | st.lists(ROWS, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_sound_json_is_read_as_it_is(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse(text.encode()) == value


@given(ROWS.filter(bool), VALUES, st.data())
def test_a_name_given_twice_is_always_found(
    row: dict[str, object], value: object, data: st.DataObject
) -> None:
    again = data.draw(st.sampled_from(sorted(row)))
    blank = data.draw(st.sampled_from(["", " ", "\n\t"]))
    body = json.dumps(row)[:-1] + f",{json.dumps(again)}{blank}:{blank}{json.dumps(value)}}}"
    for text in (body, f"[{body}]", f"[{{}},{body}]"):
        with pytest.raises(Refusal) as caught:
            parse(text.encode())
        assert caught.value.kind == "duplicate-field"


@given(ROWS)
def test_a_body_on_one_line_is_the_same_body(row: dict[str, object]) -> None:
    pretty = json.dumps(row, indent=1).replace("\n", "\r\n").encode()
    assert b"\n" not in one_line(pretty)
    assert json.loads(one_line(pretty)) == row
