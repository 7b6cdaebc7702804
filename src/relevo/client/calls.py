"""What is sent for each question, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson

from relevo.client import answers
from relevo.client.answers import Answer, Kept, Label, Recommended
from relevo.errors import RequestError
from relevo.texts import t

T = TypeVar("T")
Row = Mapping[str, Any]
_READY, _NOT_READY = 200, 503


@dataclass(frozen=True)
class Call(Generic[T]):
    """One question. ``safe`` says that asking it twice does no more than asking it once."""

    method: str
    path: str
    read: Callable[[Any], T]
    safe: bool
    query: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    accepted: tuple[int, ...] = (_READY,)
    """Statuses that are an answer; ``read`` is given the body of 200 and 201, and None of others."""


def predict(rows: Row | Sequence[Row], *, repeat: bool, explain: bool = False, log: bool = True) -> Call[Any]:
    """Ask for one answer, or for a list of them; ``repeat`` allows a prediction to be logged twice.

    Only an explanation may be had without ``log``.
    """
    one = isinstance(rows, Mapping)
    try:
        given: Any = rows if one else list(rows)
    except TypeError as error:
        problem = t("it is neither a row nor a list of rows.")
        raise RequestError([{"field": "body", "problem": problem}]) from error

    def read(found: Any) -> Answer | list[Answer]:
        if one:
            return answers.answer(found, logged=log)
        return answers.answers(found, len(given), logged=log)

    if not log:
        return Call("POST", "/v1/explain", read, safe=True, body=_json(given))
    query = {"explain": "true"} if explain else {}
    return Call("POST", "/v1/predict", read, safe=repeat, query=query, body=_json(given))


def recommend(identity: object, k: int | None, *, repeat: bool) -> Call[list[Recommended]]:
    """Ask for the likeliest items; what is recommended is logged as predictions are."""
    text = str(identity).lower() if isinstance(identity, bool) else str(identity)
    query = {} if k is None else {"k": str(k)}
    path = f"/v1/recommend/{quote(text, safe='')}"
    return Call("GET", path, answers.recommended, safe=repeat, query=query)


def label(labels: Iterable[Label | Row]) -> Call[list[Kept]]:
    """Tell outcomes; the service takes the same one twice as one."""
    given = [one.plain() if isinstance(one, Label) else dict(one) for one in labels]
    return Call(
        "POST", "/v1/labels", lambda found: answers.kept(found, len(given)), safe=True, body=_json(given)
    )


def model() -> Call[dict[str, Any]]:
    """Ask for the version that answers."""
    return Call("GET", "/v1/model", answers.document, safe=True)


def ready() -> Call[bool]:
    """Ask whether there is a version that answers."""
    return Call("GET", "/ready", lambda found: found is not None, safe=True, accepted=(_READY, _NOT_READY))


def _json(value: Any) -> bytes:
    """Write JSON: dates and times as ISO 8601, NumPy's and decimal numbers as numbers, NaN and infinities as null.

    Raises ``RequestError`` naming the field, and the row of several, that is none of these.
    """
    try:
        return orjson.dumps(value, _plain, orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        found = _culprit(value)
        problem = t("it cannot be JSON ({error}).", error=error)
        raise RequestError([{"field": found or "body", "problem": problem}]) from error


def _plain(value: object) -> Any:
    """What orjson does not know: subclasses of dates and times, as pandas has them, and decimal numbers."""
    if isinstance(value, date):
        return value.isoformat() if value == value else None  # noqa: PLR0124 - NaT is no time
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)


def _culprit(value: Any) -> str:
    """The first field that cannot be JSON, with its row in a list; empty when that cannot be said."""
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows):
        for name, one in row.items() if isinstance(row, Mapping) else ():
            try:
                orjson.dumps({name: one}, _plain, orjson.OPT_SERIALIZE_NUMPY)
            except TypeError:
                return f"[{number}].{name}" if isinstance(value, list) else str(name)
    return ""
