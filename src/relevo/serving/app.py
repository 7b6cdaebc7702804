"""The application: a door, behind it the routes on the hot path, and FastAPI for everything else."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING

from relevo.journal import Journal
from relevo.service import ServiceSettings, per_second
from relevo.serving.access import Access
from relevo.serving.accesslog import AccessLog
from relevo.serving.admin import Admin
from relevo.serving.collecting import Collector
from relevo.serving.door import PREDICT, Door
from relevo.serving.follow import POLL, Follower
from relevo.serving.ids import Ids
from relevo.serving.limits import Limits
from relevo.serving.memory import give_back
from relevo.serving.metrics import Metrics
from relevo.serving.posted import Posted
from relevo.serving.predict import Predict
from relevo.serving.scoring import Scoring
from relevo.serving.tokens import Tokens
from relevo.serving.tracing import Traces
from relevo.serving.wire import sweep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from relevo.workspace import Workspace

KEEP_ALIVE = 75
"""Seconds that a connection may rest between two requests."""
_log = logging.getLogger(__name__)


class App:
    """An ASGI application. Made by ``create_app``; one for each process."""

    def __init__(
        self,
        workspace: Workspace,
        project: str,
        settings: ServiceSettings,
        *,
        alias: str,
        poll: float,
        collect: bool,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.journal = Journal.open(workspace.logs)
        ids = Ids()
        self.predict = Predict(
            self.journal,
            self.metrics,
            ids,
            project=project,
            alias=alias,
            max_body=settings.max_body,
            max_rows=settings.max_rows,
            seconds=settings.timeout,
        )
        self.access = _access(workspace, project, settings)
        self._collector = Collector(workspace, self.journal) if collect else None
        self.follower = Follower(
            workspace, project, alias, self.predict, self.metrics, self.access, self._collector, poll=poll
        )
        self.admin = admin = Admin(self, workspace.logs, project, alias, settings)
        self._access_log = AccessLog(settings.access_log) if settings.access_log is not None else None
        self.limits = Limits()
        self.door = Door(
            self.predict,
            {
                ("POST", PREDICT): self.predict,
                ("POST", "/v1/explain"): self._posted(admin.explainer.asked),
                ("POST", "/v1/score"): Scoring(self.predict, self.metrics, workspace.logs.parent / "scratch"),
            },
            admin.rest,
            access=self.access,
            limits=self.limits,
            metrics=self.metrics,
            ids=ids,
            log=self._access_log,
            most=settings.max_concurrency,
            root=settings.root_path,
        )
        self._answer: ASGIApp = self.door
        self._traces: Traces | None = None
        self._sweeping: asyncio.Task[None] | None = None
        found = self.follower.look()
        if found is not None:
            self.follower.take(found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.follower.start()
                self._trace()
                patience = self.settings.timeout
                self._sweeping = asyncio.create_task(
                    sweep(self.door.wires, patience=patience, keep_alive=KEEP_ALIVE)
                )
                give_back()
                gc.freeze()  # what was loaded stays: do not walk through it again at each collection
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _posted(self, answer: Callable[[bytes, Scope], Awaitable[bytes]]) -> Posted:
        return Posted(answer, limit=self.settings.max_body, seconds=self.settings.timeout)

    def _trace(self) -> None:
        """Put a span around each request, when that is asked for; then there is no short way."""
        if self.settings.traces:
            self._traces = Traces(self.door, self.predict.project, self._version)
            self._answer, self.door.short = self._traces.app, False

    def _version(self) -> str:
        served = self.predict.served
        return served.version.version if served is not None else ""

    async def _stop(self) -> None:
        await self.follower.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self.access.close()
        if self._traces is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._traces.close)
        self.journal.close()
        if self._access_log is not None:
            self._access_log.close()
        if self._collector is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._collector.finish)


def _access(workspace: Workspace, project: str, settings: ServiceSettings) -> Access:
    tokens = Tokens(settings) if settings.jwks is not None else None
    rate = per_second(settings.rate) if settings.rate is not None else None
    return Access(workspace, project, tokens, rate=rate, concurrency=settings.concurrency)


def create_app(
    workspace: Workspace,
    project_name: str,
    *,
    settings: ServiceSettings | None = None,
    alias: str = "champion",
    poll: float = POLL,
    collect: bool = True,
) -> App:
    """Make the application that answers for ``alias``, and load what it stands for now.

    ``settings`` are the workspace's own by default. ``poll`` is how often, in seconds, the ledger is asked
    whether the alias moved. ``collect`` starts ``relevo collect`` for complete segments of the journal. Raises
    ``WorkspaceError`` when predictions could not be logged.
    """
    chosen = (workspace.settings.serve if settings is None else settings).below(workspace.project)
    return App(workspace, project_name, chosen, alias=alias, poll=poll, collect=collect)
