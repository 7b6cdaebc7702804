"""The door: every request passes here, is told apart, admitted, counted and noted.

A request has an id, the caller's own when it sends one (``X-Request-ID``). What a route raises as ``Refusal``
becomes a problem here; what it raises otherwise is logged with its traceback under the request's id.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from time import perf_counter, time
from typing import TYPE_CHECKING, NamedTuple

from relevo.serving import inference, problems
from relevo.serving.accesslog import described
from relevo.serving.bodies import JSON, Gone, read_away
from relevo.serving.limits import seconds
from relevo.serving.problems import Refusal, Told
from relevo.serving.turns import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from relevo.serving.access import Access
    from relevo.serving.accesslog import AccessLog
    from relevo.serving.callers import Caller
    from relevo.serving.ids import Ids
    from relevo.serving.limits import Limits
    from relevo.serving.metrics import Metrics
    from relevo.serving.predict import Predict
    from relevo.serving.wire import Wire

PREDICT = "/v1/predict"
OPEN = frozenset({"/health", "/ready", "/docs", "/v2/health/live", "/v2/health/ready"})
"""What anyone may ask: whether it lives, and a page that asks for a key itself."""
PAGE = "/gradio"
"""Where the end user's page is, if there is one."""
_LABEL = frozenset({"/v1/labels"})
_PREDICTING = ("/v1/predict", "/v1/score", "/v1/explain", "/v1/recommend/")
_IDENTITY = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_REMEMBERED = 4096
_LONGEST_HEAD = 4096
_CHANGING = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"x-request-id"})
_log = logging.getLogger(__name__)


class Head(NamedTuple):
    """What was found of a request's head, good for every request whose head is the same to the last byte."""

    length: int
    """Of the body."""
    caller: Caller
    headers: list[tuple[bytes, bytes]]
    generation: int


