"""The application: predict in front, FastAPI behind it for everything else."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING

from relevo.journal import Journal
from relevo.serving.admin import Admin
from relevo.serving.collecting import Collector
from relevo.serving.follow import POLL, Follower
from relevo.serving.memory import give_back
from relevo.serving.metrics import Metrics
from relevo.serving.predict import MAX_BODY, MAX_ROWS, Predict

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from relevo.workspace import Workspace

PREDICT = "/v1/predict"
_log = logging.getLogger(__name__)


class App:
    """An ASGI application. Made by ``create_app``; one for each process."""

    def __init__(
        self,
        workspace: Workspace,
        project: str,
        *,
        alias: str,
        poll: float,
        max_body: int,
        max_rows: int,
        collect: bool,
    ) -> None:
        self.metrics = Metrics()
        self.journal = Journal.open(workspace.logs)
        self.predict = Predict(
            self.journal, self.metrics, project=project, alias=alias, max_body=max_body, max_rows=max_rows
        )
        self._collector = Collector(workspace, self.journal) if collect else None
        self.follower = Follower(
            workspace, project, alias, self.predict, self.metrics, self._collector, poll=poll
        )
        self._rest = Admin(self, workspace.logs, project, alias, (max_rows, max_body)).rest
        found = self.follower.look()
        if found is not None:
            self.follower.take(found)
        if self.follower.challenger is not None:
            self.follower.challenger.take()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life."""
        if scope["type"] == "http":
            if scope["path"] == PREDICT and scope["method"] == "POST":
                await self.predict(scope, receive, send)
            else:
                await self._other(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other").replace(":path}", "}")
                self.metrics.requests[route, message["status"]] += 1
            await send(message)

        await self._rest(scope, receive, counted)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.follower.start()
                give_back()
                gc.freeze()  # what was loaded stays: do not walk through it again at each collection
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _stop(self) -> None:
        await self.follower.stop()
        self.journal.close()
        if self._collector is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._collector.finish)


def create_app(
    workspace: Workspace,
    project_name: str,
    *,
    alias: str = "champion",
    poll: float = POLL,
    max_body: int = MAX_BODY,
    max_rows: int = MAX_ROWS,
    collect: bool = True,
) -> App:
    """Make the application that answers for ``alias``, and load what it stands for now.

    ``poll`` is how often, in seconds, the ledger is asked whether the alias moved. ``collect`` starts
    ``relevo collect`` for complete segments of the journal. Raises ``WorkspaceError`` when predictions
    could not be logged.
    """
    return App(
        workspace, project_name, alias=alias, poll=poll, max_body=max_body, max_rows=max_rows, collect=collect
    )
