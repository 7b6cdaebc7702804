"""A constant answer without anything around it, as an ASGI and as an RSGI application."""

from __future__ import annotations

from typing import Any

ANSWER = b'{"probability":0.1234567890123456,"decision":false,"label":"on time","version":"1.0.0"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": ANSWER})


async def rsgi(scope: Any, protocol: Any) -> None:  # noqa: ARG001 - the signature is the protocol's
    """Answer."""
    await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], ANSWER)
