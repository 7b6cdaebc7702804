"""The shadow: a process of its own that answers what was asked of the champion with the challenger.

It reads the journal that the service writes anyway, so nothing on the way of an answer knows of it. It works
when nobody else wants the processor, and rests so that it uses no more than its share of one; what it cannot
keep up with it passes over, and counts. It ends when it is told to, when the service that began it is gone, or
when its release stands no longer.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import orjson

from relevo import disk, lookups
from relevo.errors import RelevoError
from relevo.journal import SHADOWS, Journal
from relevo.package import ModelPackage
from relevo.records import CHALLENGER, Strategy
from relevo.serving.metrics import Metrics
from relevo.serving.problems import Refusal
from relevo.serving.served import Served
from relevo.serving.shadowing import LOCK, STATUS
from relevo.tailing import Tail
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.records import Release
    from relevo.workspace import Workspace

BATCH = 64
"""Requests answered between two rests: 1 or 2 ms of work."""
_QUIET = 0.1  # seconds between two looks when nothing comes
_TELL = 1.0  # seconds between two writings of the counts
_LOOK = 2.0  # seconds between two looks at the ledger
_SEGMENT = 300.0
_log = logging.getLogger(__name__)


class Shadow:
    """One strategy's shadow. ``counts`` are of this process."""

    def __init__(self, workspace: Workspace, release: Release) -> None:
        self.counts = dict.fromkeys(("answered", "differing", "refused", "failed", "skipped"), 0)
        self._workspace, self._release = workspace, release
        self._strategy = Strategy.of(release)
        self._metrics = Metrics()
        self._news: Any = None
        self._served = self._load(None)
        self._tail = Tail(workspace.logs)
        self._journal = Journal.open(workspace.logs, SHADOWS, max_seconds=_SEGMENT)

    def stands(self) -> bool:
        """Whether the strategy is in force as far as is known; takes over newer histories."""
        ledger, project = self._workspace.ledger, self._release.project
        try:
            news = ledger.news(project)
            if news != self._news:
                if ledger.standing(project, CHALLENGER) != self._release:
                    return False
                self._served = self._load(self._served)
                self._news = news
        except RelevoError as error:
            _log.warning("%s", error)
        return True

    def work(self) -> int:
        """Answer what has come, at most a batch, and rest as long as the strategy asks; gives how many came."""
        began = time.process_time()
        lines = self._tail.read(BATCH)
        if lines:
            self._answer(lines)
        self.counts["skipped"] = self._tail.skipped
        used = time.process_time() - began
        time.sleep(max(used * (1 - self._strategy.cpu) / self._strategy.cpu, 0.0 if lines else _QUIET))
        return len(lines)

    def tell(self) -> None:
        """Write the counts where the service reads them, and end a segment that is old."""
        self._journal.roll()
        told = {
            **self.counts,
            "release": self._release.number,
            "pid": os.getpid(),
            "behind": self._tail.waiting(),
        }
        path = self._workspace.own / STATUS
        draft = path.with_suffix(".part")
        with disk.explained(path):
            draft.write_bytes(orjson.dumps(told))
            draft.replace(path)

    def close(self) -> None:
        """Close the journal; what was answered can be collected."""
        self.tell()
        self._tail.close()
        self._journal.close()

    def _load(self, served: Served | None) -> Served:
        ledger = self._workspace.ledger
        version = ledger.version(self._release.project, self._release.version)
        assert version is not None, self._release  # the ledger's foreign key
        package = (
            served.package if served else ModelPackage.load(self._workspace.blobs.folder(version.digest))
        )
        made = lookups.facts(ledger, package)
        if served is not None and served.made == made:
            return served
        files = lookups.opened(self._workspace.lookups, package, made)
        return Served(package, version, self._release, files, made)

    def _answer(self, lines: list[bytes]) -> None:
        served, kept, rows = self._served, [], []
        for asked in self._asked(lines):
            try:
                rows.append(served.features(asked["request"], self._metrics))
            except Refusal as refusal:
                own = refusal.defects[0].kind == "feature"
                self.counts["failed" if own else "refused"] += 1
            else:
                kept.append(asked)
        if not rows:
            return
        answers = []
        for asked, probability in zip(kept, served.package.score(rows).tolist(), strict=True):
            if probability != probability:  # noqa: PLR0124 - NaN
                self.counts["failed"] += 1
            else:
                answers.append(self._line(asked, probability))
        if answers:
            self._journal.write(b"".join(answers))
            self.counts["answered"] += len(answers)

    def _asked(self, lines: list[bytes]) -> Iterator[dict[str, Any]]:
        """What was asked of other versions; a line that is no prediction is passed over."""
        for line in lines:
            try:
                asked = orjson.loads(line)
                if asked["version"] != self._release.version and isinstance(asked["decision"], bool):
                    yield {name: asked[name] for name in ("id", "at", "decision", "request")}
            except (ValueError, KeyError, TypeError):
                self.counts["skipped"] += 1

    def _line(self, asked: dict[str, Any], probability: float) -> bytes:
        served, package = self._served, self._served.package
        decision = probability >= package.threshold
        differs = decision is not asked["decision"]
        self.counts["differing"] += differs
        looked_up = {name: made.sha256[: lookups.SHORT] for name, made in sorted(served.made.items())}
        line: dict[str, Any] = {
            "id": asked["id"],
            "at": asked["at"],
            "project": self._release.project,
            "version": self._release.version,
            "digest": served.version.digest,
            **({"histories": looked_up} if looked_up else {}),
            "probability": probability,
            "decision": decision,
            "label": package.labels[decision],
            "differs": differs,
        }
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def run(workspace: Workspace, number: int) -> None:
    """Shadow for the release of this number until the end.

    Of several services on one workspace one has the shadow, the others wait for it.
    """
    parent, told = os.getppid(), []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service's to answer, who then tells

    def go_on() -> bool:
        return not told and os.getppid() == parent

    lock = disk.lock_file(workspace.own / LOCK)
    while lock is None and go_on():
        time.sleep(1.0)
        lock = disk.lock_file(workspace.own / LOCK)
    release = workspace.ledger.standing(workspace.project_name(), CHALLENGER)
    if lock is None or release is None or release.number != number:
        return
    shadow = Shadow(workspace, release)
    _log.info("%s", t("Version {version} answers as a shadow.", version=release.version))
    tell = look = 0.0
    try:
        while go_on():
            at = time.monotonic()
            if at >= look:
                look = at + _LOOK
                if not shadow.stands():
                    break
            if at >= tell:
                tell = at + _TELL
                shadow.tell()
            shadow.work()
    finally:
        shadow.close()
