"""Requests drawn from a contract: each field's JSON Schema becomes one call of ``random.Random``.

The same call is made here and written into the locustfile, so that both loops ask alike.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.errors import LoadTestError
from relevo.loadtest.target import ask
from relevo.texts import t

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from relevo.loadtest.target import Target

_DEEPEST = 20
_MOST_FIELDS = 10_000
_MOST_VALUES = 200
_DAYS, _MOMENTS = 60, 48
_STEP = timedelta(hours=3, minutes=25)  # 48 of them see every hour and every day of the week
_SPAN = 100
_HUGE = 1e300  # the difference of two such is a number still
_OK = 200


class Draw(NamedTuple):
    """One call of a ``random.Random``: its method's name and arguments, which ``repr`` writes as Python."""

    method: str
    arguments: tuple[Any, ...]

    def value(self, rng: random.Random) -> Any:
        """Draw."""
        return getattr(rng, self.method)(*self.arguments)


class Form(NamedTuple):
    """What is asked of the service: its title and each field's draw."""

    title: str
    fields: dict[str, Draw]

    def row(self, rng: random.Random) -> dict[str, Any]:
        """Draw one request."""
        return {name: draw.value(rng) for name, draw in self.fields.items()}


def form(target: Target) -> Form:
    """Read the service's contract from its OpenAPI document; raises ``LoadTestError``."""
    status, body = ask(target, "GET", "/openapi.json")
    try:
        document = json.loads(body, parse_float=_finite, parse_constant=_finite) if status == _OK else None
        found = _form(document, target.path) if isinstance(document, dict) else None
    except (ValueError, RecursionError):
        found = None
    if found is None:
        raise LoadTestError(
            t(
                "{url}/openapi.json ({status}) says nothing of the body of POST {path}. Give bodies with --body FILE.",
                url=target.url,
                status=status,
                path=target.path,
            )
        )
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _form(document: dict[str, Any], path: str) -> Form | None:
    content = _at(document, "paths", path, "post", "requestBody", "content", "application/json")
    row = _row(document, _at(content, "schema"), 0)
    if row is None:
        return None
    fields = row["properties"]
    if not 0 < len(fields) <= _MOST_FIELDS:
        return None
    seen = [*_listed(row.get("examples")), *_whole(content)]
    draws = {}
    for name, schema in fields.items():
        values = [one[name] for one in seen if isinstance(one, dict) and name in one]
        draws[name] = draw(_resolved(document, schema), values)
    info = _at(document, "info", "title")
    return Form(info if isinstance(info, str) else "", draws)


def _row(document: dict[str, Any], schema: Any, depth: int) -> dict[str, Any] | None:
    """The schema of one object, itself or one of those that a body may be."""
    schema = _resolved(document, schema)
    if depth > _DEEPEST:
        return None
    found: dict[str, Any] | None = schema if isinstance(schema.get("properties"), dict) else None
    if found is not None:
        return found
    for word in ("oneOf", "anyOf", "allOf"):
        for one in _listed(schema.get(word)):
            found = _row(document, one, depth + 1)
            if found is not None:
                return found
    return None


def _resolved(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    """Follow references within the document."""
    for _ in range(_DEEPEST):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        steps = [s.replace("~1", "/").replace("~0", "~") for s in reference[2:].split("/")]
        schema = _at(document, *steps)
    return schema if isinstance(schema, dict) else {}


def _whole(content: Any) -> list[Any]:
    """Whole requests among a body's examples (OpenAPI 3.1, Media Type Object)."""
    named = _at(content, "examples")
    found = [_at(content, "example")]
    found += [_at(one, "value") for one in named.values()] if isinstance(named, dict) else []
    return [row for one in found for row in (one if isinstance(one, list) else [one])]


def _at(value: Any, *steps: str) -> Any:
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def draw(schema: Mapping[str, Any], seen: Sequence[Any] = ()) -> Draw:
    """How one field is drawn: from its choices, its range, or its examples and ``seen`` with values like them."""
    if "const" in schema:
        return Draw("choice", ([schema["const"]],))
    if _listed(schema.get("enum")):
        return Draw("choice", (schema["enum"][:_MOST_VALUES],))
    kinds = schema.get("type")
    kind = next((k for k in _listed(kinds) if k != "null"), None) if isinstance(kinds, list) else kinds
    values = _distinct([*_listed(schema.get("examples")), *seen])
    nulls = [None] if isinstance(kinds, list) and "null" in kinds else []
    if kind == "boolean":
        return Draw("choice", ([False, True, *nulls],))
    if kind in ("integer", "number") and not nulls:
        return _number(schema, kind, values)
    if kind in ("integer", "number"):
        values += _few(_number(schema, kind, values), kind)
    if kind == "string":
        values = _texts(values, schema)
    return Draw("choice", ([*(_distinct(values) or [None]), *nulls],))


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Each value once (1 and true are two), in order, without null."""
    found = {json.dumps(value, sort_keys=True): value for value in values if value is not None}
    return list(found.values())[:_MOST_VALUES]


def _number(schema: Mapping[str, Any], kind: str, values: Sequence[Any]) -> Draw:
    known = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)] or [0]
    whole = kind == "integer"
    edge = 1 if whole else 1e-6
    lows = [_limit(schema, "minimum", 0), _limit(schema, "exclusiveMinimum", edge)]
    highs = [_limit(schema, "maximum", 0), _limit(schema, "exclusiveMaximum", -edge)]
    low = max((v for v in lows if v is not None), default=None)
    high = min((v for v in highs if v is not None), default=None)
    if low is None:
        low = min(*known, 0 if high is None else high)
    if high is None:
        high = max(low, *known) if len(known) >= _SPAN else max(low + _SPAN, 2 * max(known))
    if whole:
        step = schema.get("multipleOf")
        if isinstance(step, int) and step > 1:
            low, high = -(-int(low) // step), int(high) // step
            return Draw("choice", ([n * step for n in range(low, max(low, high) + 1)[:_MOST_VALUES]],))
        return Draw("randint", (int(low), max(int(low), int(high))))
    low, high = (float(min(max(v, -_HUGE), _HUGE)) for v in (low, high))
    return Draw("uniform", (low, max(low, high)))


def _limit(schema: Mapping[str, Any], word: str, edge: float) -> float | None:
    value = schema.get(word)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value + edge


def _few(number: Draw, kind: str) -> list[Any]:
    """Some numbers of a range, for a field that may be null too."""
    low, high = number.arguments if number.method != "choice" else (0, 0)
    if kind == "integer":
        return list(range(low, high + 1, max(1, (high - low) // _MOMENTS)))
    return [low + (high - low) * n / _MOMENTS for n in range(_MOMENTS + 1)]


def _texts(values: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Examples, and of dates and times also those that follow; with a pattern only what is known to fit it."""
    found = list(values)
    for value in values[:3] if "pattern" not in schema else ():
        found += _later(value) if isinstance(value, str) else []
    return found


def _later(text: str) -> list[str]:
    try:
        if len(text) == len("2017-01-31"):
            day = date.fromisoformat(text)
            return [str(day + timedelta(days=n)) for n in range(1, _DAYS)]
        moment = datetime.fromisoformat(text)
        blank = "T" if "T" in text else " "
        return [(moment + n * _STEP).isoformat(blank) for n in range(1, _MOMENTS)]
    except (ValueError, OverflowError):
        return []
