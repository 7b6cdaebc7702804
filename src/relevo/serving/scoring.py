"""``POST /v1/score``: a stream of rows in, one answer for each out, in constant memory.

The answer streams while the body is still being read. All of it is given by the version and the histories that
answered when the request came, and each block of rows is logged before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import orjson
from pydantic_core import ValidationError

from relevo import defects
from relevo.cells import Cells
from relevo.defects import Defect
from relevo.online import FeatureError
from relevo.serving import asking
from relevo.serving.bodies import Gone
from relevo.serving.incoming import Unreadable
from relevo.serving.outflow import MOST, IdleError, Outflow
from relevo.serving.problems import Refusal
from relevo.serving.reading import logged
from relevo.texts import speaking, t

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from relevo.contract import Contract
    from relevo.serving.asking import Asked
    from relevo.serving.incoming import Row
    from relevo.serving.metrics import Metrics
    from relevo.serving.outgoing import Entry
    from relevo.serving.predict import Predict
    from relevo.serving.served import Served

IDLE = 60.0
"""Seconds in which nothing comes in and nothing goes out, after which a stream is ended."""
_log = logging.getLogger(__name__)
_SLICE = 1 << 16  # bytes of the body that are looked at between two waits for room

AT_ONCE = 16
"""Streams that one process answers at once: the answers of each may wait on the disk."""


class Scoring:
    """The route, over what ``predict`` serves; ``folder`` is where answers wait that their caller does not take.

    ``idle`` and ``most`` are the limits of an ``Outflow``.
    """

    def __init__(
        self, predict: Predict, metrics: Metrics, folder: Path, *, idle: float = IDLE, most: int = MOST
    ) -> None:
        self._predict, self._metrics = predict, metrics
        self._folder, self._idle, self._most = folder, idle, most
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one stream; raises ``Refusal`` before the answer begins, and ``Gone``."""
        if self._open >= AT_ONCE:
            raise Refusal("busy")
        self._open += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._open -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        served = self._predict.serving()
        asked = asking.read(scope, served.version.version)
        with speaking(asked.language):
            out = Outflow(send, self._folder, idle=self._idle, most=self._most)
            try:
                stream = _Stream(self._predict, self._metrics, served, asked, scope.get("relevo.via", b""))
                await self._flow(stream, out, scope, receive)
            except IdleError:
                if not out.begun:
                    raise Refusal("too-slow", limit=round(self._idle)) from None
            except OSError as error:  # the disk is full: the connection ends without its last chunk
                if not out.begun:
                    raise
                _log.error("A stream was broken off: %s", error)
            finally:
                out.close()

    async def _flow(self, stream: _Stream, out: Outflow, scope: Scope, receive: Receive) -> None:
        try:
            async for data in stream.answers(_body(receive, out)):
                if not out.begun:
                    await out.begin(stream.headers)
                out.put(data)
                await out.room()
        except (Gone, IdleError):
            raise
        except Exception as error:
            if not out.begun:
                if isinstance(error, Unreadable):
                    raise Refusal("unreadable", reason=str(error).rstrip(".")) from None
                raise
            out.put(stream.last(self._why(error, scope)))
        await out.end()

    def _why(self, error: Exception, scope: Scope) -> str:
        """Say why a stream ends before its body; what nobody expected is logged with its number."""
        if isinstance(error, Unreadable):
            return t("The body cannot be read on from here: {reason}.", reason=error)
        problem = orjson.loads(scope["relevo.problem"](error).body)
        return f"{problem['title']} {problem['detail']}"


async def _body(receive: Receive, out: Outflow) -> Any:
    """Give a body's pieces, and None where it ends; raises ``IdleError`` and ``Gone``."""
    more = True
    while more:
        message = await out.within(receive())
        if message["type"] != "http.request":
            raise Gone
        more = message.get("more_body", False)
        piece = message.get("body", b"")
        for start in range(0, len(piece), _SLICE):
            yield piece[start : start + _SLICE]
    yield None


