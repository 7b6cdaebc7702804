"""What a service says of itself while it is under load: its processor time and its memory, from ``/metrics``.

Only a Relevo service says it, and where keys are needed only to one with the scope ``read``. Nothing else of a test
depends on it.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo.errors import LoadTestError
from relevo.loadtest.target import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.loadtest.target import Target

METRICS = "/metrics"
_EVERY = 2.0  # seconds
_OK = 200
_SAMPLE = re.compile(r"^([a-z_]+)(\{.*\})? (\S+)$", re.MULTILINE)
_MODEL = re.compile(r'^relevo_model_info\{project="([^"]*)",version="([^"]*)"', re.MULTILINE)


class _Look(NamedTuple):
    """One scrape."""

    at: float
    cpu: float
    requests: float
    resident: float
    children: float
    workers: float
    project: str
    version: str


class Observed:
    """The scrapes of a test."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._looks: list[_Look] = []
        self._over = threading.Event()

    def look(self) -> bool:
        """Scrape once; false when the service says nothing of itself."""
        try:
            status, body = ask(self._target, "GET", METRICS)
        except LoadTestError:
            return False
        text = body.decode("utf-8", "replace")
        if status != _OK or "relevo_requests_total" not in text:
            return False
        sums: dict[str, float] = {}
        for name, _, value in _SAMPLE.findall(text):
            sums[name] = sums.get(name, 0.0) + float(value)
        model = _MODEL.search(text)
        self._looks.append(
            _Look(
                time.monotonic(),
                sums.get("process_cpu_seconds_total", 0.0),
                sums.get("relevo_requests_total", 0.0),
                sums.get("process_resident_memory_bytes", 0.0),
                sums.get("relevo_children_peak_memory_bytes", 0.0),
                sums.get("relevo_workers", 0.0),
                *(model.groups() if model else ("", "")),
            )
        )
        return True

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            self.look()

    @property
    def found(self) -> dict[str, Any] | None:
        """The figures; None when nothing was said, or no request came to it."""
        if not self._looks:
            return None
        first, last = self._looks[0], self._looks[-1]
        requests, cpu = last.requests - first.requests - (len(self._looks) - 1), last.cpu - first.cpu
        if requests <= 0:
            return None
        return {
            "project": last.project,
            "version": last.version,
            "workers": int(max(look.workers for look in self._looks)),
            "seconds": last.at - first.at,
            "requests": int(requests),
            "cpu_seconds": cpu,
            "cpu_seconds_per_request": cpu / requests,
            "resident_bytes": int(max(look.resident for look in self._looks)),
            "children_peak_bytes": int(last.children),
        }


@contextmanager
def observing(target: Target) -> Iterator[Observed]:
    """Scrape the service before, every few seconds within, and after the block, where it lets itself be scraped."""
    seen = Observed(target)
    if not seen.look():
        yield seen
        return
    thread = threading.Thread(target=seen._watch, name="relevo-observed", daemon=True)  # noqa: SLF001 - its own
    thread.start()
    try:
        yield seen
    finally:
        seen._over.set()  # noqa: SLF001 - its own
        thread.join()
        seen.look()
