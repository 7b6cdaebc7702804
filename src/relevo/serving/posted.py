"""A route that takes JSON and answers with JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.serving.bodies import JSON, json_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from relevo.service import ServiceSettings


class Posted:
    """An ASGI application over ``answer``, which is given the body and the scope, and may raise ``Refusal``."""

    def __init__(self, answer: Callable[[bytes, Scope], Awaitable[bytes]], settings: ServiceSettings) -> None:
        self._answer = answer
        self._limit, self._seconds = settings.max_body, settings.timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises ``Refusal``, or ``Gone``."""
        body = await json_body(scope["headers"], receive, limit=self._limit, seconds=self._seconds)
        await reply(send, await self._answer(body, scope))


async def reply(send: Send, answer: bytes, status: int = 200, *more: tuple[bytes, bytes]) -> None:
    """Send JSON, with ``more`` headers."""
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(answer)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