class _Stream:
    """One request: its rows become answers, in the order in which they come."""

    def __init__(self, predict: Predict, metrics: Metrics, served: Served, asked: Asked, via: bytes) -> None:
        self._predict, self._metrics, self._served = predict, metrics, served
        self._via = via
        self._contract: Contract = served.package.request
        self._validate = served.package.validators.one.validate_python
        self._cells = Cells(self._contract, served.package.manifest.nulls)
        self._incoming = asked.reads.reads(self._contract, self._cells)
        self._outgoing = asked.writes.writes(served.version.version)
        self._offset, self._seen = asked.offset, 0
        self._ends = _ends(served)
        self.headers = [
            (b"content-type", asked.writes.named.encode()),
            (b"x-relevo-version", served.version.version.encode()),
            (b"x-accel-buffering", b"no"),  # a proxy such as nginx is to hand each part on at once
        ]

    async def answers(self, body: Any) -> Any:
        """Give the answer's bytes, as ``body`` gives pieces; raises ``Refusal`` and ``Unreadable``."""
        begun = False
        async for piece in body:
            blocks = self._incoming.finish() if piece is None else self._incoming.feed(piece)
            for block in blocks:
                if not begun:
                    begun = True
                    yield self._outgoing.head()
                data = self._answer(block)
                if data:
                    yield data
                await asyncio.sleep(0)
            if not begun and (self._incoming.ready or piece is None):
                begun = True
                yield self._outgoing.head()
        yield self._outgoing.tail()

    def last(self, error: str) -> bytes:
        """Write the row that says why the answer ends here."""
        return self._outgoing.last(error) + self._outgoing.tail()

    def _answer(self, block: Sequence[Row]) -> bytes:
        skipped = min(max(self._offset - self._seen, 0), len(block))
        first, self._seen = self._seen + 1 + skipped, self._seen + len(block)
        if skipped == len(block):
            return b""
        entries = self._scored(block[skipped:])
        self._metrics.refusals["contract"] += sum(type(entry) is str for entry in entries)
        self._metrics.unknown_fields += self._cells.unknown
        self._cells.unknown = 0
        return self._outgoing.rows(first, entries)

    def _scored(self, rows: Sequence[Row]) -> list[Entry]:
        """Answer rows and log them, with a sentence in place of the answer where there is none."""
        entries: list[Entry] = []
        features, requests, places = [], [], []
        live = self._served.live
        for place, row in enumerate(rows):
            entries.append(b"")
            try:
                if type(row) is str:
                    live.refused += 1
                    entries[place] = row
                    continue
                valid = self._validate(row)
                features.append(self._served.compute(valid))
                requests.append(self._logged(valid))
                places.append(place)
            except ValidationError as error:
                live.refused += 1
                entries[place] = _told(error, self._contract, row)
            except FeatureError as error:
                live.failed += 1
                entries[place] = self._said(error.feature or "features", "feature")
        if places:
            found = self._served.package.score(features).tolist()
            answers = self._predict.logged(self._served, features, found, requests, self._ends)
            for place, answer in zip(places, answers, strict=True):
                entries[place] = answer or self._said("body", "probability")
        return entries

    def _logged(self, valid: dict[str, Any]) -> bytes:
        """A validated row as the request that it is: by alias, defaults filled in, times as ISO 8601 texts."""
        return logged(
            orjson.dumps({field.alias: valid[field.name] for field in self._contract.fields}), self._via
        )

    def _said(self, field: str, kind: str) -> str:
        return _sentence(defects.entry(Defect(None, field, kind, {}), self._contract))


def _told(error: ValidationError, contract: Contract, row: Any) -> str:
    return " ".join(_sentences(error, contract, row))


def _sentences(error: ValidationError, contract: Contract, row: dict[str, Any]) -> Iterator[str]:
    for defect in defects.of(error):
        entry = defects.entry(defect, contract)
        if row.get(entry["field"], "") is None:
            entry["problem"] = t("is empty, but the contract allows no null") + "."
        yield _sentence(entry)


def _sentence(entry: dict[str, Any]) -> str:
    return f"{entry['field']}: {entry['problem']}"


def _ends(served: Served) -> list[bytes]:
    """How an answer ends in a stream: (negative, positive)."""
    version = orjson.dumps(served.version.version)
    return [b'%b,"version":%b}' % (brief[:-1], version) for brief in served.brief]
