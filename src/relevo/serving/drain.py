"""Stopping without a failed request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn import Server

    from relevo.serving.app import App

LINGER = 5.0
"""Seconds that idle connections stay open: what a client sent on one before it knew is answered, as the last."""
_LOOK = 0.02


async def drain(app: App, server: Server) -> None:
    """Take no new connections, say so under ``/ready``, and let each connection end with its next answer.

    Returns once all connections are closed, or after ``LINGER`` seconds; uvicorn then closes the idle ones and
    waits for the answers that are still under way.
    """
    app.door.draining = True
    for listening in server.servers:
        listening.close()
    state = server.server_state
    state.default_headers = [*state.default_headers, (b"connection", b"close")]
    loop = asyncio.get_running_loop()
    end = loop.time() + LINGER
    while state.connections and loop.time() < end:  # noqa: ASYNC110 - the set is uvicorn's, which tells nobody
        await asyncio.sleep(_LOOK)
