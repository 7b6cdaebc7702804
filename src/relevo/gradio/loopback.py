"""Asking the service in this process: httpx's transport over its ASGI application, both bodies streamed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message

VIA = b"gradio"
"""What the journal calls the page."""
_WAITING = 16  # pieces of an answer that may wait for whoever reads it


class Loopback(httpx.AsyncBaseTransport):
    """Sends requests to ``app`` with the visitor's ``key`` and none other, as whose address ``peer`` is told."""

    def __init__(self, app: ASGIApp, key: str, peer: str = "") -> None:
        self._app, self._key, self._peer = app, key, peer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        exchange = _Exchange(self._app, self._scope(request), request)
        return await exchange.begin()

    def _scope(self, request: httpx.Request) -> dict[str, Any]:
        own = (b"authorization", b"x-api-key")
        headers = [(name.lower(), one) for name, one in request.headers.raw if name.lower() not in own]
        if self._key:
            headers.append((b"authorization", b"Bearer " + self._key.encode("latin-1", "replace")))
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": headers,
            "client": (self._peer, 0),
            "server": ("127.0.0.1", 0),
            "relevo.via": VIA,
        }


class _Exchange(httpx.AsyncByteStream):
    """One request under way; closing it tells the application that its caller went away."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any], request: httpx.Request) -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._app, self._scope = app, scope
        self._body: AsyncIterator[bytes] = aiter(request.stream)
        self._sent = False
        self._gone = asyncio.Event()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._head: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def begin(self) -> httpx.Response:
        self._task = asyncio.create_task(self._run())
        try:
            await asyncio.wait((self._head, self._task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if not self._head.done():
            raise _broken(self._task)
        head = self._head.result()
        return httpx.Response(head["status"], headers=head.get("headers", []), stream=self)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            if self._head.done() and not self._gone.is_set():
                await self._pieces.put(None)

    async def _receive(self) -> Message:
        if self._sent:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        try:
            piece = await anext(self._body)
        except StopAsyncIteration:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": piece, "more_body": True}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head.set_result(message)
        elif message.get("body") and not self._gone.is_set():
            await self._pieces.put(message["body"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
        await asyncio.wait((self._task,))
        if self._task.exception() is not None:
            raise _broken(self._task)

    async def aclose(self) -> None:
        self._gone.set()
        if not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task


def _broken(task: asyncio.Task[None]) -> httpx.ReadError:
    """What a client is told of an application that broke off; why is in its own log."""
    error = httpx.ReadError("the application broke off")
    error.__cause__ = task.exception() if not task.cancelled() else None
    return error
