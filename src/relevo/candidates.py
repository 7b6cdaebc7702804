"""Candidates: the algorithms that compete, each with the settings to search.

A setting written as a tuple of two numbers is a range, a list is a choice, anything else is fixed:
``lightgbm(num_leaves=(8, 64), boosting_type=["gbdt", "dart"], max_depth=6)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Setting = str | int | float | bool | None | tuple[float, float] | list[str | int | float | bool | None]


@dataclass(frozen=True)
class Candidate:
    """One algorithm (``logistic``, ``lightgbm`` or ``xgboost``) and the settings that differ from its usual space."""

    name: str
    algorithm: str
    settings: Mapping[str, Setting] = field(default_factory=dict)


def logistic(name: str = "logistic", **settings: Setting) -> Candidate:
    """Logistic regression on imputed, scaled features; searched: ``C``, ``class_weight``."""
    return Candidate(name, "logistic", settings)


def lightgbm(name: str = "lightgbm", **settings: Setting) -> Candidate:
    """LightGBM's boosted trees, stopped early; searched: leaves, rate, sampling, penalties, class weight."""
    return Candidate(name, "lightgbm", settings)


def xgboost(name: str = "xgboost", **settings: Setting) -> Candidate:
    """XGBoost's boosted trees (``hist``), stopped early; searched: depth, rate, sampling, penalties, class weight."""
    return Candidate(name, "xgboost", settings)


@dataclass(frozen=True)
class Tuning:
    """The budget of the search, for each candidate: ``trials``, and ``seconds`` if the clock may end it sooner.

    With ``seconds`` unset the result depends on the data, the seed and the number of trials only.
    ``gap_penalty`` is what each point of difference between training and validation score costs a trial.
    """

    trials: int = 15
    seconds: float | None = None
    gap_penalty: float = 0.1
    seed: int = 0
