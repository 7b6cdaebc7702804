"""Examine: one window's counts against the baseline, and what that tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from relevo.findings import NOTE, WARN, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from relevo.baseline import Baseline, Test
    from relevo.bins import Bins, Signal
    from relevo.budget import Risks

    Numbers = NDArray[np.int64]

BROKEN = 0.02
"""The share of the rows that must be missing or strange beyond what is expected to be told."""
CALENDAR = 0.5
"""The correlation of rows in a block from which a feature is one of the calendar: new values come with new months."""
_TESTS = 3  # of a feature: what it is, where it is missing, where it is strange
_SHOWN = 3  # cells that are named


class Examined(NamedTuple):
    """What was found, worst first, and the p-value of each signal by name."""

    findings: list[Finding]
    p: dict[str, float]


def examine(
    bins: Bins,
    baseline: Baseline,
    counts: Numbers,
    *,
    phase: int,
    risks: Risks,
    drift: float,
    derived: frozenset[str] = frozenset(),
) -> Examined:
    """Compare a window's counts with the baseline.

    ``phase`` is the window's, as the baseline counts them; ``drift`` the least share of rows that must have moved.
    Of features that are ``derived`` from what happened nothing is broken when they are missing or strange: they moved.
    """
    features = [one for one in bins.signals if one.kind not in ("score", "pair")]
    found: list[Finding] = []
    p = {}
    for signal in bins.signals:
        kind = {"score": "score", "pair": "pairs"}.get(signal.kind, "features")
        number = _TESTS * len(features) if kind == "features" else len(bins.signals) - len(features) - 1
        risk = risks.of(kind, 1 if kind == "score" else number)
        looked = kind == "features" and signal.name not in derived
        broken = _broken(signal, baseline, counts, phase, risk) if looked else []
        test, moved = _moved(signal, baseline, counts, phase)
        p[signal.name] = test.p
        found += broken
        if not broken and test.p <= risk and moved >= drift:
            found.append(_drift(signal, counts, test, moved))
    return Examined(sorted(found, key=lambda one: (one.severity == NOTE, one.p or 0.0)), p)


def _moved(signal: Signal, baseline: Baseline, counts: Numbers, phase: int) -> tuple[Test, float]:
    """Test a signal's known values, and give the share of them that moved (total variation)."""
    seen = signal.of(counts)
    test = baseline.cells(signal.start, signal.missing).test(seen, phase)
    n = seen.sum()
    return test, float(np.abs(seen / n - test.expected).sum() / 2) if n else 0.0


def _drift(signal: Signal, counts: Numbers, test: Test, moved: float) -> Finding:
    seen = signal.of(counts)
    shares = seen / seen.sum()
    order = np.argsort(-np.abs(shares - test.expected), kind="stable")[:_SHOWN]
    words = "; ".join(
        f"{signal.cells[cell]}: {test.expected[cell]:.1%} → {shares[cell]:.1%}" for cell in order
    )
    return Finding(
        kind="score" if signal.kind == "score" else "drift",
        about="" if signal.kind == "score" else signal.name,
        severity=NOTE,
        value=moved,
        rows=int(seen.sum()),
        p=test.p,
        facts={"moved": words},
    )


def _broken(signal: Signal, baseline: Baseline, counts: Numbers, phase: int, risk: float) -> list[Finding]:
    """What is missing or strange beyond what is expected."""
    reference = baseline.counts[:, signal.start : signal.missing].sum(axis=1)
    whole = reference + baseline.counts[:, signal.missing]
    known = int(signal.of(counts).sum())
    rows = known + int(counts[signal.missing])
    looked = [("nulls", signal.missing, whole, rows)]
    if baseline.cells(signal.start, signal.missing).rho < CALENDAR:
        looked.append(("unseen" if signal.kind == "text" else "range", signal.strange, reference, known))
    found = []
    for kind, cell, of, n in looked:
        if n == 0:
            continue
        count = int(counts[cell])
        test = baseline.counted(cell, of).rare(count, n, 0, phase)
        share, expected = count / n, float(test.expected[0])
        gap = abs(share - expected) if kind == "nulls" else share - expected
        if test.p <= risk and gap >= BROKEN:
            found.append(
                Finding(
                    kind=kind,
                    about=signal.name,
                    severity=WARN,
                    value=share,
                    expected=expected,
                    rows=n,
                    p=test.p,
                )
            )
    return found


def phases(unit: str, times: Sequence[Any] | NDArray[np.datetime64]) -> Numbers:
    """The phase of windows that begin at local ``times``: the hour, the weekday from Monday, or none."""
    moments = np.asarray(times, "datetime64[h]")
    hours = moments.astype(np.int64)
    if unit == "hour":
        return hours % 24
    if unit == "day":
        return (hours // 24 + 3) % 7  # the epoch was a Thursday
    return np.zeros(len(moments), np.int64)
