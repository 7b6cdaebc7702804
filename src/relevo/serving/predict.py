"""``POST /v1/predict`` as a raw ASGI application: bytes in, bytes out, nothing between.

Single requests that arrive one after the other share one call of the model and one write of the journal:
they are gathered turn by turn of the event loop for as long as more are coming, which takes microseconds. A
request that is alone waits for nobody. What is answered was logged before.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from relevo.defects import SHOWN, Defect
from relevo.errors import WorkspaceError
from relevo.serving import problems
from relevo.serving.canary import CHUNK
from relevo.serving.ids import Ids
from relevo.serving.problems import Refusal
from relevo.serving.reading import one_line, parse

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from starlette.types import Receive, Scope, Send

    from relevo.journal import Journal
    from relevo.serving.canary import Canary
    from relevo.serving.metrics import Metrics
    from relevo.serving.served import Row, Served

MAX_BODY = 1 << 20
MAX_ROWS = 10_000
_JSON = b"application/json"
_ANSWER = (b"content-type", _JSON)
_PROBLEM = (b"content-type", b"application/problem+json")
_RETRY = (b"retry-after", b"5")
_UNAVAILABLE = 503
_ENOUGH = 64  # single requests that are answered together without a further look
_LINGER = 64 << 20  # bytes of a body too large that are read away, so that its sender hears the answer
_LINGER_SECONDS = 10
_OPEN = b""  # the place of an answer to come
_log = logging.getLogger(__name__)


class _Turn:
    """Single requests answered together; ``done`` is set when ``answers`` holds one for each."""

    __slots__ = ("answers", "bodies", "done")

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.bodies: list[bytes] = []
        self.answers: list[bytes | Exception] = []


class Predict:
    """The route. ``served`` is what answers, None before there is a champion; change it with ``swap``.

    ``in_flight`` holds the requests under way in this process, if the HTTP server tells: it lets a request
    that is alone be answered at once.
    """

    def __init__(
        self,
        journal: Journal,
        metrics: Metrics,
        *,
        project: str,
        alias: str,
        max_body: int = MAX_BODY,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self.served: Served | None = None
        self.canary: Canary | None = None
        self.in_flight: Sized | None = None
        self._journal = journal
        self._metrics = metrics
        self._project, self._alias = project, alias
        self._max_body, self._max_rows = max_body, max_rows
        self._ids = Ids()
        self._turn: _Turn | None = None

    def attempt(self, canary: Canary | None) -> None:
        """Let a canary answer its share from the next request on, or none any more."""
        self.canary = canary
        if canary is not None:
            key = canary.served.version.version, canary.served.package.labels
            canary.served.decided = self._metrics.predictions.setdefault(key, canary.served.decided)
        self._metrics.tally.assign(self.served, canary)

    def swap(self, served: Served) -> None:
        """Let another version, or the same with other histories, answer from the next request on."""
        key = served.version.version, served.package.labels
        served.decided = self._metrics.predictions.setdefault(key, served.decided)
        for name, file in served.histories.items():
            file.misses = self._metrics.missing.setdefault(name, file.misses)
        self.served = served
        self._metrics.tally.assign(served, self.canary)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = perf_counter()
        status, kind = 200, _ANSWER
        try:
            answer = await self._answer(scope, receive)
        except Refusal as refusal:
            status, answer = self.refuse(refusal, scope)
            kind = _PROBLEM
            if refusal.kind == "too-large":
                await _read_away(receive)
        except Exception:  # noqa: BLE001 - logged with its traceback; the caller is told its number
            status, answer = self.fail(scope)
            kind = _PROBLEM
        if answer is None:
            return  # the caller went away
        self._metrics.answered(status, perf_counter() - started)
        headers = [kind, (b"content-length", b"%d" % len(answer))]
        if status == _UNAVAILABLE:
            headers.append(_RETRY)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, scope: Scope, receive: Receive) -> bytes | None:
        self._check_headers(scope["headers"])
        message = await receive()
        body = message.get("body")
        if message.get("more_body"):
            body = await self._rest(message["body"], receive)
        if body is None:
            return None
        if body[:1] != b"{":
            received = parse(body)
            if type(received) is list:
                return await self._many(received)
        if self._turn is None and self.in_flight is not None and len(self.in_flight) <= 1:
            answer = self._shared([body])[0]
        else:
            turn = self._join(body)
            place = len(turn.bodies) - 1
            await turn.done
            answer = turn.answers[place]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        declared = False
        for name, value in headers:
            if name == b"content-type":
                declared = value == _JSON or value.partition(b";")[0].strip().lower() == _JSON
            elif name == b"content-length":
                if int(value) > self._max_body:
                    raise Refusal("too-large", limit=self._max_body)
            elif name == b"content-encoding" and value.strip().lower() != b"identity":
                raise Refusal("content-type")
        if not declared:
            raise Refusal("content-type")

    async def _rest(self, body: bytes, receive: Receive) -> bytes | None:
        """Read the rest of a body that comes in pieces; None when the caller goes away meanwhile."""
        pieces, size = [body], len(body)
        while size <= self._max_body:
            message = await receive()
            if message["type"] != "http.request":
                return None
            pieces.append(message["body"])
            size += len(message["body"])
            if not message.get("more_body") and size <= self._max_body:
                return b"".join(pieces)
        raise Refusal("too-large", limit=self._max_body)

    def _join(self, body: bytes) -> _Turn:
        turn = self._turn
        if turn is None:
            loop = asyncio.get_running_loop()
            self._turn = turn = _Turn(loop.create_future())
            loop.call_soon(self._look_round, loop, 0)
        turn.bodies.append(body)
        return turn

    def _look_round(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Answer those who have come, unless more came since the last look: then others may be on their way."""
        turn = self._turn
        assert turn is not None
        come = len(turn.bodies)
        if seen < come < _ENOUGH:
            loop.call_soon(self._look_round, loop, come)
            return
        self._turn = None
        if not turn.done.done():
            turn.answers = self._shared(turn.bodies)
            turn.done.set_result(None)

    def _shared(self, bodies: Sequence[bytes]) -> list[bytes | Exception]:
        """Answer single requests, a canary's share of them by the canary."""
        if self.canary is None:
            return self._together(bodies)
        return self.canary.together(bodies, [""] * len(bodies), self._together, self._settle)

    def _together(self, bodies: Sequence[bytes], by: Served | None = None) -> list[bytes | Exception]:
        """Answer single requests with one call of the model and one write of the journal.

        What cannot be answered has its error in place of the answer.
        """
        found: list[bytes | Exception] = []
        rows: list[Row] = []
        requests: list[bytes] = []
        try:
            served = by or self.serving()
            for body in bodies:
                try:
                    rows.append(served.features(parse(body), self._metrics))
                except Exception as error:  # noqa: BLE001 - its own caller is told
                    found.append(error)
                else:
                    requests.append(one_line(body))
                    found.append(_OPEN)
            answers = iter(self._settle(served, rows, requests) if rows else ())
        except Exception as error:  # noqa: BLE001 - all that are not refused already are told
            return [error] * (len(bodies) - len(found)) + [error if one is _OPEN else one for one in found]
        return [(next(answers) or _no_probability()) if one is _OPEN else one for one in found]

    def serving(self) -> Served:
        """What answers; raises ``Refusal`` when nothing does."""
        if self.served is None:
            raise Refusal("no-model", project=self._project, alias=self._alias)
        return self.served

    def _settle(self, served: Served, rows: Sequence[Row], requests: Sequence[bytes]) -> list[bytes]:
        """Answer rows and log them; raises ``Refusal`` when they cannot be logged."""
        ids, at = self._ids.take(len(rows))
        answers, lines = served.answer(ids, at, rows, requests)
        self._metrics.batches += 1
        self._write(lines)
        return answers

    def logged(
        self, served: Served, found: Sequence[float], requests: Sequence[bytes], ends: Sequence[bytes]
    ) -> list[bytes]:
        """Log n ≥ 1 probabilities with their requests and give their answers; raises ``Refusal``."""
        ids, at = self._ids.take(len(found))
        answers, lines = served.tell(ids, at, found, requests, ends)
        self._write(lines)
        return answers

    def _write(self, lines: bytes) -> None:
        try:
            if lines:
                self._journal.write(lines)
        except WorkspaceError as error:
            _log.error("%s", error)
            raise Refusal("not-logged") from error

    async def _many(self, received: list[Any]) -> bytes:
        """Answer a list, each row by the version that answers its caller, letting other requests in between."""
        served = self.serving()
        if len(received) > self._max_rows:
            raise Refusal("too-many-rows", limit=self._max_rows)
        if not received:
            raise Refusal("contract", defects=[Defect(None, "body", "empty", {})])
        answers: list[bytes] = [b""] * len(received)
        lines: list[bytes] = []
        places: Sequence[int] = range(len(received))
        if self.canary is not None:
            places = await self.canary.many(received, "", self.fill, answers, lines)
        rows = await self._features(served, received, places)
        for start in range(0, len(rows), CHUNK):
            chunk = slice(start, start + CHUNK)
            self.fill(served, received, places[chunk], rows[chunk], answers, lines)
            await asyncio.sleep(0)
        lost = [Defect(number, "body", "probability", {}) for number, one in enumerate(answers) if not one]
        if lost:
            raise Refusal("contract", defects=lost[:SHOWN], more=len(lost) > SHOWN)
        self._write(b"".join(lines))
        return b"[%b]" % b",".join(answers)

    def fill(
        self,
        served: Served,
        received: Sequence[Any],
        places: Sequence[int],
        rows: Sequence[Row],
        answers: list[bytes],
        lines: list[bytes],
    ) -> None:
        """Put the answers of some rows of a list in their places, and what is to be logged of them after ``lines``."""
        requests = [orjson.dumps(received[place]) for place in places]
        ids, at = self._ids.take(len(requests))
        found, logged = served.answer(ids, at, rows, requests)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
        lines.append(logged)

    async def _features(self, served: Served, received: list[Any], places: Sequence[int]) -> list[Row]:
        rows: list[Row] = []
        defects: list[Defect] = []
        for count, number in enumerate(places):
            if count % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
            try:
                rows.append(served.features(received[number], self._metrics, number))
            except Refusal as refusal:
                defects += refusal.defects
                if len(defects) > SHOWN:
                    break
        if defects:
            raise Refusal("contract", defects=defects[:SHOWN], more=len(defects) > SHOWN)
        return rows

    def refuse(self, refusal: Refusal, scope: Scope) -> tuple[int, bytes]:
        """Count a refusal; gives its status and body."""
        self._metrics.refusals[refusal.kind] += 1
        contract = self.served.package.request if self.served else None
        return problems.render(refusal, problems.language(scope["headers"]), contract)

    def fail(self, scope: Scope) -> tuple[int, bytes]:
        """Log the exception in hand; gives the status and body of an answer that bears its number."""
        identity = self._ids.take(1)[0][0].decode()
        _log.exception("request %s failed", identity)
        return self.refuse(Refusal("internal", id=identity), scope)


def _no_probability() -> Refusal:
    return Refusal("contract", defects=[Defect(None, "body", "probability", {})])


async def _read_away(receive: Receive) -> None:
    """Take in what is left of a body that is too large: most clients read no answer before they have sent it all."""
    left = _LINGER
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message["body"])
