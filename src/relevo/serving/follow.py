"""Following an alias: what it stands for is loaded beside the version that answers, then takes its place.

Histories are followed alike: a newer keyed file comes with the version that answers, as one exchange. Everything
slow happens in a thread of its own; the event loop only exchanges one reference. A package that cannot be
loaded, or whose histories are absent or damaged, is refused and what answered before keeps answering; so it does
while the ledger is away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from relevo import lookups
from relevo.errors import LedgerError, RelevoError
from relevo.package import ModelPackage
from relevo.records import CHALLENGER, CHAMPION
from relevo.serving.challenger import Challenger
from relevo.serving.guard import Guard
from relevo.serving.memory import give_back
from relevo.serving.recorded import Recorded
from relevo.serving.served import Served
from relevo.serving.shadowing import Keeper
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from relevo.records import Materialisation, ModelVersion, Release
    from relevo.serving.access import Access
    from relevo.serving.collecting import Collector, Leaving
    from relevo.serving.guard import Counted
    from relevo.serving.metrics import Metrics
    from relevo.serving.predict import Predict
    from relevo.workspace import Workspace

POLL = 0.25
_RETRY = 5.0  # seconds before a package that could not be loaded is tried again
_log = logging.getLogger(__name__)


class Follower:
    """Keeps ``predict`` on the version that ``alias`` stands for. ``note`` says what is wrong at the moment."""

    def __init__(
        self,
        workspace: Workspace,
        project: str,
        alias: str,
        predict: Predict,
        metrics: Metrics,
        access: Access,
        collector: Collector | Leaving | None,
        *,
        poll: float = POLL,
    ) -> None:
        self.note = ""
        self._package: ModelPackage | None = None
        self._workspace, self._project, self._alias = workspace, project, alias
        self._predict, self._metrics, self._collector = predict, metrics, collector
        self._access = access
        self._poll = poll
        self.challenger: Challenger | None = None
        self.guard: Guard | None = None
        self.recorded = Recorded(workspace.ledger, project)
        self._lead = False
        self._news: tuple[str, int] | None = None
        self._tried: Release | None = None
        self._stamp: object = None
        self._again = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="relevo-follow")
        self._task: asyncio.Task[None] | None = None

    def begin(self, *, lead: bool, gather: Callable[[], Iterable[Counted]]) -> None:
        """Take up what is tried beside the champion. One process has the ``lead``: it keeps the shadow, and judges.

        ``gather`` gives the tallies of all processes. The lead also shows what the ledger records.
        """
        self._lead = lead
        if self._alias != CHAMPION:
            return
        keeper = Keeper(self._workspace) if lead and self._collector is not None else None
        self.challenger = Challenger(self._workspace, self._project, self._predict, self._metrics, keeper)
        if lead:
            self.guard = Guard(self._workspace, self._predict, gather)
        if self._news is not None:
            self.challenger.look(self._news, self._tried)
            self.challenger.take()

    def prepare(self) -> None:
        """Load what is needed first, for all that are to be forked from this process; errors are left to them.

        A package without histories answers at once. Files of histories are each process's own, and no
        connection to the ledger stays open.
        """
        with suppress(RelevoError):
            release = next(reversed(self._workspace.ledger.releases(self._project, self._alias)), None)
            if release is not None:
                version = self._version(release)
                self._package = ModelPackage.load(self._workspace.blobs.folder(version.digest))
                if not self._package.histories and (found := self.look()) is not None:
                    self.take(found)
            self.recorded.look()
        self._workspace.ledger.close()

    def look(self) -> Served | None:
        """Ask the ledger once; returns a version to take over, loaded, or None when nothing is new.

        While its file says that nothing was committed it is not asked: the first question of a forked process
        would cost it 8 MB of pages that it shared until then.
        """
        try:
            stamp = self._workspace.ledger.stamp()
            still = stamp is not None and stamp == self._stamp
            self._access.look(still=still)
            found = self._ask(stamp) if not still or self._due() else None
            if self.challenger is not None and self._news is not None:
                self.challenger.look(self._news, self._tried)
        except LedgerError as error:
            if self._metrics.ledger_up:
                _log.warning("%s", error)
            self._metrics.ledger_up, self.note = 0, str(error)
            return None
        except RelevoError as error:
            if str(error) != self.note:
                self._metrics.refused_packages += 1
                self.note = str(error)
                _log.error("%s", error)
            return None
        if not self._metrics.ledger_up:
            _log.info("%s", t("The ledger answers again."))
        self._metrics.ledger_up = 1
        if found is not None or time.monotonic() >= self._again:
            self.note = ""
        return found

    @property
    def shown(self) -> dict[str, Any] | None:
        """What the ledger records, where this process has the lead."""
        return self.recorded.found if self._lead else None

    def _record(self) -> None:
        """See what the ledger records; while it is away, what was seen before stays."""
        with suppress(LedgerError):  # told by the next look
            self.recorded.look()

    def _ask(self, stamp: object) -> Served | None:
        ledger = self._workspace.ledger
        news = ledger.news(self._project)
        if news == self._news and not self._due():
            self._stamp = stamp
            return None
        release = ledger.standing(self._project, self._alias)
        tried = ledger.standing(self._project, CHALLENGER) if self._alias == CHAMPION else None
        version = self._version(release) if release is not None else None
        self._stamp, self._news, self._tried = stamp, news, tried
        if release is None or version is None:
            self._again = 0.0
            return None
        try:
            return self._made(release, version)
        except LedgerError:  # it went away meanwhile: asked again as if it had said nothing
            self._stamp = self._news = None
            raise
        except Exception:
            self._again = time.monotonic() + _RETRY
            raise

    def _made(self, release: Release, version: ModelVersion) -> Served | None:
        """Load what a release stands for; None where it answers under it already. Raises ``RelevoError``."""
        ledger = self._workspace.ledger
        answering = self._predict.served
        same = answering is not None and answering.version.version == version.version
        package = answering.package if answering is not None and same else self._load(version.digest)
        made = lookups.facts(ledger, package)
        if answering is not None and same and made == answering.made:
            self._again = 0.0
            return answering.under(release) if release != answering.release else None
        files = lookups.opened(self._workspace.lookups, package, made)
        self._again = 0.0
        return Served(package, version, release, files, made)

    def _load(self, digest: str) -> ModelPackage:
        """Load a package; the one that was loaded before the fork is there already."""
        before, self._package = self._package, None
        if before is not None and before.digest == digest:
            return before
        return ModelPackage.load(self._workspace.blobs.folder(digest))

    def _version(self, release: Release) -> ModelVersion:
        version = self._workspace.ledger.version(self._project, release.version)
        if version is None:
            raise LedgerError(
                t(
                    "{project}: the released version {version} is not registered.",
                    project=self._project,
                    version=release.version,
                )
            )
        return version

    def _due(self) -> bool:
        return self._again > 0 and time.monotonic() >= self._again

    def start(self) -> None:
        """Begin to follow, on the running event loop."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following; a package being loaded is waited for and dropped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        loop = asyncio.get_running_loop()
        if self.challenger is not None:
            await loop.run_in_executor(self._thread, self.challenger.stop)
        await loop.run_in_executor(None, self._thread.shutdown)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._poll)
            try:
                found = await loop.run_in_executor(self._thread, self.look)
                if self.challenger is not None:
                    self.challenger.take()
                if found is not None:  # before anything that may fail: it is not found a second time
                    self.take(found)
                    del found
                    await loop.run_in_executor(self._thread, give_back)
                self._metrics.tally.age(self._predict.served, self._predict.canary)
                seen = self.guard.look() if self.guard is not None else None
                if seen is not None and self.guard is not None:
                    await loop.run_in_executor(self._thread, self.guard.judge, seen)
                if self._collector is not None:
                    await loop.run_in_executor(self._thread, self._collector.tick)
                if self._lead:
                    await loop.run_in_executor(self._thread, self._record)
            except Exception:  # noqa: BLE001 - logged with its traceback; what answers goes on answering
                _log.exception("following %s failed", self._alias)

    def take(self, found: Served) -> None:
        """Let a loaded version, or the same with newer histories or under another release, answer."""
        before, version = self._predict.served, found.version.version
        self._predict.swap(found)
        for name, made in found.made.items():
            if before is None or before.made.get(name) != made:
                _log.info("%s", _told(made))
        if before is None:
            _log.info("%s", t("Version {version} answers.", version=version))
            return
        old = before.version.version
        if old == version:
            self._metrics.lookup_swaps += self._lead and found.made != before.made
            return
        self._metrics.swaps += self._lead  # of several workers one counts
        _log.info("%s", t("Version {version} answers in place of {before}.", version=version, before=old))


def _told(made: Materialisation) -> str:
    seconds = lookups.age(made)
    return t(
        "The history {name} has {rows:,} rows, the newest known at {newest}, {hours:.1f} hours ago ({digest}).",
        name=made.name,
        rows=made.rows,
        newest=made.newest or "-",
        hours=(seconds or 0.0) / 3600,
        digest=made.sha256[: lookups.SHORT],
    )
