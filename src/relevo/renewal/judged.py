"""Judged: what a window looked for, by the figures that it keeps. Only of that can it say that it is over.

A window whose outcomes are not complete says nothing of a loss, and one with few rows nothing of a drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.alerting import signal_of
from relevo.renewal.decide import CASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relevo.records import Window

_BROKEN = frozenset({"nulls", "unseen", "range"})
_EXAMINED = _BROKEN | {"drift", "score"}
_OF_FILES = {"nulls": "nulls", "refusals": "refused"}
"""What is looked for in a file, before any row of it is used, by the figures that say so."""
_COUNTED = frozenset({"refusals", "failures"})


def judged(window: Window, signals: Iterable[str], *, minimum_rows: int) -> set[str]:
    """Those of the signals that a window looked for; ``minimum_rows`` are the monitor's.

    Of the critical cases none: whoever asks them says so. Of a feature that is broken nothing but that can be seen.
    """
    if window.source == CASES:
        return set()
    hidden = {
        signal_of(f"{kind}:{one['about']}")
        for one in window.findings
        for kind in _EXAMINED
        if one["kind"] in _BROKEN
    }
    return {one for one in signals if one not in hidden and _looked(window, one, minimum_rows)}


def _looked(window: Window, signal: str, minimum_rows: int) -> bool:
    kind, _, about = signal.partition(":")
    figures = window.figures
    if kind == "loss":
        return _is_complete(figures) and _has(figures["realised"], about)
    if kind == "estimated loss":
        return _is_estimated(window, about)
    if kind == "labels":
        return window.rows >= minimum_rows
    if figures.get(_OF_FILES.get(kind, "")) is not None:
        return window.rows > 0
    if kind in _EXAMINED:
        return figures.get("signals") is not None
    found = figures.get(kind)
    return found is not None and (kind not in _COUNTED or found + window.rows > 0)


def _is_complete(figures: Mapping[str, Any]) -> bool:
    realised = figures.get("realised")
    return realised is not None and bool(realised["complete"])


def _is_estimated(window: Window, about: str) -> bool:
    """Whether there is an estimate to be believed, or the outcomes themselves, without a loss."""
    figures = window.figures
    if _is_complete(figures):
        return _has(figures["realised"], about) and all(one["kind"] != "loss" for one in window.findings)
    estimated = figures.get("estimated")
    return estimated is not None and bool(estimated["holds"]) and _has(estimated, about)


def _has(figures: Mapping[str, Any], metric: str) -> bool:
    """Whether a metric could be computed: not where all outcomes were alike, say."""
    return metric not in figures["metrics"] or figures["metrics"][metric]["value"] is not None
