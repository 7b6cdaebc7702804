"""Counters of the service: plain sums, so that those of several workers add up."""

from __future__ import annotations

import os
import resource
import sys
import time
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.serving.guard import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from relevo.bins import Bins

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds, in seconds, of the histogram of predict's time in this process."""
_SINGLE = (
    "seconds_sum",
    "unknown_fields",
    "batches",
    "swaps",
    "lookup_swaps",
    "rollbacks",
    "refused_packages",
    "restarts",
    "cpu",
)
_NAMED = ("refusals", "labels", "lacking", "strange")
_RSS_UNIT = 1024 if sys.platform == "linux" else 1  # getrusage(2)
_KEPT = 2  # bins whose cells are shown: of what answers, and of what did before or is tried beside it


class Metrics:
    """What happened since the process began, and what was merged. One event loop counts; no locks."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = [0] * (len(BOUNDS) + 1)
        self.seconds_sum = 0.0
        self.predictions: dict[tuple[str, tuple[str, str]], list[int]] = {}
        """By version and its labels, both negative first; each list counts on where its version answers."""
        self.refusals: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        """Outcomes received, by label."""
        self.unknown_fields = 0
        self.batches = 0
        self.swaps = 0
        self.lookup_swaps = 0
        self.rollbacks = 0
        self.refused_packages = 0
        self.restarts = 0
        self.cpu = 0.0
        """Seconds of processor time of those that were merged; this process's own come on top in ``state``."""
        self.missing: dict[str, list[int]] = {}
        """By history, how many unknown keys were asked for; each list counts on in the file that answers."""
        self.unseen: dict[str, list[int]] = {}
        """By feature, how many texts the model does not know; each list counts on in the encoder that answers."""
        self.lacking: Counter[str] = Counter()
        """By feature, how many answered rows had none."""
        self.strange: Counter[str] = Counter()
        """By feature, how many values were none that was learned from: a new text, a number out of the range."""
        self.cells: dict[str, NDArray[np.int64]] = {}
        """By the digest of bins, the counts over them; of the last few that counted."""
        self.ledger_up = 1
        self.tally = Tally()

    def took(self, seconds: float) -> None:
        """Count the time of one request that predict answered."""
        self.seconds[bisect_left(BOUNDS, seconds)] += 1
        self.seconds_sum += seconds

    def count(self, bins: Bins, counts: NDArray[np.int64], *, cells: bool) -> None:
        """Add what was counted over bins; ``cells`` says whether each cell is shown."""
        for met, places in ((self.lacking, bins.missing), (self.strange, bins.strange)):
            for signal, n in zip(bins.single, counts[places].tolist(), strict=True):
                met[signal.name] += n
        if cells:
            whole = self.cells.pop(bins.digest, None)
            self.cells[bins.digest] = counts if whole is None else whole + counts  # the newest is last
            while len(self.cells) > _KEPT:
                del self.cells[next(iter(self.cells))]

    def state(self) -> dict[str, Any]:
        """All that adds up, as plain JSON."""
        return {
            **{name: getattr(self, name) for name in _SINGLE},
            **{name: dict(getattr(self, name)) for name in _NAMED},
            "cpu": self.cpu + sum(os.times()[:2]),
            "seconds": list(self.seconds),
            "requests": [[*key, count] for key, count in self.requests.items()],
            "predictions": [
                [version, *labels, *counts] for (version, labels), counts in self.predictions.items()
            ],
            "missing": {name: count[0] for name, count in self.missing.items()},
            "unseen": {name: count[0] for name, count in self.unseen.items()},
            "cells": {digest: counts.tolist() for digest, counts in self.cells.items()},
            "tally": self.tally.to_json(),
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add another's ``state``, or what a dead process left of its own."""
        for name in _SINGLE:
            setattr(self, name, getattr(self, name) + state[name])
        for name in _NAMED:
            getattr(self, name).update(state[name])
        self.seconds = [mine + theirs for mine, theirs in zip(self.seconds, state["seconds"], strict=True)]
        for route, status, count in state["requests"]:
            self.requests[route, status] += count
        for version, no, yes, *counts in state["predictions"]:
            decided = self.predictions.setdefault((version, (no, yes)), [0, 0])
            decided[:] = [mine + theirs for mine, theirs in zip(decided, counts, strict=True)]
        for digest, counts in state["cells"].items():
            self.cells[digest] = self.cells.get(digest, 0) + np.array(counts, np.int64)
        self.tally.merge(state["tally"])
        for name in ("missing", "unseen"):
            cells: dict[str, list[int]] = getattr(self, name)
            for key, count in state[name].items():
                cells.setdefault(key, [0])[0] += count


def children() -> int:
    """Bytes of the largest process that this one started, and that ended; 0 without any (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT


def resident() -> int:
    """Bytes of this process in memory."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - not a file
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux: the peak is the best there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
