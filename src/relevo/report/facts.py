"""What a week's report rests on, as records and figures, before any of it is put in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.alarm import Alarm
    from relevo.findings import Finding
    from relevo.records import Decision, Delivery, Job, ModelVersion, Release, Run, Window
    from relevo.report.weeks import Week
    from relevo.trends import Trend


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Answers of one version; ``period`` names the part of a population that was scored, empty for requests."""

    version: str
    rows: int
    positive: int
    period: str = ""


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A finding at its worst in the week, where that was, and in how many windows it was seen."""

    finding: Finding
    window: Window
    times: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is known of a week; ``unread`` names parts that could not be read, with the reason."""

    project: str
    description: str
    positive: str
    """What a positive answer is called."""
    metrics: Sequence[str]
    """The metrics that matter, first the one that is monitored."""
    week: Week
    over: bool
    """Whether the week was over when this was gathered."""
    champion: ModelVersion | None = None
    """What answered when the week ended."""
    answered: Sequence[Counted] = ()
    scored: Sequence[Counted] = ()
    windows: Sequence[Window] = ()
    """Those of the week, the earliest first."""
    reviews: Sequence[Mapping[str, Any]] = ()
    changed: Sequence[Changed] = ()
    """Worst first."""
    alarms: Sequence[Alarm] = ()
    """Those to which something happened in the week, or which are not resolved."""
    failed: Sequence[Delivery] = ()
    """Messages that were given up."""
    decisions: Sequence[Decision] = ()
    runs: Sequence[Run] = ()
    releases: Sequence[Release] = ()
    jobs: Sequence[Job] = ()
    """Scheduled jobs that failed for good."""
    withheld: Sequence[str] = ()
    """The pieces of data that are withheld from learning now, by name."""
    trends: Sequence[Trend] = ()
    unread: Sequence[str] = field(default_factory=list)

    def of(self, *sources: str) -> list[Window]:
        """The windows of some sources."""
        return [one for one in self.windows if one.source in sources]
