"""Looking at one window: everything that is known of it becomes figures, and what stands out becomes findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import drift, multivariate, volume
from relevo.examine import examine, phases
from relevo.findings import SEVERITIES, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from relevo.bins import Signal
    from relevo.budget import Risks
    from relevo.monitor.arrivals import Observed
    from relevo.monitor.baselines import Reference
    from relevo.monitoring import Monitor
    from relevo.records import Window


@dataclass(frozen=True)
class Looked:
    """What a window showed: figures in the shape that ``Window`` keeps, and findings."""

    figures: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, name: str, figures: Any, findings: Sequence[Finding | None] = ()) -> None:
        """Add a part."""
        self.figures[name] = figures
        self.findings.extend(one for one in findings if one is not None)

    def ordered(self) -> list[Finding]:
        """The findings, the gravest and least likely first."""
        return sorted(self.findings, key=lambda one: (SEVERITIES.index(one.severity), one.p or 0.0))


def look(
    observed: Observed,
    reference: Reference,
    monitor: Monitor,
    *,
    unit: str,
    risks: Risks,
    before: Sequence[Window],
) -> Looked:
    """Compare the distributions and the volume of a window with the reference, and with the windows ``before`` it."""
    looked = Looked({"rows": observed.rows, "whole": observed.whole})
    phase = phase_of(unit, observed.began)
    looked.add("volume", *_volume(observed, unit, before, risks))
    if observed.rows < monitor.minimum_rows:
        return looked
    found = examine(
        reference.bins,
        reference.baseline,
        observed.counts,
        phase=phase,
        risks=risks,
        drift=monitor.drift,
        derived=reference.derived,
    )
    looked.add("signals", _signals(observed, reference, found.p), found.findings)
    unlike = None
    if observed.errors is not None and reference.baseline.errors is not None:
        unlike = multivariate.compare(
            reference.baseline.errors, reference.baseline.phase, observed.errors, phase
        )
    told = multivariate.finding(unlike, risks.of("multivariate"))
    looked.add("multivariate", None if unlike is None else _unlike(unlike), [told])
    return looked


def phase_of(unit: str, began: str) -> int:
    """The phase of a window that began at a local time, with its offset or without."""
    if unit == "batch" or not began:
        return 0
    return int(phases(unit, [np.datetime64(datetime.fromisoformat(began).replace(tzinfo=None))])[0])


def _place(unit: str, began: str) -> int:
    """Whose like says how many rows are usual: the phase, but of hours that of the week."""
    if unit != "hour" or not began:
        return phase_of(unit, began)
    local = datetime.fromisoformat(began)
    return 24 * local.weekday() + local.hour


def _volume(
    observed: Observed, unit: str, before: Sequence[Window], risks: Risks
) -> tuple[Mapping[str, float] | None, list[Finding | None]]:
    if not observed.whole:
        return None, []
    known = [
        (_place(unit, window.figures.get("began", "")), window.rows)
        for window in before
        if window.figures.get("whole", True)
    ]
    found, figures = volume.judge(observed.rows, known, _place(unit, observed.began), risks)
    return figures, [found]


def _signals(
    observed: Observed, reference: Reference, p: Mapping[str, float]
) -> dict[str, Mapping[str, Any]]:
    """Each signal's distances from the whole reference; ``p`` is by the baseline, which knows how that moves itself."""
    signals = reference.bins.signals
    whole = reference.baseline.counts.sum(axis=0)
    binned = [_binned(signal) for signal in signals]
    before, seen = ([_cells(signal, counts) for signal in signals] for counts in (whole, observed.counts))
    return {
        shift.name: {**shift.to_json(), "p": p[shift.name]} for shift in drift.shifts(binned, before, seen)
    }


def _binned(signal: Signal) -> drift.Binning:
    if signal.kind in drift.ORDERED:
        return drift.Binning(name=signal.name, kind=signal.kind, edges=signal.edges)
    levels = signal.cells[:-1] if signal.kind == drift.TEXT else signal.cells
    return drift.Binning(name=signal.name, kind=signal.kind, levels=levels)


def _cells(signal: Signal, counts: NDArray[np.int64]) -> list[int]:
    """The counts of a signal in the order of its ``Binning``."""
    seen, missing, strange = (
        signal.of(counts).tolist(),
        int(counts[signal.missing]),
        int(counts[signal.strange]),
    )
    if signal.kind in drift.ORDERED:
        return [*seen, missing]
    if signal.kind == drift.TEXT:
        return [*seen[:-1], seen[-1] - strange, strange, missing]
    return [*seen, 0, 0, missing]


def _unlike(found: multivariate.Unlike) -> dict[str, float]:
    return {"value": found.value, "expected": found.expected, "p": found.p}
