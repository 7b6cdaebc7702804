"""How a project is watched and renewed: what a user writes as ``monitor=Monitor(…)`` and ``retrain=Retrain(…)``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNITS = ("hour", "day", "week")
CHANGE = "change"
"""The ``window`` of rows since a loss began."""


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """How live data and the model's quality are watched.

    ``windows`` are the intervals looked at, of ``hour``, ``day`` and ``week``; they begin at the full hour, at
    midnight and on Mondays in ``timezone``. Rows that arrive with their outcomes and have no time are watched batch
    by batch instead.
    ``false_alarms`` is how many a month (of 30 days) the project puts up with while nothing changes, over all
    features, signals and windows together. A change of a distribution is told only when at least the share ``drift``
    of the rows has moved (total variation), however certain it is; a loss when ``metric`` is worse by more than
    ``loss``. ``slices`` are fields of the request whose values are judged apart, ``pairs`` features that are watched
    together. Labels are expected within ``label_delay`` of their prediction. ``minimum_rows`` is the least that a
    window needs to be judged by. ``cost`` is what an error costs, by its kind: ``false_positive``, ``false_negative``.
    """

    windows: Sequence[str] = ("day", "week")
    timezone: str = "UTC"
    false_alarms: float = 1.0
    drift: float = 0.05
    loss: float = 0.02
    metric: str = "roc_auc"
    slices: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = ()
    label_delay: str = "30d"
    minimum_rows: int = 100
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Retrain:
    """When the model is made anew without a person.

    A loss that no broken data explains leads to a run whose model must pass the gate like any other. It learns from
    and is judged by the rows of the last ``window`` (``90d``), of those since the loss began (``change``), or of all.
    It begins as soon as some rows since then are older than the split's test part: before, there is nothing to learn.
    ``schedule`` is a cron expression for a run at fixed times as a fallback, in the monitor's time zone. After a run
    none begins for the ``cooldown``, except by hand; ``most`` runs, or ``most_hours`` of processor time, in 30 days are
    the cap. A fresh version is watched for ``watch``: when on the rows that came since the version before it does
    better by more than ``Monitor.loss``, it is rolled back; not once a person has promoted it again.
    """

    on_loss: bool = True
    schedule: str = ""
    window: str = ""
    cooldown: str = "1d"
    most: int = 30
    most_hours: float = 24.0
    watch: str = "7d"
