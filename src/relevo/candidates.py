"""Candidates: the algorithms that compete, each with the settings to search.

A setting written as a tuple of two numbers is a range, a list is a choice, anything else is fixed:
``lightgbm(num_leaves=(8, 64), boosting_type=["gbdt", "dart"], max_depth=6)``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ALGORITHMS = ("logistic", "lightgbm", "xgboost")
"""The algorithms that come with Relevo, by name."""
BROUGHT = ("estimator", "pretrained")
"""What a candidate's algorithm is named that comes from elsewhere."""
FILES = (".onnx", ".json", ".ubj", ".txt", ".lgb", ".model", ".joblib", ".pkl", ".pickle")
"""Files that ``pretrained`` takes, by what their names end in."""
PICKLES = (".joblib", ".pkl", ".pickle")
Texts = Literal["mean", "code"]
"""How an estimator sees a text: the smoothed mean of the outcome, or the number of its level."""
Setting = str | int | float | bool | None | tuple[float, float] | list[str | int | float | bool | None]


def is_range(value: Setting) -> bool:
    """Whether a setting is two finite numbers, the lower first, as a tuple has to be."""
    if not isinstance(value, tuple) or len(value) != 2:  # noqa: PLR2004 - low, high
        return False
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    return numbers and -inf < value[0] < value[1] < inf


@dataclass(frozen=True)
class Made:
    """A function that makes an unfitted estimator, and how it sees texts (None: as it seems to want them)."""

    make: Callable[[], Any]
    text: Texts | None = None


@dataclass(frozen=True)
class Given:
    """A file with a fitted model, relative to the project's folder. ``trust`` allows to open a pickle."""

    path: str
    trust: bool = False

    @property
    def pickled(self) -> bool:
        """Whether opening the file runs what it says."""
        return self.path.lower().endswith(PICKLES)


@dataclass(frozen=True)
class Candidate:
    """One algorithm (of ``ALGORITHMS`` or ``BROUGHT``) and the settings that differ from its usual space."""

    name: str
    algorithm: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    source: Made | Given | None = None


def logistic(name: str = "logistic", **settings: Setting) -> Candidate:
    """Logistic regression on imputed, scaled features; searched: ``C``, ``class_weight``."""
    return Candidate(name, "logistic", settings)


def lightgbm(name: str = "lightgbm", **settings: Setting) -> Candidate:
    """LightGBM's boosted trees, stopped early; searched: leaves, rate, sampling, penalties, class weight."""
    return Candidate(name, "lightgbm", settings)


def xgboost(name: str = "xgboost", **settings: Setting) -> Candidate:
    """XGBoost's boosted trees (``hist``), stopped early; searched: depth, rate, sampling, penalties, class weight."""
    return Candidate(name, "xgboost", settings)


def estimator(
    make: Callable[[], Any],
    space: Mapping[str, Setting] | None = None,
    *,
    name: str = "estimator",
    text: Texts | None = None,
) -> Candidate:
    """Any scikit-learn-compatible classifier, or a Pipeline that ends in one.

    ``make()`` gives it unfitted; ``space`` has what to search, by the names of ``set_params``
    (``{"model__max_depth": (3, 12)}``). A range of positive numbers whose ends are a hundredfold apart is
    searched by orders of magnitude. ``text`` is how texts come in: ``"mean"``, the smoothed mean of the
    outcome, or ``"code"``, whole numbers for an encoder of its own; None decides by whether there is one.
    """
    return Candidate(name, "estimator", dict(space or {}), Made(make, text))


def pretrained(path: str, *, name: str = "", trust: bool = False) -> Candidate:
    """A model that exists: ONNX, LightGBM's text, XGBoost's JSON or UBJ, or with ``trust`` a joblib file.

    ``path`` is relative to the project's folder. Opening a joblib or pickle file runs whatever it says,
    with your rights: ``trust=True`` says that you know where it comes from.
    """
    stem = re.sub(r"[^a-z0-9_-]+", "-", PurePath(path).stem.lower()).strip("-") or "pretrained"
    return Candidate(name or stem, "pretrained", {}, Given(path, trust))


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
