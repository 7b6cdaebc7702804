"""What schemathesis must be told to make cases of: times without a zone, and bodies that are no JSON.

Loaded by its command through SCHEMATHESIS_HOOKS.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import strategies as st

from relevo.arrow import END, Column, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

FIELDS = ("Fecha-I", "Vlo-I", "Des-I", "Emp-I", "TIPOVUELO")
"""Of the flights project, whose service is asked."""
TEXTS = st.one_of(
    st.none(), st.text(max_size=8), st.sampled_from(["SCFA", "SKU", "LAN", "N", "I", "2017-07-14 19:35:00"])
)


@schemathesis.serializer("text/csv", "application/jsonl", "application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """Send a text as it is, and anything else as its text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


def stream(rows: Sequence[Sequence[str | None]]) -> bytes:
    """Write rows of the project's fields as an Arrow stream."""
    writer = Writer([Column(name, "text") for name in FIELDS])
    return writer.head() + (writer.batch([*zip(*rows, strict=True)]) if rows else b"") + END


schemathesis.openapi.media_type(
    "application/vnd.apache.arrow.stream",
    st.lists(st.tuples(*[TEXTS] * len(FIELDS)), max_size=20).map(stream),
)
schemathesis.openapi.format(
    "date-time-local",
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: moment.isoformat()),
)
