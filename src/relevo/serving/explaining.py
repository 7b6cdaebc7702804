"""``POST /v1/explain`` and ``POST /v1/predict?explain=true``: answers with what each field of the request adds.

One explanation is worked on at a time, in steps of about 2 ms between which other requests are answered; all
rows of a list are explained by the version and the histories that answered when the request came.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from relevo import explanation
from relevo.defects import SHOWN, Defect
from relevo.errors import DataError
from relevo.explanation import Reference, sentences
from relevo.serving import unlogged
from relevo.serving.problems import Refusal, language
from relevo.serving.reading import one_line, parse
from relevo.texts import speaking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Scope

    from relevo.explanation import Explanation
    from relevo.serving.predict import Predict
    from relevo.serving.served import Row, Served

    Asked = tuple[int | None, Mapping[str, Any], Row]  # place in a list, the valid request, its features

MOST = 16
"""Rows that are explained in one request."""
WAITING = 64
"""Requests for explanations that may wait for one another: some seconds' worth of short lists."""
_TRUTH = {"true": True, "false": False}
_LONGEST_QUERY = 2000


class Explainer:
    """The routes, over what ``predict`` serves."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._served: Served | None = None
        self._reference: Reference | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def asked(self, body: bytes, scope: Scope) -> bytes:
        """Explain a row or a list of rows as JSON without logging a prediction; raises ``Refusal``."""
        served = self._predict.serving()
        received = parse(body)
        found, _ = await self._explained(served, received, counted=False)
        return _written([_answer(served, one) for one in found], found, received, language(scope["headers"]))

    async def predicted(self, body: bytes, code: str, *, silent: bool) -> bytes:
        """Answer as predict does, and explain each answer; raises ``Refusal``, and then logs nothing.

        The answers are logged and counted, but where they are ``silent``.
        """
        served = self._predict.serving()
        received = parse(body)
        found, rows = await self._explained(served, received, counted=not silent)
        if silent:
            return _written(unlogged.told(served, rows, self._predict.ids), found, received, code)
        requests = [orjson.dumps(row) for row in received] if type(received) is list else [one_line(body)]
        probabilities = [one.probability for one in found]
        answers = self._predict.logged(served, rows, probabilities, requests, served.ends)
        return _written(answers, found, received, code)

    async def _explained(
        self, served: Served, received: Any, *, counted: bool
    ) -> tuple[list[Explanation], list[Row]]:
        with nullcontext() if counted else served.uncounted():
            asked = self._asked(served, received, counted=counted)
        if self._waiting >= WAITING:
            raise Refusal("busy")
        self._waiting += 1
        found = []
        try:
            async with self._turn:
                for _, row, features in asked:
                    await asyncio.sleep(0)
                    found.append(await self._one(served, row, features))
        finally:
            self._waiting -= 1
        return found, [features for _, _, features in asked]

    def _asked(self, served: Served, received: Any, *, counted: bool) -> list[Asked]:
        """What is to be explained, all of which has a probability; raises ``Refusal``."""
        rows = received if type(received) is list else [received]
        if len(rows) > MOST:
            raise Refusal("too-many-rows", limit=MOST)
        asked: list[Asked] = []
        defects = [] if rows else [Defect(None, "body", "empty", {})]
        for place, one in enumerate(rows):
            number = place if type(received) is list else None
            try:
                features = served.features(one, self._predict.metrics, number, aside=True, counted=counted)
            except Refusal as refusal:
                defects += refusal.defects
                continue
            asked.append((number, served.package.validators.one.validate_python(one), features))
        if defects:
            raise Refusal("contract", defects=defects[:SHOWN], more=len(defects) > SHOWN)
        _check(served, asked, counted=counted)
        return asked

    async def _one(self, served: Served, row: Mapping[str, Any], features: Row) -> Explanation:
        with served.uncounted():  # nobody asks composed requests
            walk = explanation.steps(self._of(served), row, features)
        while True:
            with served.uncounted():
                try:
                    next(walk)
                except StopIteration as end:
                    found: Explanation = end.value
                    return found
                except DataError:
                    raise Refusal("no-reference") from None
            await asyncio.sleep(0)

    def _of(self, served: Served) -> Reference:
        """What is compared with, made once for what answers."""
        if self._reference is None or self._served is not served:
            self._reference = Reference(served.package, {**served.package.static, **served.histories})
            self._served = served
        return self._reference


def wanted(query: bytes) -> bool:
    """Whether a query string asks for explanations; raises ``Refusal`` when it says neither yes nor no."""
    given = parse_qs(query[:_LONGEST_QUERY].decode("latin-1"), keep_blank_values=True).get("explain")
    if given is None:
        return False
    if len(given) > 1 or given[0] not in _TRUTH:
        raise Refusal("contract", defects=[Defect(None, "explain", "truth", {})])
    return _TRUTH[given[0]]


def _check(served: Served, asked: Sequence[Asked], *, counted: bool) -> None:
    """Raise ``Refusal`` where the model has no probability."""
    score = served.score if counted else served.package.answers
    found = score([features for _, _, features in asked])
    lost = [
        Defect(number, "body", "probability", {})
        for (number, _, _), probability in zip(asked, found, strict=True)
        if math.isnan(probability)
    ]
    if lost:
        served.live.failed += len(lost) * counted
        raise Refusal("contract", defects=lost)


def _answer(served: Served, one: Explanation) -> bytes:
    decision = one.probability >= served.package.threshold
    answer = {
        "probability": one.probability,
        "decision": decision,
        "label": one.labels[decision],
        "threshold": served.package.threshold,
        "version": served.version.version,
    }
    return orjson.dumps(answer)


def _written(answers: Sequence[bytes], found: Sequence[Explanation], received: Any, code: str) -> bytes:
    with speaking(code):
        shown = [orjson.dumps(sentences.document(one)) for one in found]
    whole = [b'%b,"explanation":%b}' % (answer[:-1], one) for answer, one in zip(answers, shown, strict=True)]
    return b"[%b]" % b",".join(whole) if type(received) is list else whole[0]
