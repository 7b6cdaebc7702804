"""``POST /v1/predict?log=false``: answers that leave no trace, for those who watch the service.

The champion answers them as it does all others, from the same histories, but they are in no log, and in none of the
counts that say how the model fares. They need the scope ``read`` besides: who may only ask is always logged.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from relevo.defects import SHOWN, Defect
from relevo.serving.problems import Refusal
from relevo.serving.turns import CHUNK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.serving.callers import Caller
    from relevo.serving.ids import Ids
    from relevo.serving.metrics import Metrics
    from relevo.serving.served import Row, Served

SCOPE = "read"
_TRUTH = {"true": False, "false": True}
_LONGEST_QUERY = 2000


def wanted(query: bytes, caller: Caller) -> bool:
    """Whether a query string asks not to be logged; raises ``Refusal`` when that is unclear, or not for this caller."""
    given = parse_qs(query[:_LONGEST_QUERY].decode("latin-1"), keep_blank_values=True)
    log = given.get("log")
    if log is None:
        return False
    if len(log) > 1 or log[0] not in _TRUTH:
        raise Refusal("contract", defects=[Defect(None, "log", "truth", {})])
    if _TRUTH[log[0]] and not caller.may(SCOPE):
        raise Refusal("scope", scope=SCOPE)
    return _TRUTH[log[0]]


async def answer(served: Served, received: Any, metrics: Metrics, ids: Ids) -> bytes:
    """Answer a row or a list of rows, each with an id that is in no log; raises ``Refusal``."""
    rows = received if type(received) is list else [received]
    features = await _features(served, rows, metrics, alone=type(received) is not list)
    answers: list[bytes] = []
    for start in range(0, len(features), CHUNK):
        answers += told(served, features[start : start + CHUNK], ids)
        await asyncio.sleep(0)
    lost = [Defect(number, "body", "probability", {}) for number, one in enumerate(answers) if not one]
    if lost:
        raise Refusal("contract", defects=lost[:SHOWN], more=len(lost) > SHOWN)
    return b"[%b]" % b",".join(answers) if type(received) is list else answers[0]


async def _features(served: Served, rows: Sequence[Any], metrics: Metrics, *, alone: bool) -> list[Row]:
    if not rows:
        raise Refusal("contract", defects=[Defect(None, "body", "empty", {})])
    found: list[Row] = []
    defects: list[Defect] = []
    for number, row in enumerate(rows):
        if number % CHUNK == CHUNK - 1:
            await asyncio.sleep(0)
        try:
            place = None if alone else number
            with served.uncounted():
                found.append(served.features(row, metrics, place, aside=True, counted=False))
        except Refusal as refusal:
            defects += refusal.defects
            if len(defects) > SHOWN:
                break
    if defects:
        raise Refusal("contract", defects=defects[:SHOWN], more=len(defects) > SHOWN)
    return found


def told(served: Served, rows: Sequence[Row], ids: Ids) -> list[bytes]:
    """The answers' JSON, each with an id that is in no log; empty without a probability."""
    package, dumps = served.package, orjson.dumps
    with served.uncounted():
        found = package.answers(rows)
    return [
        b'{"id":"%b","probability":%b%b' % (identity, dumps(p), served.ends[p >= package.threshold])
        if p == p  # noqa: PLR0124 - NaN
        else b""
        for identity, p in zip(ids.take(len(found))[0], found, strict=True)
    ]
