"""The application: a door, behind it the routes on the hot path, and FastAPI for everything else."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.journal import COUNTS, LABELS, Journal
from relevo.service import ServiceSettings, per_second
from relevo.serving.access import Access
from relevo.serving.accesslog import AccessLog
from relevo.serving.admin import Admin
from relevo.serving.board import Board, Share
from relevo.serving.collecting import collector_of
from relevo.serving.counting import Counting
from relevo.serving.door import PREDICT, Door
from relevo.serving.explaining import Explainer
from relevo.serving.follow import POLL, Follower
from relevo.serving.ids import Ids
from relevo.serving.labelling import Labeller
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
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from relevo.workspace import Workspace

KEEP_ALIVE = 75
"""Seconds that a connection may rest between two requests."""
_TELL = 0.5  # seconds between two times that the other workers are told


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
        settings: ServiceSettings,
        *,
        alias: str,
        poll: float,
        workers: int,
        collect: bool,
        page: Callable[[App], ASGIApp] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.journal = Journal.open(workspace.logs)
        self.labels = Journal.open(workspace.logs, LABELS)
        self.counts = Journal.open(workspace.logs, COUNTS)
        self.counting = Counting(self.counts, self.metrics, cells=settings.feature_metrics)
        self._ids = Ids()
        self.predict = Predict(
            self.journal,
            self.metrics,
            self._ids,
            self.counting,
            project=project,
            alias=alias,
            max_body=settings.max_body,
            max_rows=settings.max_rows,
            seconds=settings.timeout,
        )
        self.access = _access(workspace, project, settings)
        self.limits = Limits(workers)
        journals = [self.journal, self.labels, self.counts]
        self.collector = collector_of(workspace, journals) if collect else None
        self.follower = Follower(
            workspace, project, alias, self.predict, self.metrics, self.access, self.collector, poll=poll
        )
        self.admin = Admin(self, workspace.logs, project, alias, settings)
        self._log = AccessLog(settings.access_log) if settings.access_log is not None else None
        self.door = self._door(self._raw(workspace, project))
        self.door.page = page(self) if page is not None else None
        self._answer: ASGIApp = self.door
        self._traces: Traces | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._alone = True

    def _raw(self, workspace: Workspace, project: str) -> dict[tuple[str, str], ASGIApp]:
        """Give the routes that need no FastAPI."""
        explainer = Explainer(self.predict)
        self.predict.explainer = explainer
        labeller = Labeller(self.predict, self.labels, self.metrics, project, max_rows=self.settings.max_rows)
        return {
            ("POST", PREDICT): self.predict,
            ("POST", "/v1/explain"): Posted(explainer.asked, self.settings),
            ("POST", "/v1/labels"): Posted(labeller.asked, self.settings),
            ("POST", "/v1/score"): Scoring(self.predict, self.metrics, workspace.logs.parent / "scratch"),
        }

    def _door(self, raw: Mapping[tuple[str, str], ASGIApp]) -> Door:
        return Door(
            self.predict,
            raw,
            self.admin.rest,
            access=self.access,
            limits=self.limits,
            metrics=self.metrics,
            ids=self._ids,
            log=self._log,
            most=self.settings.max_concurrency,
            root=self.settings.root_path,
        )

    def begin(self, worker: Worker) -> None:
        """Be this process's application: load what answers, unless that was done before the fork and still holds."""
        self._alone = worker.alone
        self.metrics.started = time.time()
        self.share = Share(worker.board, worker.number, self.metrics, str(worker.number), self._gauges)
        self.limits.begin(worker.number)
        if self.collector is not None:
            self.collector.lead = worker.number == 0
        found = self.follower.look()  # also after a fork, which may be long after what it inherits was loaded
        if found is not None:
            self.follower.take(found)
        self.follower.begin(lead=worker.number == 0, gather=self._tallies)

    def _tallies(self) -> list[Any]:
        return [self.share.total()[0].tally.to_json()]

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
                self._tasks = [
                    asyncio.create_task(self._tell()),
                    asyncio.create_task(sweep(self.door.wires, patience=patience, keep_alive=KEEP_ALIVE)),
                ]
                give_back()
                gc.freeze()  # what was loaded stays: do not walk through it again at each collection
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _trace(self) -> None:
        """Put a span around each request, when that is asked for; then there is no short way."""
        if self.settings.traces:
            self._traces = Traces(self.door, self.predict.project, self._version)
            self._answer, self.door.short = self._traces.app, False

    def _version(self) -> str:
        served = self.predict.served
        return served.version.version if served is not None else ""

    async def _tell(self) -> None:
        while True:
            await self.counting.tick()
            self.share.publish()
            await asyncio.sleep(_TELL)

    def _gauges(self) -> dict[str, Any]:
        return {
            "version": self._version(),
            "ledger_up": self.metrics.ledger_up,
            "unsynced": round(max(self.journal.unsynced, self.labels.unsynced), 3),
            "recorded": self.follower.shown,
            "sync_seconds": round(max(self.journal.sync_seconds, self.labels.sync_seconds), 6),
        }

    async def _stop(self) -> None:
        loop = asyncio.get_running_loop()
        await self.follower.stop()
        for task in self._tasks:
            task.cancel()
        self.access.close()
        if self._traces is not None:
            await loop.run_in_executor(None, self._traces.close)
        self.counting.flush()
        for journal in (self.journal, self.labels, self.counts):
            journal.close()
        if self._log is not None:
            self._log.close()
        self.share.publish()
        if self.collector is not None:
            end = self.collector.finish if self._alone else self.collector.wait
            await loop.run_in_executor(None, end)


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
    workers: int = 1,
    collect: bool = True,
    begin: bool = True,
    page: Callable[[App], ASGIApp] | None = None,
) -> App:
    """Make the application that answers for ``alias``, and load what it stands for now.

    ``settings`` are the workspace's own by default. ``poll`` is how often, in seconds, the ledger is asked
    whether the alias moved. ``collect`` starts ``relevo collect`` for complete segments of the journal. Raises
    ``WorkspaceError`` when predictions could not be logged. Without ``begin`` nothing is loaded yet, and the
    application may be carried over the forks of as many ``workers``, which share the limits of callers. ``page``
    makes the application that answers below ``PAGE``, which admits its visitors itself.
    """
    chosen = (workspace.settings.serve if settings is None else settings).below(workspace.project)
    app = App(
        workspace, project_name, chosen, alias=alias, poll=poll, workers=workers, collect=collect, page=page
    )
    if begin:
        app.begin(Worker(Board(1)))
    return app
