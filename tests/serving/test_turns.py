"""Whoever asks is told something."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from relevo.serving.turns import Ask, Turns

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_all_are_told_when_nothing_can_be_answered() -> None:
    told: list[bytes | Exception] = []
    error = RuntimeError("nothing can be answered")

    def answer(_asks: Sequence[Ask]) -> Sequence[bytes | Exception]:
        raise error

    async def ask() -> None:
        turns = Turns(answer)
        for _ in range(3):
            turns.join(Ask(b"{}", b"", told.append))
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(ask())
    assert told == [error] * 3
