"""HTTP/1.1 connections that each carry one request at a time, kept as few as will do."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import httptools

from relevo.loadtest.recorder import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Done = Callable[["Asked", str], None]
    """Called once for each request, with what was asked and what failed, empty for success."""

_SUCCESS = range(200, 400)


class Asked(NamedTuple):
    """A request and when it was due, by the loop's clock."""

    due: float
    body: bytes


class Connection(asyncio.Protocol):
    """One connection; httptools calls ``on_message_complete``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._bounded = False
        """Whether the answer says where it ends; otherwise it ends with the stream."""
        self._headed = False
        self.asked: Asked | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def ask(self, asked: Asked) -> None:
        """Send a request."""
        self.asked = asked
        self._transport.write(asked.body)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.drop("not HTTP")

    def on_header(self, name: bytes, _: bytes) -> None:
        """Note what says where the answer ends (RFC 9112, section 6.3)."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._bounded = True

    def on_headers_complete(self) -> None:
        """Note that there is a status."""
        self._headed = True

    def on_message_complete(self) -> None:
        """Tell the answer, and be free again if the service lets the connection live."""
        status = self._parser.get_status_code()
        if status < _SUCCESS.start:
            return  # such as 103: the answer is still to come
        lives = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        self._headed = self._bounded = False
        asked, self.asked = self.asked, None
        if asked is not None:
            self._pool.done(asked, "" if status in _SUCCESS else str(status))
        if lives and asked is not None:
            self._pool.free(self)
        else:
            self.drop("closed")

    def connection_lost(self, _: Exception | None) -> None:
        """Take the end of the stream as the end of an answer where it is one, then forget the connection."""
        if self._headed and not self._bounded:
            self.on_message_complete()
        else:
            self.drop("closed")

    def drop(self, failure: str) -> None:
        """Close, and tell what was asked that it failed."""
        asked, self.asked = self.asked, None
        self._transport.abort()
        self._pool.lost(self)
        if asked is not None:
            self._pool.done(asked, failure)


class Pool:
    """At most ``most`` connections to one place; requests beyond them wait in order for a free one.

    What is not answered ``patience`` seconds after it was due has failed.
    """

    def __init__(self, place: tuple[str, int], ssl: Any, *, most: int, patience: float, done: Done) -> None:
        self._place, self._ssl = place, ssl
        self._most, self._patience = most, patience
        self.done = done
        self.highest = 0
        """Connections that were open at once."""
        self.held_back = 0
        """Requests that waited since ``most`` connections were busy."""
        self._free: list[Connection] = []
        self._live: set[Connection] = set()
        self._waiting: deque[Asked] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    def ask(self, asked: Asked) -> None:
        """Send a request now, by a free connection or a new one."""
        if self._free:
            self._free.pop().ask(asked)
        elif self._room():
            self._open_for(asked)
        else:
            self.held_back += 1
            self._waiting.append(asked)

    def _room(self) -> bool:
        return len(self._live) + len(self._opening) < self._most

    def _open_for(self, asked: Asked) -> None:
        task = asyncio.get_running_loop().create_task(self._open(asked))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        self.highest = max(self.highest, len(self._live) + len(self._opening))

    async def _open(self, asked: Asked) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(asked.due + self._patience):
                _, made = await loop.create_connection(lambda: Connection(self), *self._place, ssl=self._ssl)
        except (OSError, asyncio.CancelledError) as error:  # TimeoutError is an OSError
            self.done(asked, kind_of(error) if isinstance(error, OSError) else "timeout")
            return
        self._live.add(made)
        made.ask(asked)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._next()

    def _next(self) -> None:
        if self._waiting and self._room():
            self._open_for(self._waiting.popleft())

    def free(self, connection: Connection) -> None:
        """Give a connection its next request, or keep it for one."""
        if self._waiting:
            connection.ask(self._waiting.popleft())
        else:
            self._free.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection; a request that waits may open another."""
        self._live.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        self._next()

    def give_up(self, now: float) -> None:
        """Count as failed what has waited too long."""
        before = now - self._patience
        while self._waiting and self._waiting[0].due < before:
            self.done(self._waiting.popleft(), "timeout")
        for connection in [c for c in self._live if c.asked is not None and c.asked.due < before]:
            connection.drop("timeout")

    def idle(self) -> bool:
        """Whether every request has its answer."""
        return not (self._waiting or self._opening or any(c.asked is not None for c in self._live))

    async def close(self) -> None:
        """Close all; what has no answer by now has failed."""
        while self._waiting:
            self.done(self._waiting.popleft(), "timeout")
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._live):
            connection.drop("timeout")
