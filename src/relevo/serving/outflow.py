"""Bytes on their way to a caller who may read none before all is sent.

Most HTTP clients write the whole body first. A server that waits until they read would wait for ever, one that
remembers would not do so in constant memory. So what the caller does not take waits in files without a name,
and when these hold ``MOST`` bytes the body is read no further until some are taken. There are several, each given up
when it was read, so that they hold no more than what waits, however long somebody reads behind what is written.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from starlette.types import Send

T = TypeVar("T")
MOST = 1 << 30
MEMORY = 1 << 20
PART = 1 << 26
"""Bytes after which another file is begun."""
_PIECE = 1 << 16


class IdleError(Exception):
    """Nothing moved in either direction for too long."""


@dataclass
class _Part:
    """A file of what waits, and how far it was read and written."""

    file: IO[bytes]
    read: int = 0
    written: int = 0


class Outflow:
    """An answer of status 200: sends what is ``put`` in order, beside whoever puts.

    ``folder`` is where files are made if any are needed, of ``most`` bytes and a part at most.
    ``idle`` is how many seconds may pass in which neither bytes come in nor go out.
    """

    def __init__(self, send: Send, folder: Path, *, idle: float, most: int = MOST) -> None:
        self._send, self._folder, self._idle, self._most = send, folder, idle, most
        self._memory = bytearray()
        self._parts: deque[_Part] = deque()
        self._waiting = 0  # bytes in the parts
        self._more, self._room = asyncio.Event(), asyncio.Event()
        self._ended = False
        self._moved = asyncio.get_running_loop().time()
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether the answer's head was sent."""
        return self._task is not None

    async def begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of the answer, with status 200."""
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._task = asyncio.create_task(self._pump())

    def put(self, data: bytes) -> None:
        """Hand over some bytes; raises ``OSError`` when they can be held nowhere."""
        if not self._waiting and len(self._memory) < MEMORY:
            self._memory += data
        else:
            part = self._part()
            part.file.seek(part.written)
            left = memoryview(data)
            while left:
                left = left[part.file.write(left) or 0 :]
            part.written += len(data)
            self._waiting += len(data)
        self._more.set()

    def _part(self) -> _Part:
        """The file to write to."""
        if not self._parts or self._parts[-1].written >= PART:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed when it was read
            self._parts.append(_Part(file))
        return self._parts[-1]

    async def room(self) -> None:
        """Wait while too much waits; raises ``IdleError``."""
        while self._waiting >= self._most:
            self._room.clear()
            await self.within(self._room.wait())

    async def within(self, awaited: Awaitable[T]) -> T:
        """Wait as long as something moves, here or there; raises ``IdleError``, and what sending raised."""
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(awaited)
        try:
            while True:
                left = self._moved + self._idle - loop.time()
                if left <= 0:
                    raise IdleError
                done, _ = await asyncio.wait({task}, timeout=left)
                if done:
                    self._moved = loop.time()
                    return task.result()
        finally:
            task.cancel()

    async def end(self) -> None:
        """Wait until all is sent; raises ``IdleError``."""
        assert self._task is not None
        self._ended = True
        self._more.set()
        await self.within(self._task)

    def close(self) -> None:
        """Forget what was not sent."""
        if self._task is not None:
            self._task.cancel()
        for part in self._parts:
            part.file.close()

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = self._next()
            if data:
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
                self._moved = loop.time()
                self._room.set()
            elif self._ended:
                await self._send({"type": "http.response.body", "body": b""})
                return
            else:
                self._more.clear()
                await self._more.wait()

    def _next(self) -> bytes:
        if self._memory:
            data = bytes(self._memory)
            self._memory.clear()
            return data
        if not self._waiting:
            return b""
        part = self._parts[0]
        part.file.seek(part.read)
        data = part.file.read(min(_PIECE, part.written - part.read))
        part.read += len(data)
        self._waiting -= len(data)
        if part.read == part.written:
            self._parts.popleft().file.close()
        return data
