"""Evaluation on the held-out rows: every metric with its interval, trivial baselines, and the champion.

Where rows are held out R times over, each time by another draw of the folds, probabilities have the shape
(R, n), and a metric is the mean of its R values. Its interval comes from resampling rows and repeats;
where rows are parted by groups, from resampling groups, whose numbers ``group`` then has for each row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo import stats
from relevo.encoding import encode_columns
from relevo.errors import TrainingError
from relevo.extras import need
from relevo.gate import LOWER_IS_BETTER, METRICS
from relevo.stats import Interval, Scored
from relevo.texts import t
from relevo.train import encoders as encodings
from relevo.train import threshold
from relevo.train.data import finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from relevo.train.data import TrainingSet

VERSION = 4
"""Raised when the same inputs would give another evaluation."""
BINS = 10
ALWAYS_YES = "always-yes"


@dataclass(frozen=True)
class Bin:
    """A tenth of the rows by predicted probability: its range, mean prediction, and share of positives."""

    low: float
    high: float
    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True)
class Spread:
    """A metric within single folds, its mean and standard deviation, and the deviation between repeats."""

    fold_mean: float
    folds: float
    repeats: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model shows on held-out rows. ``confusion`` counts ``tn``, ``fp``, ``fn`` and ``tp``.

    With repeats, ``confusion`` and ``bins`` count the answers of all of them, ``threshold`` is the mean of
    those of the models that answered, and ``spread`` says how far the metrics scatter.
    """

    rows: int
    positives: int
    threshold: float
    metrics: Mapping[str, Interval]
    confusion: Mapping[str, int]
    bins: tuple[Bin, ...]
    repeats: int = 1
    spread: Mapping[str, Spread] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a metric that is undefined on these rows is null."""
        return {
            "rows": self.rows,
            "positives": self.positives,
            "threshold": self.threshold,
            "metrics": {name: _numbers(found) for name, found in self.metrics.items()},
            "confusion": dict(self.confusion),
            "bins": [_numbers(found) for found in self.bins],
            "repeats": self.repeats,
            "spread": {name: _numbers(found) for name, found in self.spread.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Read ``to_json`` back."""
        metrics = {name: _interval(row) for name, row in data["metrics"].items()}
        bins = tuple(Bin(**row) for row in data["bins"])
        spread = {name: Spread(**_defined(row)) for name, row in data.get("spread", {}).items()}
        return cls(**{**data, "metrics": metrics, "bins": bins, "spread": spread})


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Challenger minus champion on the same rows, turned so that more is better.

    ``worse(margin)`` is the share of resamples in which the challenger is worse by more than ``margin``;
    ``rarer`` of the rows are of the rarer class, 0 where that was not kept. Where the rows are of ``groups``
    groups, ``rarer`` counts those that have a row of the class which fewer groups have; 0 where each row is its own.
    """

    metric: str
    champion: float
    challenger: float
    difference: Interval
    samples: NDArray[np.float64]
    rarer: int = 0
    groups: int = 0

    def worse(self, margin: float) -> float:
        """P(challenger < champion - margin), from 0 to 1, in resamples where it is defined; 1 when it is in none."""
        known = self.samples[~np.isnan(self.samples)]
        return float(np.mean(known < -margin)) if len(known) else 1.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "metric": self.metric,
            "champion": self.champion,
            "challenger": self.challenger,
            "difference": _numbers(self.difference),
            "samples": [None if np.isnan(value) else value for value in self.samples.tolist()],
            "rarer": self.rarer,
            "groups": self.groups,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Paired:
        """Read ``to_json`` back."""
        samples = np.array(data["samples"], np.float64)
        return cls(**{**data, "difference": _interval(data["difference"]), "samples": samples})


def evaluate(
    probability: ArrayLike,
    target: ArrayLike,
    threshold: ArrayLike,
    *,
    fold: NDArray[np.int64] | None = None,
    group: NDArray[np.int64] | None = None,
    seed: int = 0,
    resamples: int = stats.RESAMPLES,
) -> Evaluation:
    """Measure probabilities, shape (n,) or (R, n), against outcomes.

    ``threshold`` is one number or as many as there are probabilities; ``fold``, of the same shape, says which
    of the models of a repeat answered. Raises ``TrainingError`` when a probability is none.
    """
    models, truth = _checked(probability, target, threshold)
    values = [stats.measures(scored, truth) for scored in models]
    drawn = stats.resampled(models, truth, seed=seed, resamples=resamples, group=group)
    samples = stats.over_repeats(drawn, seed=seed)
    scores, outcomes = np.concatenate([scored.probability for scored in models]), np.tile(truth, len(models))
    yes = np.concatenate([scored.probability >= scored.threshold for scored in models])
    counts = np.bincount(outcomes * 2 + yes, minlength=4).tolist()
    return Evaluation(
        rows=len(truth),
        positives=int(truth.sum()),
        threshold=float(np.mean(np.asarray(threshold, np.float64))),
        metrics={name: stats.interval(_mean(values, name), samples[name]) for name in METRICS},
        confusion=dict(zip(("tn", "fp", "fn", "tp"), counts, strict=True)),
        bins=_bins(scores, outcomes),
        repeats=len(models),
        spread=_spread(models, truth, values, fold) if fold is not None and len(models) > 1 else {},
    )


def _mean(values: Sequence[Mapping[str, float]], metric: str) -> float:
    return float(np.mean([found[metric] for found in values]))


def _spread(
    models: Sequence[Scored], truth: NDArray[np.bool_], values: Sequence[Mapping[str, float]], fold: Any
) -> dict[str, Spread]:
    within = []
    for scored, numbers in zip(models, fold, strict=True):
        threshold = np.broadcast_to(scored.threshold, truth.shape)
        for number in np.unique(numbers):
            rows = numbers == number
            within.append(stats.measures(Scored(scored.probability[rows], threshold[rows]), truth[rows]))
    found = {}
    for name in METRICS:
        each = np.array([one[name] for one in within])
        between = np.array([one[name] for one in values])
        found[name] = Spread(float(each.mean()), float(each.std(ddof=1)), float(between.std(ddof=1)))
    return found


def paired(
    champion: ArrayLike,
    champion_threshold: ArrayLike,
    challenger: ArrayLike,
    challenger_threshold: ArrayLike,
    target: ArrayLike,
    metric: str,
    *,
    group: NDArray[np.int64] | None = None,
    seed: int = 0,
    resamples: int = stats.RESAMPLES,
) -> Paired:
    """Compare two models' probabilities of the same rows, (n,) or (R, n) each, by a paired bootstrap.

    The same resampled rows go to both, so what is common to the rows cancels out (Efron & Tibshirani
    1993, section 8.3, on resampling pairs).
    """
    old, truth = _checked(champion, target, champion_threshold)
    new, _ = _checked(challenger, target, challenger_threshold)
    before, after = (
        _mean([stats.measures(scored, truth) for scored in models], metric) for models in (old, new)
    )
    both = stats.resampled([*old, *new], truth, seed=seed, resamples=resamples, group=group)
    first = stats.over_repeats(both[: len(old)], seed=seed + 1)
    second = stats.over_repeats(both[len(old) :], seed=seed + 2)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    samples = sign * (second[metric] - first[metric])
    return Paired(
        metric=metric,
        champion=before,
        challenger=after,
        difference=stats.interval(sign * (after - before), samples),
        samples=samples,
        rarer=min(_counted(truth, group), _counted(~truth, group)),
        groups=0 if group is None else len(np.unique(group)),
    )


def _counted(which: NDArray[np.bool_], group: NDArray[np.int64] | None) -> int:
    """How many of the rows, or of their groups."""
    return int(which.sum()) if group is None else len(np.unique(group[which]))


@dataclass(frozen=True)
class Lesson:
    """What a baseline learns from in one repeat, and the held-out rows, by number, that it is then asked about."""

    train: TrainingSet
    columns: Mapping[str, Any]
    rows: NDArray[np.int64]
    repeat: int = 0


def baselines(
    lessons: Sequence[Lesson],
    target: ArrayLike,
    *,
    metric: str = "f1",
    group: NDArray[np.int64] | None = None,
    seed: int = 0,
    resamples: int = stats.RESAMPLES,
) -> dict[str, Evaluation]:
    """What needs no model, measured on the held-out rows, with the outcomes ``target``, as models are.

    ``majority`` always says the commoner outcome, ``always-yes`` yes, ``prior-random`` yes as often as
    it was true in training; all three give the training prior as probability. ``tree`` is one decision
    tree of depth 2.
    """
    truth = np.asarray(target, bool)
    shape = (1 + max(lesson.repeat for lesson in lessons), len(truth))
    drawn = np.random.default_rng(seed).random(shape)
    found = {
        name: (np.empty(shape), np.empty(shape)) for name in ("majority", ALWAYS_YES, "prior-random", "tree")
    }
    for lesson in lessons:
        own = (lesson.repeat, lesson.rows)
        for name, (probability, cut) in _trivial(lesson, drawn[own], metric, seed).items():
            found[name][0][own], found[name][1][own] = probability, cut
    return {
        name: evaluate(probability, truth, cut, group=group, seed=seed, resamples=resamples)
        for name, (probability, cut) in found.items()
    }


def _trivial(
    lesson: Lesson, drawn: NDArray[np.float64], metric: str, seed: int
) -> dict[str, tuple[NDArray[np.float64], float]]:
    prior = float(lesson.train.target.mean())
    constant = np.full(len(lesson.rows), prior)
    # Turns a constant probability into decisions without touching what Brier and log loss see.
    chance = np.where(drawn < prior, prior, np.nextafter(prior, 0.0))
    return {
        "majority": (constant, 1.0 if prior < 0.5 else 0.0),  # noqa: PLR2004 - more than half
        ALWAYS_YES: (constant, 0.0),
        "prior-random": (chance, prior),
        "tree": _tree(lesson.train, lesson.columns, metric, seed),
    }


def _tree(
    train: TrainingSet, columns: Mapping[str, Any], metric: str, seed: int
) -> tuple[NDArray[np.float64], float]:
    learned = encodings.learn(train, seed=seed)
    tree = need("sklearn.tree", "train").DecisionTreeClassifier(max_depth=2, random_state=seed)
    tree.fit(learned.matrix, train.target)
    cut = threshold.best(tree.predict_proba(learned.matrix)[:, 1], train.target, metric)
    found = tree.predict_proba(finite(encode_columns(learned.encoders, columns)))[:, 1]
    return np.asarray(found, np.float64), cut


def _bins(probability: NDArray[np.float64], target: NDArray[np.bool_]) -> tuple[Bin, ...]:
    order = np.argsort(probability, kind="stable")
    return tuple(
        Bin(
            float(probability[part[0]]),
            float(probability[part[-1]]),
            float(probability[part].mean()),
            float(target[part].mean()),
            len(part),
        )
        for part in np.array_split(order, min(BINS, len(order)))
    )


def _checked(
    probability: ArrayLike, target: ArrayLike, threshold: ArrayLike
) -> tuple[list[Scored], NDArray[np.bool_]]:
    found, truth = np.atleast_2d(np.asarray(probability, np.float64)), np.asarray(target, bool)
    if found.shape[1] != len(truth) or not len(truth):
        raise TrainingError(
            t(
                "There are {found} probabilities for {rows} outcomes, so nothing can be evaluated.",
                found=found.shape[1],
                rows=len(truth),
            )
        )
    wrong = np.argwhere(~((found >= 0) & (found <= 1)))
    if len(wrong):
        raise TrainingError(
            t(
                "Row {row}: {value} is not a probability, so the model cannot be evaluated.",
                row=int(wrong[0, 1]) + 1,
                value=found[tuple(wrong[0])],
            )
        )
    cuts = np.broadcast_to(np.asarray(threshold, np.float64), found.shape)
    return [Scored(row, cut) for row, cut in zip(found, cuts, strict=True)], truth


def _numbers(found: Interval | Bin | Spread) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in vars(found).items()}  # noqa: PLR0124 - NaN


def _interval(row: Mapping[str, float | None]) -> Interval:
    return Interval(**_defined(row))


def _defined(row: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in row.items()}
