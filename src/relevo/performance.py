"""Performance: how good answers were, from those of a window whose outcomes are known, and whether that is a loss.

Outcomes come late, and seldom at random: a patient who comes back does so before it is known that another did not.
So a window is ``complete`` when nearly all outcomes are there, or when there has been time for all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import intervals
from relevo.findings import PAGE, Finding
from relevo.gate import LOWER_IS_BETTER
from relevo.intervals import CONFIDENCE, Level
from relevo.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Plain = dict[str, Any]
COST, ECE = "cost", "ece"
SMALLER = LOWER_IS_BETTER | {COST, ECE}
"""Figures of which less is better."""
VALUES = 20
"""Of a slice that are shown by name."""
NULL, OTHER = "-", "…"
"""The names of what is missing, and of all values that are not shown, in a slice."""
NEARLY = 0.95
"""The share of outcomes that are there when a window counts as complete early."""
_LEAST, _HALVINGS = 1e-9, 20


@dataclass(frozen=True, kw_only=True)
class Answered:
    """n predictions, with their outcomes as far as they are known.

    ``outcome`` is 1, 0, or NaN where it is not known; ``age`` is how many days ago was asked, ``delay`` how many days
    later the outcome was told, NaN where it was not. ``slices`` has n texts, or None, for each field.
    """

    probability: Floats
    decision: Flags
    outcome: Floats
    age: Floats | None = None
    delay: Floats | None = None
    slices: Mapping[str, Sequence[str | None] | NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, probability: Any, decision: Any, outcome: Any, **more: Any) -> Answered:
        """Take lists or arrays; an outcome may be null, and what has no probability is left out."""
        p = np.asarray(probability, np.float64)
        y = np.array([math.nan if v is None else float(v) for v in np.ma.asarray(outcome, object).tolist()])
        found = cls(probability=p, decision=np.asarray(decision, bool), outcome=y, **more)
        return found.take(np.isfinite(p)) if not np.isfinite(p).all() else found

    def take(self, rows: Flags) -> Answered:
        """Some of the rows."""
        return Answered(
            probability=self.probability[rows],
            decision=self.decision[rows],
            outcome=self.outcome[rows],
            age=None if self.age is None else self.age[rows],
            delay=None if self.delay is None else self.delay[rows],
            slices={name: np.asarray(values, object)[rows] for name, values in self.slices.items()},
        )

    @property
    def known(self) -> Flags:
        """Which rows have an outcome."""
        found: Flags = ~np.isnan(self.outcome)
        return found

    def measured(
        self, costs: Mapping[str, float] | None = None, *, confidence: float = CONFIDENCE
    ) -> dict[str, Interval]:
        """Every figure of the rows whose outcome is known; ``cost`` where there are any."""
        known = self.known
        p, d, y = self.probability[known], self.decision[known], self.outcome[known] > 0
        found = intervals.metrics(p, d, y, confidence=confidence)
        return found | ({COST: intervals.cost(d, y, costs, confidence=confidence)} if costs else {})


def realised(
    answered: Answered,
    *,
    label_delay: float,
    costs: Mapping[str, float] | None = None,
    most: int = VALUES,
    confidence: float = CONFIDENCE,
) -> Plain:
    """The window's realised figures as plain JSON, and those of its slices; what is undefined is null.

    Keys: ``rows`` with an outcome, ``positives`` of them, ``predicted`` rows in all, ``coverage`` (the share with an
    outcome of those older than ``label_delay`` days; null without any), ``complete``, ``delay``, ``metrics``, ``cost``
    and ``slices``. An interval holds for its own figure alone: of 20 slices one is off by chance.
    """
    figures = _figures(answered, costs, confidence)
    return {
        "rows": figures["rows"],
        "positives": figures["positives"],
        "predicted": len(answered.outcome),
        "coverage": coverage(answered, label_delay),
        "complete": complete(answered, label_delay),
        "delay": delay(answered),
        "metrics": figures["metrics"],
        "cost": figures["cost"],
        "slices": {
            name: {value: _figures(part, costs, confidence) for value, part in _parts(answered, name, most)}
            for name in answered.slices
        },
    }


def _figures(answered: Answered, costs: Mapping[str, float] | None, confidence: float) -> Plain:
    found = {name: plain(one) for name, one in answered.measured(costs, confidence=confidence).items()}
    return {
        "rows": int(answered.known.sum()),
        "positives": int((answered.outcome > 0).sum()),
        "cost": found.pop(COST, None),
        "metrics": found,
    }


def _parts(answered: Answered, name: str, most: int) -> list[tuple[str, Answered]]:
    """The rows of each value of a slice, the commonest first; what is beyond ``most`` values is one part."""
    texts = np.array([NULL if v is None else str(v) for v in answered.slices[name]], object)
    counts = Counter(texts.tolist())
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    shown = ranked if len(ranked) <= most else ranked[: most - 1]
    bare = Answered(probability=answered.probability, decision=answered.decision, outcome=answered.outcome)
    found = [(value, bare.take(texts == value)) for value in shown]
    if len(shown) < len(ranked):
        found.append((OTHER, bare.take(~np.isin(texts, shown))))
    return found


def coverage(answered: Answered, label_delay: float) -> float | None:
    """The share of the predictions older than ``label_delay`` days that have an outcome; None without any."""
    if answered.age is None:
        return None
    due = answered.age > label_delay
    return float(answered.known[due].mean()) if due.any() else None


def complete(answered: Answered, label_delay: float) -> bool:
    """Whether hardly an outcome can come any more, so that those that are there are no selection of the early ones."""
    if not len(answered.outcome):
        return False
    return bool(answered.known.mean() >= NEARLY or answered.age is None or (answered.age > label_delay).all())


def delay(answered: Answered) -> dict[str, float | None]:
    """How late outcomes were told, in days, of those that were."""
    late = answered.delay[answered.known] if answered.delay is not None else np.empty(0)
    late = late[np.isfinite(late)]
    if not len(late):
        return {"median_days": None, "p90_days": None}
    median, ninth = np.quantile(late, [0.5, 0.9]).tolist()
    return {"median_days": median, "p90_days": ninth}


def plain(found: Interval) -> dict[str, float | None]:
    """An interval as plain JSON."""
    return {name: None if math.isnan(value) else float(value) for name, value in vars(found).items()}


def loss(
    answered: Answered,
    expected: Mapping[str, float | None],
    *,
    metric: str,
    margin: float,
    risk: float,
    costs: Mapping[str, float] | None = None,
) -> Finding | None:
    """Whether a metric is worse than the ``expected`` one by more than ``margin``; None where that is not sure.

    ``expected`` is the reference's value with its 95 % interval. While the window's metric is at most ``margin``
    worse, a loss is found with probability at most ``risk``: the one-sided limit of the difference of two independent
    figures (``intervals.recovered``) must lie beyond the margin. It takes both for independent draws of rows.
    """
    reference = interval(expected)
    found = answered.measured(costs).get(metric)
    if reference is None or found is None or math.isnan(found.value):
        return None

    def sure(risk: float) -> float:
        now = answered.measured(costs, confidence=1 - 2 * risk)[metric]
        return worse_by(now, widened(reference, risk), metric)

    at_least = sure(risk)
    if not at_least > margin:
        return None
    return Finding(
        kind="loss",
        about=metric,
        severity=PAGE,
        value=found.value,
        expected=reference.value,
        low=found.low,
        high=found.high,
        rows=int(answered.known.sum()),
        p=smallest(risk, lambda tried: sure(tried) > margin),
        facts={
            "margin": margin,
            "at_least": at_least,
            "risk": risk,
            "positives": int((answered.outcome > 0).sum()),
        },
    )


def worse_by(now: Interval, reference: Interval, metric: str) -> float:
    """The lower limit of how much worse a figure is, from the limits of both."""
    parts = [(1.0, now), (-1.0, reference)] if metric in SMALLER else [(1.0, reference), (-1.0, now)]
    return intervals.recovered(parts).low


def widened(reference: Interval, risk: float) -> Interval:
    """A 95 % interval as a one-sided limit at another risk, by the quantiles of the normal distribution."""
    times = Level(1 - 2 * risk).z / Level(CONFIDENCE).z
    value = reference.value
    return Interval(value, value - times * (value - reference.low), value + times * (reference.high - value))


def interval(figure: Mapping[str, float | None]) -> Interval | None:
    """Read a figure's plain JSON; None where it is undefined, or its interval is."""
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return None
    return Interval(value, low, high)


def smallest(risk: float, found: Callable[[float], bool]) -> float:
    """The smallest risk at which something is still found, which is its p-value; ``risk`` is one at which it is."""
    low, high = math.log(_LEAST), math.log(risk)
    if found(_LEAST):
        return _LEAST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(math.exp(middle)) else (middle, high)
    return math.exp(high)
