"""``POST /v1/predict``: a row or a list of rows, answered by one version and logged before the answer leaves."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from relevo.defects import SHOWN, Defect
from relevo.errors import WorkspaceError
from relevo.serving import unlogged
from relevo.serving.bodies import json_body
from relevo.serving.explaining import wanted
from relevo.serving.posted import reply
from relevo.serving.problems import Refusal, language
from relevo.serving.reading import logged, one_line, parse
from relevo.serving.served import Told
from relevo.serving.turns import CHUNK, Ask, Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

    from relevo.journal import Journal
    from relevo.serving.canary import Canary
    from relevo.serving.counting import Counting, Live
    from relevo.serving.explaining import Explainer
    from relevo.serving.ids import Ids
    from relevo.serving.metrics import Metrics
    from relevo.serving.served import Row, Served

MAX_BODY = 1 << 20
MAX_ROWS = 10_000
SECONDS = 30.0
"""In which a body must have come."""
_OPEN = b""  # the place of an answer to come
_log = logging.getLogger(__name__)


class Predict:
    """The route. ``served`` is what answers, None before there is a champion; change it with ``swap``."""

    def __init__(
        self,
        journal: Journal,
        metrics: Metrics,
        ids: Ids,
        counting: Counting,
        *,
        project: str,
        alias: str,
        max_body: int = MAX_BODY,
        max_rows: int = MAX_ROWS,
        seconds: float = SECONDS,
    ) -> None:
        self.served: Served | None = None
        self.canary: Canary | None = None
        self.counting = counting
        self.explainer: Explainer | None = None
        """Answers where the query asks for explanations."""
        self._journal = journal
        self.metrics = metrics
        self.project, self._alias = project, alias
        self._max_body, self._max_rows, self._seconds = max_body, max_rows, seconds
        self.ids = ids
        self._turns = Turns(self._shared)

    def attempt(self, canary: Canary | None) -> None:
        """Let a canary answer its share from the next request on, or none any more."""
        self.canary = canary
        if canary is not None:
            key = canary.served.version.version, canary.served.package.labels
            canary.served.decided = self.metrics.predictions.setdefault(key, canary.served.decided)
        self._assign()

    def swap(self, served: Served) -> None:
        """Let another version, or the same with other histories or release, answer from the next request on."""
        key = served.version.version, served.package.labels
        served.decided = self.metrics.predictions.setdefault(key, served.decided)
        for name, file in served.histories.items():
            file.misses = self.metrics.missing.setdefault(name, file.misses)
        for feature, levels in served.package.levels.items():
            levels.misses = self.metrics.unseen.setdefault(feature, [0])
        self.served = served
        self._assign()

    def _assign(self) -> None:
        served, canary = self.served, self.canary
        self.metrics.tally.assign(served, canary)
        answering = [one for one in (served, canary.served if canary else None) if one is not None]
        self.counting.follow(live for one in answering for live in (one.live, one.chosen))

    def ask(self, ask: Ask) -> None:
        """Have a single request, the body of which is an object, answered with those that come with it."""
        self._turns.join(ask)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises ``Refusal``, or ``Gone``."""
        started = perf_counter()
        body = await json_body(scope["headers"], receive, limit=self._max_body, seconds=self._seconds)
        query, caller = scope["query_string"], scope["relevo.caller"].shown
        silent = bool(query) and unlogged.wanted(query, scope["relevo.caller"])
        if query and self.explainer is not None and wanted(query):
            answer = await self.explainer.predicted(body, language(scope["headers"]), silent=silent)
        elif silent:
            answer = await self._unlogged(parse(body))
        elif body[:1] != b"{" and type(received := self._parsed(body)) is list:
            answer = await self._many(received, caller)
        else:
            answer = await self._one(body, caller, scope.get("relevo.via", b""))
        if not silent:
            self.metrics.took(perf_counter() - started)
        await reply(send, answer)

    async def _unlogged(self, received: Any) -> bytes:
        if type(received) is list and len(received) > self._max_rows:
            raise Refusal("too-many-rows", limit=self._max_rows)
        return await unlogged.answer(self.serving(), received, self.metrics, self.ids)

    async def _one(self, body: bytes, caller: bytes, via: bytes) -> bytes:
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def tell(answer: bytes | Exception) -> None:
            if told.done():  # the caller went away
                return
            if isinstance(answer, Exception):
                told.set_exception(answer)
            else:
                told.set_result(answer)

        self._turns.join(Ask(body, caller, tell, via))
        return await told

    def _shared(self, asks: Sequence[Ask]) -> list[bytes | Exception]:
        """Answer single requests, a canary's share of them by the canary."""
        if self.canary is None:
            return self._together(asks)
        return self.canary.together(asks, self._together, self._settle)

    def _together(self, asks: Sequence[Ask], by: Served | None = None) -> list[bytes | Exception]:
        """Answer single requests with one call of the model and one write of the journal.

        What cannot be answered has its error in place of the answer.
        """
        found: list[bytes | Exception] = []
        rows: list[Row] = []
        requests: list[bytes] = []
        try:
            served = by or self.serving()
            for ask in asks:
                try:
                    rows.append(served.features(self._parsed(ask.body), self.metrics))
                except Exception as error:  # noqa: BLE001 - its own caller is told
                    found.append(error)
                else:
                    requests.append(logged(one_line(ask.body), ask.via))
                    found.append(_OPEN)
            answers = iter(self._settle(served, rows, requests) if rows else ())
        except Exception as error:  # noqa: BLE001 - all that are not refused already are told
            return [error] * (len(asks) - len(found)) + [error if one is _OPEN else one for one in found]
        return [(next(answers) or _no_probability()) if one is _OPEN else one for one in found]

    def _parsed(self, body: bytes) -> Any:
        try:
            return parse(body)
        except Refusal:
            if self.served is not None:
                self.served.live.refused += 1
            raise

    def serving(self) -> Served:
        """What answers; raises ``Refusal`` when nothing does."""
        if self.served is None:
            raise Refusal("no-model", project=self.project, alias=self._alias)
        return self.served

    def _settle(self, served: Served, rows: Sequence[Row], requests: Sequence[bytes]) -> list[bytes]:
        """Answer rows and log them; raises ``Refusal`` when they cannot be logged."""
        ids, at = self.ids.take(len(rows))
        answers, told = served.answer(ids, at, rows, requests)
        self.metrics.batches += 1
        self._log(told)
        return answers

    def logged(
        self,
        served: Served,
        rows: Sequence[Row],
        found: Sequence[float],
        requests: Sequence[bytes],
        ends: Sequence[bytes],
        live: Live | None = None,
    ) -> list[bytes]:
        """Log n ≥ 1 rows with their probabilities and requests, and give their answers; raises ``Refusal``.

        They count in ``live``, by default among what was asked of ``served``.
        """
        ids, at = self.ids.take(len(found))
        answers, lines = served.tell(ids, at, found, requests, ends)
        self._log(Told(live or served.live, at, rows, found, lines))
        return answers

    def _log(self, *parts: Told) -> None:
        """Log what was answered, and count it; raises ``Refusal`` when it cannot be logged."""
        lines = parts[0].lines if len(parts) == 1 else b"".join([part.lines for part in parts])
        try:
            if lines:
                self._journal.write(lines)
        except WorkspaceError as error:
            _log.error("%s", error)
            for part in parts:
                part.live.failed += len(part.rows)
            raise Refusal("not-logged") from error
        for live, at, rows, found, _ in parts:
            self.counting.add(live, at, rows, found)

    async def _many(self, received: list[Any], caller: bytes) -> bytes:
        """Answer a list, each row by the version that answers its caller, letting other requests in between."""
        served = self.serving()
        if len(received) > self._max_rows:
            raise Refusal("too-many-rows", limit=self._max_rows)
        if not received:
            raise Refusal("contract", defects=[Defect(None, "body", "empty", {})])
        answers: list[bytes] = [b""] * len(received)
        told: list[Told] = []
        parts: list[tuple[Served, Sequence[int]]] = [(served, range(len(received)))]
        if (canary := self.canary) is not None:
            instead = canary.instead or served
            rest, fallen = await canary.many(received, caller, self.fill, answers, told)
            parts = [(served, rest), (instead, fallen)]
        rows = await self._features(received, parts)
        for (by, places), made in zip(parts, rows, strict=True):
            for start in range(0, len(made), CHUNK):
                chunk = slice(start, start + CHUNK)
                self.fill(by, received, places[chunk], made[chunk], answers, told)
                await asyncio.sleep(0)
        lost = [Defect(number, "body", "probability", {}) for number, one in enumerate(answers) if not one]
        if lost:
            served.live.failed += len(lost)
            raise Refusal("contract", defects=lost[:SHOWN], more=len(lost) > SHOWN)
        self._log(*told)
        await self.counting.room()
        return b"[%b]" % b",".join(answers)

    def fill(
        self,
        served: Served,
        received: Sequence[Any],
        places: Sequence[int],
        rows: Sequence[Row],
        answers: list[bytes],
        told: list[Told],
    ) -> None:
        """Put the answers of some rows of a list in their places, and what is to be logged of them after ``told``."""
        requests = [orjson.dumps(received[place]) for place in places]
        ids, at = self.ids.take(len(requests))
        found, part = served.answer(ids, at, rows, requests)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
        told.append(part)

    async def _features(
        self, received: list[Any], parts: Sequence[tuple[Served, Sequence[int]]]
    ) -> list[list[Row]]:
        """Features of the rows at each part's places by its version; raises ``Refusal`` naming the first at fault."""
        rows: list[list[Row]] = []
        defects: list[Defect] = []
        for served, places in parts:
            made, found = await self._part(served, received, places)
            rows.append(made)
            defects += found
        if defects:
            defects.sort(key=lambda defect: defect.row or 0)
            raise Refusal("contract", defects=defects[:SHOWN], more=len(defects) > SHOWN)
        return rows

    async def _part(
        self, served: Served, received: list[Any], places: Sequence[int]
    ) -> tuple[list[Row], list[Defect]]:
        rows: list[Row] = []
        defects: list[Defect] = []
        for count, number in enumerate(places):
            if count % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
            try:
                rows.append(served.features(received[number], self.metrics, number))
            except Refusal as refusal:
                defects += refusal.defects
                if len(defects) > SHOWN:
                    break
        return rows, defects


def _no_probability() -> Refusal:
    return Refusal("contract", defects=[Defect(None, "body", "probability", {})])
