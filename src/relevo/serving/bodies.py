"""A whole body, no larger than is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.serving.problems import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive, Scope


async def whole(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """Read a body of JSON; None when the caller goes away. Raises ``Refusal`` about its headers or its size."""
    declared = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            declared = value.partition(b";")[0].strip().lower() == b"application/json"
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise Refusal("content-type")
    if not declared:
        raise Refusal("content-type")
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise Refusal("too-large", limit=limit)
    return b"".join(pieces)
