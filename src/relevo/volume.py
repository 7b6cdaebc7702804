"""Did as many rows come as usual? The window before this one's weeks ago say what is usual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relevo.findings import PAGE, WARN, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.budget import Risks

WEEKS = 8
"""How far back is looked."""
FEWEST = 14
"""Windows from which something is usual."""
LEAST = 0.5
"""Rows must at least halve or double to be told of, however certain it is."""


def judge(
    rows: int, before: Sequence[tuple[int, int]], phase: int, risks: Risks
) -> tuple[Finding | None, dict[str, float] | None]:
    """Judge a window's rows by (phase, rows) of the windows before it; gives a finding, and what was expected.

    The logarithm of the rows is taken to vary around its phase's mean alike in all phases, and no less than the
    number of independent events does. A phase seen less than twice is not judged while there are others.
    """
    from scipy.special import pdtr, pdtrc, stdtrit

    if len(before) < FEWEST:
        return None, None
    logs = np.log1p([float(count) for _, count in before])
    places = np.array([place for place, _ in before])
    known = [place for place in np.unique(places) if np.count_nonzero(places == place) > 1]
    means = {int(place): float(logs[places == place].mean()) for place in known}
    whole = float(logs.mean())
    if phase not in means and len(np.unique(places)) > 1:
        return None, None
    seasonal = len(known) > 1
    middle = (
        np.array([means.get(int(place), whole) for place in places])
        if seasonal
        else np.full(len(logs), whole)
    )
    degrees = len(logs) - (len(known) if seasonal else 1)
    spread = float(np.sqrt(((logs - middle) ** 2).sum() / max(degrees, 1)))
    same = np.count_nonzero(places == phase) if seasonal else len(logs)
    expected = means[phase] if seasonal else whole
    risk = risks.of("volume")
    reach = float(-stdtrit(max(degrees, 1), risk / 2)) * spread * np.sqrt(1 + 1 / same)
    reach = max(reach, -np.log(LEAST))
    low, high = np.expm1(expected - reach), np.expm1(expected + reach)
    usual = {"expected": float(np.expm1(expected)), "low": float(max(low, 0.0)), "high": float(high)}
    figures = {"rows": float(rows), **usual}
    chance = pdtr(rows, usual["expected"]) if rows < low else pdtrc(rows - 1, usual["expected"])
    if low <= rows <= high or chance > risk / 2:
        return None, figures
    severity = PAGE if rows == 0 else WARN
    found = Finding(
        kind="volume",
        about="",
        severity=severity,
        value=float(rows),
        rows=rows,
        expected=usual["expected"],
        low=usual["low"],
        high=usual["high"],
    )
    return found, figures
