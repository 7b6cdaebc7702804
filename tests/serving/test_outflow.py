"""Bytes on their way out: in order, on the disk when nobody takes them, and given up when nothing moves."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from relevo.serving import outflow
from relevo.serving.outflow import MEMORY, IdleError, Outflow

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path
    from typing import Any


class Caller:
    """Takes what is sent when it is let."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.over = False
        self.may = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await self.may.wait()
            self.taken.append(message["body"])
            self.over = not message.get("more_body", False)


def on_disk(out: Outflow) -> int:
    """Bytes of all that waits in files."""
    return sum(os.fstat(part.file.fileno()).st_size for part in out._parts)


def test_what_is_not_taken_waits_on_the_disk_in_order(tmp_path: Path) -> None:
    pieces = [bytes([number % 251]) * 100_000 for number in range(300)]

    async def run() -> Caller:
        caller = Caller()
        out = Outflow(caller.send, tmp_path / "new", idle=5)
        await out.begin([])
        for number, piece in enumerate(pieces):
            out.put(piece)
            await asyncio.sleep(0)
            if number == 200:
                assert len(out._memory) <= MEMORY + len(piece)
                assert on_disk(out) > 18_000_000
                caller.may.set()
        await out.end()
        assert on_disk(out) == 0
        out.close()
        return caller

    caller = asyncio.run(run())
    assert caller.over
    assert b"".join(caller.taken) == b"".join(pieces)
    assert list((tmp_path / "new").iterdir()) == []


def test_who_reads_behind_what_is_written_lets_no_file_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is sent in all, the files hold what waits, and a part."""
    part, most = 1 << 18, 1 << 20
    monkeypatch.setattr(outflow, "PART", part)
    pieces = [bytes([number % 251]) * 50_000 for number in range(400)]

    async def run() -> Caller:
        caller = Caller()
        caller.may.set()
        out = Outflow(caller.send, tmp_path, idle=5, most=most)
        await out.begin([])
        largest = 0
        for piece in pieces:
            out.put(piece)
            largest = max(largest, on_disk(out))
            if largest > most // 2:  # from now on there is always something that waits
                await out.room()
        assert most // 2 < largest <= most + part + 2 * len(pieces[0])
        await out.end()
        out.close()
        return caller

    assert b"".join(asyncio.run(run()).taken) == b"".join(pieces)


def test_no_more_is_read_while_too_much_waits(tmp_path: Path) -> None:
    async def run() -> None:
        caller = Caller()
        out = Outflow(caller.send, tmp_path, idle=5, most=MEMORY)
        await out.begin([])
        for _ in range(3):
            out.put(bytes(MEMORY))
            await asyncio.sleep(0)
        waiting = asyncio.create_task(out.room())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        caller.may.set()
        await asyncio.wait_for(waiting, 5)
        await out.end()
        out.close()
        assert len(b"".join(caller.taken)) == 3 * MEMORY

    asyncio.run(run())


def test_a_caller_who_takes_nothing_is_given_up(tmp_path: Path) -> None:
    async def run() -> None:
        out = Outflow(Caller().send, tmp_path, idle=0.05)
        await out.begin([])
        out.put(b"x")
        with pytest.raises(IdleError):
            await out.end()
        out.close()

    asyncio.run(run())


def test_bytes_that_come_in_keep_a_stream_alive(tmp_path: Path) -> None:
    """A caller who sends for long before reading is not idle."""

    async def run() -> None:
        out = Outflow(Caller().send, tmp_path, idle=0.2)
        await out.begin([])
        out.put(b"x")
        for _ in range(6):
            await out.within(asyncio.sleep(0.1))
        with pytest.raises(IdleError):
            await out.within(asyncio.sleep(5))
        out.close()

    asyncio.run(run())


def test_a_failure_to_send_is_raised(tmp_path: Path) -> None:
    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    async def run() -> None:
        out = Outflow(send, tmp_path, idle=5)
        await out.begin([])
        out.put(b"x")
        with pytest.raises(OSError, match="gone"):
            await out.end()
        out.close()

    asyncio.run(run())
