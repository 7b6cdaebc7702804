"""Taking in a request's body, within bounds of size and time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from relevo.serving.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive

JSON = b"application/json"
_LINGER = 64 << 20  # bytes of a body too large that are read away, so that its sender hears the answer
_LINGER_SECONDS = 10


class Gone(Exception):  # noqa: N818 - nobody is left to be told
    """The caller went away before the request was whole."""


async def json_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, *, limit: int, seconds: float
) -> bytes:
    """Read a body that must be declared as JSON; raises ``Refusal``, or ``Gone``."""
    check(headers, limit)
    try:
        async with asyncio.timeout(seconds):
            return await _whole(receive, limit)
    except TimeoutError:
        raise Refusal("timeout", seconds=seconds) from None


def check(headers: Iterable[tuple[bytes, bytes]], limit: int) -> None:
    """Look at what the headers say of the body; raises ``Refusal``."""
    declared = False
    for name, value in headers:
        if name == b"content-type":
            declared = value == JSON or value.partition(b";")[0].strip().lower() == JSON
        elif name == b"content-length":
            if int(value) > limit:
                raise Refusal("too-large", limit=limit)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise Refusal("content-type")
    if not declared:
        raise Refusal("content-type")


async def _whole(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise Refusal("too-large", limit=limit)
    return b"".join(pieces)


async def read_away(receive: Receive) -> None:
    """Take in what is left of a body that is too large: most clients read no answer before they have sent it all."""
    left = _LINGER
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message["body"])
