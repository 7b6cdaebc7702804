"""What the ledger records of runs, steps, windows and alerts, as figures under ``/metrics``.

One process of a service asks, off the path of answers, and only when something was committed: on SQLite the files tell
that, elsewhere it asks every ``PAUSE`` seconds. The others read what it found on the board.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from relevo import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from relevo.ledger import Ledger
    from relevo.records import Step, Window

    Sample = tuple[Mapping[str, object], float]
    Add = Callable[[str, str, str, Iterable[Sample]], None]

PAUSE = 15.0
_STEPS = 300  # the newest that are looked at
_STEP_FIGURES = (
    ("wall_seconds", "relevo_step_seconds", "How long a step took when it was last done."),
    ("cpu_seconds", "relevo_step_cpu_seconds", "Processor time of a step when it was last done."),
    ("peak_rss_bytes", "relevo_step_peak_memory_bytes", "The most memory of a step when it was last done."),
    ("rows_out", "relevo_step_rows", "Rows that a step gave when it was last done."),
    ("bytes_out", "relevo_step_bytes", "Bytes that a step wrote when it was last done."),
    ("at", "relevo_step_timestamp_seconds", "When a step was last done."),
)


class Recorded:
    """The figures of a project, as plain JSON in ``found``; None before the first look."""

    def __init__(self, ledger: Ledger, project: str) -> None:
        self._ledger, self._project = ledger, project
        self._stamp: object = None
        self._next = 0.0
        self.found: dict[str, Any] | None = None

    def look(self) -> None:
        """Ask the ledger, if it is time to and something may be new; raises ``LedgerError``."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PAUSE
        stamp = self._ledger.stamp()
        if stamp is not None and stamp == self._stamp:
            return
        self.found = {
            "steps": [_step(step) for step in self._steps()],
            "runs": self._runs(),
            "windows": [_window(window) for window in self._ledger.watch.newest(self._project)],
            "alerts": self._alerts(),
            "messages": self._ledger.outbox.waiting(self._project),
        }
        self._stamp = stamp

    def _steps(self) -> list[Step]:
        """Of each step the newest time that it was done."""
        newest = {
            step.name: step for step in self._ledger.costs(self._project, until=clock.now(), limit=_STEPS)
        }
        return list(newest.values())

    def _runs(self) -> dict[str, float]:
        """When a run last ended, by how."""
        return {status: _seconds(at) for status, at in self._ledger.ended(self._project).items()}

    def _alerts(self) -> list[list[Any]]:
        alarms = self._ledger.alerts.all(self._project)
        counted = Counter((alarm.severity, alarm.state) for alarm in alarms)
        return [[*key, n] for key, n in sorted(counted.items())]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _step(step: Step) -> dict[str, Any]:
    figures = {name: getattr(step, name) for name, *_ in _STEP_FIGURES if name != "at"}
    return {"step": step.name, **figures, "at": _seconds(step.started_at)}


def _window(window: Window) -> dict[str, Any]:
    signals: Mapping[str, Any] = window.figures.get("signals") or {}
    return {
        "of": {"source": window.source, "unit": window.unit},
        "ended": _seconds(window.ended_at),
        "rows": window.rows,
        "psi": {name: (signal.get("psi") or {}).get("value") for name, signal in signals.items()},
        "findings": Counter(str(finding["severity"]) for finding in window.findings),
    }


def expose(add: Add, found: Mapping[str, Any]) -> None:
    """Write what was found as Prometheus' text."""
    _steps(add, found["steps"])
    runs = (({"status": status}, at) for status, at in found["runs"].items())
    add("relevo_run_finished_timestamp_seconds", "gauge", "When a run last ended, by how it did.", runs)
    _windows(add, found["windows"])
    alerts = (({"severity": severity, "state": state}, n) for severity, state, n in found["alerts"])
    add("relevo_alerts", "gauge", "Relevo's own alerts that are not resolved.", alerts)
    waiting = (({"channel": channel}, n) for channel, n in found["messages"].items())
    add("relevo_messages_waiting", "gauge", "Messages about alerts that are not sent yet.", waiting)


def _steps(add: Add, steps: Iterable[Mapping[str, Any]]) -> None:
    for name, metric, help_ in _STEP_FIGURES:
        add(metric, "gauge", help_, [({"step": step["step"]}, step[name]) for step in steps])


def _windows(add: Add, windows: Iterable[Mapping[str, Any]]) -> None:
    for name, metric, help_ in (
        ("ended", "relevo_window_ended_timestamp_seconds", "When the newest window that was watched ended."),
        ("rows", "relevo_window_rows", "Rows of the newest window."),
    ):
        add(metric, "gauge", help_, [(window["of"], window[name]) for window in windows])
    moved = (
        ({**window["of"], "feature": feature}, psi)
        for window in windows
        for feature, psi in window["psi"].items()
        if psi is not None
    )
    help_ = "Population stability index of a feature in the newest window, corrected for chance."
    add("relevo_window_psi", "gauge", help_, moved)
    told = (
        ({**window["of"], "severity": severity}, n)
        for window in windows
        for severity, n in window["findings"].items()
    )
    add("relevo_window_findings", "gauge", "What stood out in the newest window.", told)