class Door:
    """An ASGI application before the routes: ``predict``, ``raw`` ones by path, and ``rest`` for all others."""

    def __init__(
        self,
        predict: Predict,
        raw: Mapping[tuple[str, str], ASGIApp],
        rest: ASGIApp,
        *,
        access: Access,
        limits: Limits,
        metrics: Metrics,
        ids: Ids,
        log: AccessLog | None,
        most: int,
        root: str,
    ) -> None:
        self.heads: dict[bytes, Head] = {}
        self.wires: set[Wire] = set()
        self.dated: tuple[object, bytes] = (None, b"")
        """The server's own headers, and how they are written."""
        self.draining = False
        self.short = True
        """Whether requests may go the short way."""
        self.page: ASGIApp | None = None
        """Answers below ``PAGE``, and admits its visitors itself."""
        self.raw = raw
        self._predict, self._rest = predict, rest
        self._access, self._limits, self._metrics, self._ids = access, limits, metrics, ids
        self._access_log = log
        self._most = most
        self._root = root
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = perf_counter()
        told = _Answer(send, _identity(scope) or self.new_id())
        scope["relevo.id"] = told.identity
        scope["relevo.problem"] = partial(self.problem, scope)
        path = scope["path"].removeprefix(self._root) or "/"
        if self._root and (path == self._root or path.startswith(self._root + "/")):
            path = path.removeprefix(self._root) or "/"  # for a proxy that does not take it away
        scope["path"], scope["relevo.path"] = self._root + path, path
        raw = self.raw.get((scope["method"], path))
        scope["relevo.route"] = path if raw is not None else "other"
        caller = ""
        try:
            generation = self._access.generation
            if self.page is not None and (path == PAGE or path.startswith(PAGE + "/")):
                scope["relevo.route"] = PAGE
                await self.page(scope, receive, told)
            elif path not in OPEN:
                scope["relevo.caller"] = who = await self._admit(scope, path)
                caller = who.id
                await self._within(raw or self._rest, who, scope, receive, told)
                if raw is self._predict and self.short:
                    self._learn(scope, who, generation)
            else:
                await self._rest(scope, receive, told)
        except Gone:
            return
        except Exception as error:
            if told.status:  # what has begun cannot be taken back
                if not told.whole:
                    raise
            else:
                if isinstance(error, Refusal) and error.kind == "too-large":
                    await read_away(receive)
                await told.refuse(self.problem(scope, error))
        finally:
            self._note(scope, caller, told, perf_counter() - began)

    async def _admit(self, scope: Scope, path: str) -> Caller:
        caller = await self._access.admit(scope["headers"], _needs(path))
        wait = self._limits.wait(caller)
        if wait:
            raise Refusal("rate", retry=seconds(wait))
        return caller

    async def _within(
        self, route: ASGIApp, caller: Caller, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if self._under_way >= self._most:
            raise Refusal("busy")
        if not self._limits.enter(caller):
            raise Refusal("concurrency", limit=caller.concurrency)
        self._under_way += 1
        try:
            await route(scope, receive, send)
        finally:
            self._under_way -= 1
            self._limits.leave(caller)

    def new_id(self) -> bytes:
        """Make an id for a request."""
        return self._ids.take(1)[0][0]

    def problem(self, scope: Scope, error: Exception) -> Told:
        """Count and write what a request cannot have; what nobody expected is logged under the request's id."""
        identity: bytes = scope["relevo.id"]
        if not isinstance(error, Refusal):
            _log.error("request %s failed", identity.decode(), exc_info=error)
            error = Refusal("internal")
        told = self.refused(error, scope["headers"], identity)
        if scope["relevo.path"].startswith("/v2"):
            headers = [(b"content-type", JSON), *told.headers[1:]]
            return Told(told.status, headers, inference.shaped(told.body))
        return told

    def refused(self, refusal: Refusal, headers: list[tuple[bytes, bytes]], identity: bytes) -> Told:
        """Count a refusal, and write it."""
        self._metrics.refusals[refusal.kind] += 1
        served = self._predict.served
        contract = served.package.request if served is not None else None
        return problems.render(refusal, headers, identity.decode(), contract, self._root)

    def _note(self, scope: Scope, caller: str, told: _Answer, took: float) -> None:
        status = told.status or _CLOSED
        route = scope["relevo.route"]
        if route == "other" and scope.get("route") is not None:
            route = scope["route"].path.replace(":path}", "}")
        self._metrics.requests[route, status] += 1
        if self._access_log is not None:
            peer = (scope["client"] or ("",))[0]
            line = described(caller, peer, scope["method"], scope["path"])
            self._access_log.add(self._ids.take(0)[1], told.identity, line, status, took, told.size)

    # The short way, for requests whose head is known

    def _learn(self, scope: Scope, caller: Caller, generation: int) -> None:
        """Remember a head that led to an answer: whoever sends the same again need not be read again."""
        raw: bytes | None = scope.get("relevo.head")
        if raw is None or len(raw) > _LONGEST_HEAD or scope["query_string"] or scope["http_version"] != "1.1":
            return
        length = -1
        for name, value in scope["headers"]:
            if name in _CHANGING or (name == b"connection" and value.lower() != b"keep-alive"):
                return
            if name == b"content-length":
                length = int(value)
        if length < 0:
            return
        if len(self.heads) >= _REMEMBERED:
            self.heads.clear()
        self.heads[raw] = Head(length, caller, list(scope["headers"]), generation)

    def take(self, head: Head, body: bytes, tell: Callable[[bytes | Exception], None]) -> bool:
        """Have a single request answered; False when its head must be read again."""
        caller = head.caller
        if head.generation != self._access.generation or caller.until <= time():
            self.heads.clear()
            return False
        if caller.rate is not None or caller.concurrency is not None:
            wait = self._limits.wait(caller)
            if wait:
                tell(Refusal("rate", retry=seconds(wait)))
                return True
            if not self._limits.enter(caller):
                tell(Refusal("concurrency", limit=caller.concurrency))
                return True
        self._predict.ask(Ask(body, caller.shown, tell))
        return True

    def line(self, head: Head, peer: str) -> bytes:
        """What the access log says of who sends this head."""
        return described(head.caller.id, peer, "POST", PREDICT)

    def told(
        self, head: Head, answer: bytes | Exception, line: bytes, took: float
    ) -> tuple[bytes, Told | None]:
        """Count an answer of the short way; gives the request's id, and what to say in place of an answer."""
        caller, told, status = head.caller, None, 200
        if type(answer) is bytes:
            identity, size = answer[7:43], len(answer)  # {"id":"…": the prediction's own
            self._metrics.took(took)
        else:
            assert isinstance(answer, Exception)
            identity = self.new_id()
            told = self.problem(
                {"relevo.id": identity, "relevo.path": PREDICT, "headers": head.headers}, answer
            )
            status, size = told.status, len(told.body)
        if caller.concurrency is not None and (told is None or told.status != _TOO_MANY):
            self._limits.leave(caller)
        self._metrics.requests[PREDICT, status] += 1
        if self._access_log is not None:
            self._access_log.add(self._ids.at, identity, line, status, took, size)
        return identity, told


_CLOSED = 499
"""What the log says of a caller who went away, as nginx does."""
_TOO_MANY = 429


class _Answer:
    """Sends an answer on, with the request's id among its headers, and notes its status and size."""

    def __init__(self, send: Send, identity: bytes) -> None:
        self._send = send
        self.identity = identity
        self.status = 0
        self.size = 0
        self.whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.identity)]
        else:
            self.size += len(message.get("body", b""))
            self.whole = not message.get("more_body", False)
        await self._send(message)

    async def refuse(self, told: Told) -> None:
        """Send a problem in place of an answer."""
        headers = [*told.headers, (b"content-length", b"%d" % len(told.body))]
        await self({"type": "http.response.start", "status": told.status, "headers": headers})
        await self({"type": "http.response.body", "body": told.body})


def _identity(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _IDENTITY.fullmatch(value):
            return bytes(value)
    return None


def _needs(path: str) -> str:
    """The scope that a path needs."""
    if path in _LABEL:
        return "label"
    if path.startswith("/v1/admin/"):
        return "admin"
    return "predict" if path.startswith(_PREDICTING) or path.endswith("/infer") else "read"
