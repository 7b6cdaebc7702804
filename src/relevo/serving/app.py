"""The application: predict in front, FastAPI behind it for everything else."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.journal import LABELS, Journal
from relevo.serving.admin import Admin
from relevo.serving.board import Board, Share
from relevo.serving.collecting import Collector
from relevo.serving.follow import POLL, Follower
from relevo.serving.memory import give_back
from relevo.serving.metrics import Metrics
from relevo.serving.predict import MAX_BODY, MAX_ROWS, Predict

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from relevo.workspace import Workspace

PREDICT = "/v1/predict"
_TELL = 0.5  # seconds between two times that the other workers are told
_log = logging.getLogger(__name__)


class Worker(NamedTuple):
    """Which of a service's processes this is."""

    board: Board
    number: int = 0
    alone: bool = True
    """Whether nobody else collects what it leaves when it stops."""


class App:
    """An ASGI application. Made by ``create_app``, one for each process; or before a fork, then ``begin`` after it.

    Until it begins it holds nothing that must not cross a fork.
    """

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
        self.draining = False
        self.metrics = Metrics()
        self.journal = Journal.open(workspace.logs)
        self.labels = Journal.open(workspace.logs, LABELS)
        self.predict = Predict(
            self.journal, self.metrics, project=project, alias=alias, max_body=max_body, max_rows=max_rows
        )
        self.collector = Collector(workspace, [self.journal, self.labels]) if collect else None
        self.follower = Follower(
            workspace, project, alias, self.predict, self.metrics, self.collector, poll=poll
        )
        self._rest = Admin(self, workspace.logs, project, alias, (max_rows, max_body)).rest

    def begin(self, worker: Worker) -> None:
        """Be this process's application: load what answers, unless that was done before the fork."""
        self._alone = worker.alone
        self.metrics.started = time.time()
        self.share = Share(worker.board, worker.number, self.metrics, str(worker.number), self._gauges)
        if self.collector is not None:
            self.collector.lead = worker.number == 0
        if self.predict.served is None:
            found = self.follower.look()
            if found is not None:
                self.follower.take(found)

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
                self._telling = asyncio.create_task(self._tell())
                give_back()
                gc.freeze()  # what was loaded stays: do not walk through it again at each collection
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _tell(self) -> None:
        while True:
            self.share.publish()
            await asyncio.sleep(_TELL)

    def _gauges(self) -> dict[str, Any]:
        served = self.predict.served
        return {
            "version": served.version.version if served else "",
            "ledger_up": self.metrics.ledger_up,
            "unsynced": round(max(self.journal.unsynced, self.labels.unsynced), 3),
            "sync_seconds": round(max(self.journal.sync_seconds, self.labels.sync_seconds), 6),
        }

    async def _stop(self) -> None:
        await self.follower.stop()
        self._telling.cancel()
        self.journal.close()
        self.labels.close()
        self.share.publish()
        if self.collector is not None:
            end = self.collector.finish if self._alone else self.collector.wait
            await asyncio.get_running_loop().run_in_executor(None, end)


def create_app(
    workspace: Workspace,
    project_name: str,
    *,
    alias: str = "champion",
    poll: float = POLL,
    max_body: int = MAX_BODY,
    max_rows: int = MAX_ROWS,
    collect: bool = True,
    begin: bool = True,
) -> App:
    """Make the application that answers for ``alias``, and load what it stands for now.

    ``poll`` is how often, in seconds, the ledger is asked whether the alias moved. ``collect`` starts
    ``relevo collect`` for complete segments of the journal. Raises ``WorkspaceError`` when predictions
    could not be logged. Without ``begin`` nothing is loaded yet, and the application may be carried over forks.
    """
    app = App(
        workspace, project_name, alias=alias, poll=poll, max_body=max_body, max_rows=max_rows, collect=collect
    )
    if begin:
        app.begin(Worker(Board(1)))
    return app
