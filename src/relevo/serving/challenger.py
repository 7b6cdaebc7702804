"""What is tried beside the champion: the canary that answers a share of the callers, or the shadow."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relevo import lookups
from relevo.errors import LedgerError, RelevoError
from relevo.package import ModelPackage
from relevo.records import Strategy
from relevo.serving import shadowing
from relevo.serving.canary import Canary
from relevo.serving.served import Served
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.records import Materialisation, Release
    from relevo.serving.guard import Tally
    from relevo.serving.metrics import Metrics
    from relevo.serving.predict import Predict
    from relevo.serving.shadowing import Keeper
    from relevo.workspace import Workspace

_RETRY = 5.0  # seconds before a package that could not be loaded is tried again
_SHADOWED = ("answered", "differing", "refused", "failed", "skipped")
_log = logging.getLogger(__name__)


class Challenger:
    """Follows the alias ``challenger``. ``note`` says what is wrong at the moment, ``strategy`` what is tried."""

    def __init__(
        self, workspace: Workspace, project: str, predict: Predict, metrics: Metrics, keeper: Keeper | None
    ) -> None:
        self.note = ""
        self._keeper = keeper
        self._release: Release | None = None
        self.strategy: Strategy | None = None
        self._workspace, self._project = workspace, project
        self._predict, self._metrics = predict, metrics
        self._news: Any = None
        self._again = 0.0
        self._wanted: Canary | None = None

    def look(self, news: object, release: Release | None) -> None:
        """Load what the alias stands for by ``release``, if the ledger's ``news`` are new. For a thread."""
        if news != self._news or 0 < self._again <= time.monotonic():
            self._ask(release)
            self._news = news
        if self._keeper is not None:
            shadow = self.strategy is not None and self.strategy.mode == "shadow"
            self._keeper.tick(self._release if shadow else None)

    def stop(self) -> None:
        """Stop the shadow, and wait for it."""
        if self._keeper is not None:
            self._keeper.stop()

    def _ask(self, release: Release | None) -> None:
        try:
            self._wanted = self._canary(release)
            self._again, self.note = 0.0, ""
        except LedgerError as error:  # it is away: what is tried goes on, and it is asked again
            self._again, self.note = time.monotonic() + _RETRY, str(error)
            return
        except RelevoError as error:
            self._again = time.monotonic() + _RETRY
            self._wanted = None
            if str(error) != self.note:
                self._metrics.refused_packages += 1
                self.note = str(error)
                _log.error("%s", error)
        self.strategy = Strategy.of(release) if release is not None and release.facts else None
        self._release = release

    def described(self, tally: Tally) -> dict[str, Any] | None:
        """What is shown of it, with what is counted in ``tally``; None when nothing is tried."""
        if self.strategy is None:
            return None
        counted: dict[str, Any] = {}
        if self._wanted is not None:
            counts = tally.tried(self._wanted.release.number).to_json()
            counted = {outcome: counts[outcome] for outcome in ("answered", "refused", "failed")}
        elif self.strategy.mode == "shadow":
            shadow = shadowing.counted(self._workspace.own, self.strategy.release)
            counted = {name: shadow.get(name, 0) for name in _SHADOWED}
        return {**asdict(self.strategy), "note": self.note, "counts": counted}

    def _canary(self, release: Release | None) -> Canary | None:
        if release is None or release.facts.get("mode") != "canary":
            return None
        ledger = self._workspace.ledger
        version = ledger.version(self._project, release.version)
        assert version is not None, release  # the ledger's foreign key
        known = self._wanted.served if self._wanted is not None else None
        same = known is not None and known.version.version == version.version
        package = (
            known.package
            if known is not None and same
            else ModelPackage.load(self._workspace.blobs.folder(version.digest))
        )
        made: dict[str, Materialisation] = lookups.facts(ledger, package)
        if self._wanted is not None and self._wanted.release == release and self._wanted.served.made == made:
            return self._wanted
        files = lookups.opened(self._workspace.lookups, package, made)
        served = Served(package, version, release, files, made)
        return Canary(served, Strategy.of(release), release, self._metrics)

    def take(self) -> None:
        """Let what was loaded answer its share; on the event loop."""
        before, wanted = self._predict.canary, self._wanted
        if wanted is before:
            return
        self._predict.attempt(wanted)
        if wanted is None:
            assert before is not None
            version = before.strategy.version
            _log.info("%s", t("Version {version} is a canary no longer.", version=version))
            return
        _log.info(
            "%s",
            t(
                "Version {version} answers {share:.1%} of the callers as a canary.",
                version=wanted.strategy.version,
                share=wanted.strategy.share,
            ),
        )
