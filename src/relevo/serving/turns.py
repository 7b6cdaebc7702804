"""Single requests that arrive one after the other are answered together.

They are gathered turn by turn of the event loop for as long as more are coming, which takes microseconds: one
call of the model and one write of the journal serve them all. A request that is alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)
CHUNK = 256
"""Rows of a list between two turns of the event loop: about 2 ms."""
ENOUGH = 64
"""Requests that are answered together without a further look."""


class Ask(NamedTuple):
    """One request: its body, who asks (a caller's id as bytes), and who is to be told the answer."""

    body: bytes
    caller: bytes
    tell: Callable[[bytes | Exception], None]
    via: bytes = b""
    """The page by which it came, for the log."""


class Turns:
    """Gathers requests for ``answer``, which gives each its answer or its error, in order."""

    def __init__(self, answer: Callable[[Sequence[Ask]], Sequence[bytes | Exception]]) -> None:
        self._answer = answer
        self._asks: list[Ask] = []

    def join(self, ask: Ask) -> None:
        """Have a request answered with those that come with it; ``tell`` is called from the event loop."""
        if not self._asks:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._look_round, loop, 1)
        self._asks.append(ask)

    def _look_round(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Answer those who have come, unless more came since the last look: then others may be on their way."""
        come = len(self._asks)
        if seen < come < ENOUGH:
            loop.call_soon(self._look_round, loop, come)
            return
        asks, self._asks = self._asks, []
        answers: Sequence[bytes | Exception]
        try:
            answers = self._answer(asks)
        except Exception as error:  # noqa: BLE001 - nobody may be left waiting
            answers = [error] * len(asks)
        for ask, answer in zip(asks, answers, strict=True):
            try:
                ask.tell(answer)
            except Exception:  # noqa: BLE001 - logged; one connection's trouble is not the others'
                _log.exception("an answer was not told")
