"""Counters of the service and their Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

import os
import resource
import time
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

from relevo.serving.guard import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds, in seconds, of the histogram of predict's time in this process."""
Samples = "Iterable[tuple[Mapping[str, object], float]]"


class Metrics:
    """What happened since the process began. One event loop counts; no locks."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = [0] * (len(BOUNDS) + 1)
        self.seconds_sum = 0.0
        self.predictions: dict[tuple[str, tuple[str, str]], list[int]] = {}
        """By version and its labels, both negative first; each list counts on where its version answers."""
        self.refusals: Counter[str] = Counter()
        self.unknown_fields = 0
        self.batches = 0
        self.swaps = 0
        self.lookup_swaps = 0
        self.refused_packages = 0
        self.missing: dict[str, list[int]] = {}
        """By history, how many unknown keys were asked for; each list counts on in the file that answers."""
        self.ledger_up = 1
        self.tally = Tally()

    def answered(self, status: int, seconds: float) -> None:
        """Count one request to predict."""
        self.requests["/v1/predict", status] += 1
        self.seconds[bisect_left(BOUNDS, seconds)] += 1
        self.seconds_sum += seconds

    def text(
        self,
        model: Mapping[str, object] | None,
        *,
        created: float,
        backlog: int,
        lookups: Sequence[Mapping[str, Any]] = (),
        challenger: Mapping[str, Any] | None = None,
        rollbacks: int = 0,
    ) -> str:
        """Write all of them; ``model`` describes the version that answers, made at ``created`` (Unix time).

        ``lookups`` are its histories, as ``relevo.lookups.described``; ``challenger`` is what is tried
        beside it, as ``Challenger.described``.
        """
        lines: list[str] = []
        add = _Writer(lines)
        requests = (({"route": route, "status": status}, n) for (route, status), n in self.requests.items())
        add("relevo_requests_total", "counter", "Requests by route and status.", requests)
        self._histogram(lines)
        decided = (
            ({"version": version, "label": label}, count)
            for (version, labels), counts in self.predictions.items()
            for label, count in zip(labels, counts, strict=True)
        )
        add("relevo_predictions_total", "counter", "Predictions by version and label.", decided)
        refused = (({"kind": kind}, n) for kind, n in self.refusals.items())
        add("relevo_refusals_total", "counter", "Requests refused, by kind of problem.", refused)
        single: list[tuple[str, str, str, float]] = [
            (
                "relevo_unknown_fields_total",
                "counter",
                "Fields that the contract does not name.",
                self.unknown_fields,
            ),
            (
                "relevo_batches_total",
                "counter",
                "Calls of the model; single requests share them.",
                self.batches,
            ),
            ("relevo_swaps_total", "counter", "Versions taken over since the start.", self.swaps),
            (
                "relevo_lookup_swaps_total",
                "counter",
                "Newer histories taken over since the start.",
                self.lookup_swaps,
            ),
            (
                "relevo_refused_packages_total",
                "counter",
                "Packages, or histories of one, that failed to load.",
                self.refused_packages,
            ),
            ("relevo_ledger_up", "gauge", "Whether the ledger answered when last asked.", self.ledger_up),
            ("relevo_journal_backlog_bytes", "gauge", "Logged predictions not yet in the lake.", backlog),
            ("process_resident_memory_bytes", "gauge", "Resident memory.", _resident()),
            ("process_cpu_seconds_total", "counter", "Processor time.", sum(os.times()[:2])),
            ("process_start_time_seconds", "gauge", "When the process began.", round(self.started, 3)),
        ]
        for name, kind, help_, value in single:
            add(name, kind, help_, [({}, value)])
        self._lookups(add, lookups)
        add(
            "relevo_rollbacks_total",
            "counter",
            "Versions that this process took back by itself.",
            [({}, rollbacks)],
        )
        if challenger is not None:
            _challenger(add, challenger)
        if model is not None:
            add("relevo_model_info", "gauge", "The version that answers.", [(model, 1)])
            made: list[tuple[dict[str, object], float]] = [({}, created)]
            add("relevo_model_created_timestamp_seconds", "gauge", "When that version was made.", made)
            add(
                "relevo_model_age_seconds",
                "gauge",
                "Age of that version.",
                [({}, round(time.time() - created, 3))],
            )
        return "\n".join(lines) + "\n"

    def _lookups(self, add: _Writer, lookups: Sequence[Mapping[str, Any]]) -> None:
        ages = [(one["name"], one["age_seconds"]) for one in lookups if one["age_seconds"] is not None]
        rows = [(one["name"], one["rows"]) for one in lookups]
        missing = [(name, count[0]) for name, count in self.missing.items()]
        for name, kind, help_, values in (
            ("relevo_lookup_age_seconds", "gauge", "Since the newest row of a history was known.", ages),
            ("relevo_lookup_rows", "gauge", "Keys of a history.", rows),
            ("relevo_lookup_missing_total", "counter", "Unknown keys asked of a history.", missing),
        ):
            add(name, kind, help_, [({"lookup": lookup}, value) for lookup, value in values])

    def _histogram(self, lines: list[str]) -> None:
        name = "relevo_predict_seconds"
        lines += [f"# HELP {name} Time of predict in this process.", f"# TYPE {name} histogram"]
        total = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.seconds, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        lines += [f"{name}_sum {self.seconds_sum:.6f}", f"{name}_count {total}"]


def _challenger(add: _Writer, challenger: Mapping[str, Any]) -> None:
    shown = {"version": challenger["version"], "mode": challenger["mode"]}
    add("relevo_challenger_info", "gauge", "The version that is tried beside it.", [(shown, 1)])
    counts = [({"outcome": outcome}, count) for outcome, count in challenger["counts"].items()]
    help_ = "Requests that the version tried was asked since it began here."
    add("relevo_challenger_requests_total", "counter", help_, counts)


class _Writer:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(
        self, name: str, kind: str, help_: str, samples: Iterable[tuple[Mapping[str, object], float]]
    ) -> None:
        self._lines += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            shown = ",".join(f'{key}="{_escape(str(text))}"' for key, text in labels.items())
            self._lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - not a file
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak is the best there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
