"""The champion that is watched: its project, its version and its package, and the windows that were looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relevo import budget, clock, lifecycle, volume
from relevo.bins import REQUESTS, SCORES
from relevo.journal import LABELS, PREDICTIONS
from relevo.package import ModelPackage
from relevo.recalibration import recalibrate
from relevo.records import Window, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.definition import Definition
    from relevo.monitor.arrivals import Observed
    from relevo.monitor.look import Looked
    from relevo.recalibration import Recalibration
    from relevo.records import ModelVersion
    from relevo.workspace import Workspace

FILES, ARRIVALS = "files", "arrivals"
BEFORE = 60
"""Earlier windows that say what is usual."""
HOURS = volume.WEEKS * 7 * 24
"""Of hours so many, since their number of rows is that of the hour of the week."""
_TOLD = frozenset({"began", "whole", "refusals", "failures"})
"""The figures of earlier windows that are asked for."""
MOST = 100_000
SPENT = "spent"
"""The figure of a piece that says what it spent of the budget of false alarms."""


@dataclass(frozen=True)
class Watching:
    """What is watched: the project and the version that is its champion, with its package."""

    definition: Definition
    workspace: Workspace
    version: ModelVersion
    package: ModelPackage

    @classmethod
    def of(cls, definition: Definition, workspace: Workspace) -> Watching | None:
        """None while there is no champion."""
        version = workspace.ledger.champion(definition.name)
        if version is None:
            return None
        package = ModelPackage.load(workspace.blobs.folder(version.digest))
        return cls(definition, workspace, version, package)

    @cached_property
    def reference(self) -> lifecycle.Reference:
        """The rows that judged the version, with its answers."""
        return lifecycle.reference(self.definition, self.workspace, self.version.version)

    @cached_property
    def spending(self) -> float:
        """How often all that is watched of this project would spend the budget of false alarms; see ``budget``."""
        lake, sources = self.workspace.lake, [FILES, ARRIVALS]
        sources += [REQUESTS] if lake.exists(PREDICTIONS) else []
        sources += [LABELS] if lake.exists(LABELS) else []
        sources += [SCORES] if self.definition.population is not None else []
        return budget.spending(sources)

    def risks(self, units: Sequence[str], unit: str) -> budget.Risks:
        """What a window of one of the ``units`` of a source may spend."""
        wanted = self.definition.project.monitor
        return budget.risks(wanted.false_alarms, units, unit, spending=self.spending)

    def purse(self, source: str) -> budget.Purse:
        """What is left for the pieces of a source after those that were looked at in the last 30 days.

        A look that lies ahead, since the clock was set back, counts as long past.
        """
        at = clock.now()
        lately = self.workspace.ledger.watch.windows(
            self.definition.name,
            source=source,
            unit="batch",
            looked_since=at - timedelta(days=budget.MONTH),
            limit=MOST,
            every=True,
        )
        share = self.definition.project.monitor.false_alarms / self.spending
        spent = [one.figures.get(SPENT, 0.0) for one in lately if datetime.fromisoformat(one.made_at) <= at]
        return budget.Purse(share - sum(spent), len(spent))

    def recalibration(self, unit: str) -> Recalibration:
        """How outcomes follow from scores in windows of a unit; learned once."""
        made: dict[str, Recalibration] = self.__dict__.setdefault("_recalibrations", {})
        if unit not in made:
            made[unit] = recalibrate(self.reference.blocks(unit))
        return made[unit]

    def window(self, source: str, unit: str, name: str, **facts: Any) -> Window:
        """Record a window of this version; one made of the same is given as it is."""
        made = Window(
            project=self.definition.name,
            source=source,
            unit=unit,
            name=name,
            version=self.version.version,
            made_at=now(),
            **facts,
        )
        return self.workspace.ledger.watch.add_window(made)

    def looked(
        self, looked: Looked, observed: Observed, *, source: str, unit: str, began_at: str, ended_at: str
    ) -> Window:
        """Record what a window showed; times are those of the window in UTC."""
        return self.window(
            source,
            unit,
            observed.name,
            began_at=began_at,
            ended_at=ended_at,
            rows=observed.rows,
            inputs=observed.inputs,
            figures={**looked.figures, "began": observed.began},
            findings=tuple(one.to_json() for one in looked.ordered()),
        )

    def before(self, source: str, unit: str) -> list[Window]:
        """The windows that were looked at, the latest first, of whatever version, with few of their figures."""
        most = HOURS if unit == "hour" else BEFORE
        return self.workspace.ledger.watch.windows(
            self.definition.name, source=source, unit=unit, limit=most, figures=_TOLD
        )

    @cached_property
    def without(self) -> frozenset[str]:
        """The pieces that were withheld when the version was made."""
        run = self.workspace.ledger.find_run(self.version.run)
        return frozenset(run.plan.get("without", ()) if run is not None else ())

    def cleaned(self, table: str) -> tuple[str, list[dict[str, Any]]]:
        """How the run that made the version cleaned a table: the snapshot's id, and its pieces' ``nulls.Counts``."""
        workspace = self.workspace
        made = {step.name: step.output for step in workspace.ledger.steps(self.version.run)}.get("clean", {})
        if "nulls" not in made:
            return "", []
        found: dict[str, Any] = json.loads(workspace.blobs.get(made["nulls"]))
        return made["snapshots"].get(table, ""), list(found.get(table, []))

    def known(self, source: str, unit: str) -> dict[str, str]:
        """What the windows of this version were made of, by name."""
        return self.workspace.ledger.watch.made_of(self.definition.name, source, unit, self.version.version)
