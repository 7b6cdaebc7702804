"""An event loop that wakes when it is asked to, to some fifty microseconds.

epoll_wait(2) takes whole milliseconds, and Python rounds up: at a thousand requests a second every one would
leave up to a whole interval late. select(2) takes microseconds, and can wait for the epoll descriptor itself.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import sys
from typing import Any

if sys.platform == "linux":

    class _Punctual(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[Any]:
            if timeout is not None and timeout > 0:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

    def loop() -> asyncio.AbstractEventLoop:
        """Make the loop."""
        return asyncio.SelectorEventLoop(_Punctual())

else:

    def loop() -> asyncio.AbstractEventLoop:
        """Make the loop; kqueue(2) takes nanoseconds already."""
        return asyncio.SelectorEventLoop()
