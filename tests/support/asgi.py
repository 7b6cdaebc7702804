"""The application asked without a network: one request at a time, its answer whole."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from relevo.serving.app import create_app
from support import service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from relevo.serving.app import App


class Heard(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return orjson.loads(self.body)


class Asker:
    """Asks an application on an event loop of its own."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.loop = asyncio.new_event_loop()

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Heard:
        """Ask once; a body in several pieces arrives in as many messages."""
        pieces = [body] if isinstance(body, bytes) else [*body]
        return self.loop.run_until_complete(self._ask(method, path, pieces, headers or {}))

    async def _ask(
        self, method: str, path: str, pieces: Sequence[bytes], headers: Mapping[str, str]
    ) -> Heard:
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
        }
        left = iter(enumerate(pieces, 1))
        status, found, body = 0, dict[str, str](), bytearray()
        over = False

        async def receive() -> dict[str, Any]:
            number, piece = next(left, (0, b""))
            if not number:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece, "more_body": number < len(pieces)}

        async def send(message: Any) -> None:
            nonlocal status, over
            if message["type"] == "http.response.start":
                assert not status, "two answers"
                status = message["status"]
                found.update({name.decode(): value.decode() for name, value in message["headers"]})
            else:
                assert status, "a body before its head"
                assert not over, "more after the end"
                body.extend(message.get("body", b""))
                over = not message.get("more_body", False)

        await self.app(scope, receive, send)
        assert over, "no whole answer"
        return Heard(status, found, bytes(body))


@contextmanager
def asking(root: Path, *changes: dict[str, Any], release: str = "1.0.0") -> Iterator[Asker]:
    """Make a workspace with small versions, and an application over it."""
    with over(
        create_app(service.workspace(root, *changes, release=release), "flights", collect=False)
    ) as asker:
        yield asker


@contextmanager
def over(app: App) -> Iterator[Asker]:
    """Ask an application, and close what it holds."""
    asker = Asker(app)
    try:
        yield asker
    finally:
        asker.app.journal.close()
        asker.app.counts.close()
        asker.loop.close()
