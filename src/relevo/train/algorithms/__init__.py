"""Algorithms: modules that all obey one small interface."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from relevo.candidates import ALGORITHMS, Given, Made
from relevo.errors import TrainingError
from relevo.extras import need
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from relevo.candidates import Candidate, Setting, Texts
    from relevo.train.encoders import Sample

    Flags = NDArray[np.bool_]
    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

NAMES = ALGORITHMS
MANY_ROWS = 200_000
CLASS_WEIGHT = "class_weight"
PATIENCE = 25


class Model(Protocol):
    """A fitted model. ``rounds`` is how many boosting rounds count, 0 where there are none."""

    rounds: int

    def margin(self, matrix: Matrix) -> Floats:
        """Log-odds, shape (n,), of an encoded matrix."""
        ...

    def native(self) -> bytes:
        """What is kept of the model: its library's own text format, or what it can be fitted anew from."""
        ...

    def to_onnx(self, native: bytes, width: int) -> bytes:
        """What ``native`` gave as ONNX: ``features`` float32 (n, width) to ``margin`` float32 (n, 1)."""
        ...


class Algorithm(Protocol):
    """What an algorithm's module has.

    Laws: the same sample, settings, seed and rounds give the same ``native`` bytes; a model's ONNX answers
    with the numbers of what ``revive`` gives, to float32; a library is imported when it is first used. The
    modules here obey it, and so do ``estimator.Estimator`` and ``pretrained.Pretrained``.
    """

    @property
    def FORMAT(self) -> str:  # noqa: N802 - a module's constant
        """The name of the native format."""
        ...

    @property
    def SPACE(self) -> Mapping[str, Setting]:  # noqa: N802
        """What is searched unless the candidate says otherwise."""
        ...

    @property
    def FIRST(self) -> Mapping[str, str | float | None]:  # noqa: N802
        """Settings of the first trial, known to be sensible."""
        ...

    @property
    def LOGARITHMIC(self) -> frozenset[str]:  # noqa: N802
        """Settings whose ranges are searched by orders of magnitude."""
        ...

    @property
    def KNOWN(self) -> frozenset[str]:  # noqa: N802
        """Every setting that a candidate may have."""
        ...

    @property
    def ALIASES(self) -> Mapping[str, str]:  # noqa: N802
        """Other spellings of settings."""
        ...

    def learn(
        self,
        sample: Sample,
        settings: Mapping[str, object],
        *,
        seed: int,
        validation: Sample | None = None,
        rounds: int | None = None,
    ) -> Model:
        """Fit; stop early by ``validation`` if given, else after ``rounds``."""
        ...

    @property
    def TEXTS(self) -> Texts:  # noqa: N802
        """How texts are encoded."""
        ...

    def rehearse(self, sample: Sample, wanted: Mapping[str, Setting], *, seed: int) -> None:
        """Raise ``TrainingError`` within seconds for what would fail only after the search."""
        ...

    def revive(self, native: bytes, refit: Callable[[], Model]) -> Callable[[Matrix], Floats]:
        """The fitted model's margins, never those of its export; ``refit`` fits it anew where bytes cannot hold it."""
        ...


def get(name: str) -> Algorithm:
    """Find an algorithm by name; raises ``TrainingError`` with those there are."""
    if name not in NAMES:
        raise TrainingError(
            t("There is no algorithm {name}. Choose one of {names}.", name=name, names=", ".join(NAMES))
        )
    return cast("Algorithm", import_module(f"{__name__}.{name}"))


def of(candidate: Candidate, root: Path) -> Algorithm:
    """What a candidate is learned by; ``root`` is the folder that a pretrained file's path is relative to."""
    source = candidate.source
    if isinstance(source, Made):
        from relevo.train.algorithms.estimator import Estimator

        return Estimator(source, candidate.settings)
    if isinstance(source, Given):
        from relevo.train.algorithms.pretrained import Pretrained

        return Pretrained(source, root)
    return get(candidate.algorithm)


@dataclass(frozen=True)
class Boosting:
    """A booster's settings, sorted: the library's own ``params``, and how many rounds and which weights.

    ``patience`` is the rounds without a better validation loss before stopping; 0 never stops.
    """

    params: Mapping[str, Any]
    power: float
    most: int
    patience: int

    @classmethod
    def sort(cls, settings: Mapping[str, Any]) -> Boosting:
        """Take the settings that are not the library's out; None leaves a setting to the library."""
        own = (CLASS_WEIGHT, "n_estimators", "early_stopping_rounds")
        params = {name: value for name, value in settings.items() if name not in own and value is not None}
        patience = settings.get("early_stopping_rounds", PATIENCE)
        return cls(params, float(settings[CLASS_WEIGHT]), int(settings["n_estimators"]), int(patience or 0))


@contextmanager
def steady(*, quiet: bool = False) -> Iterator[None]:
    """Hold linear algebra to one thread, so that its sums keep their order, and solvers to themselves.

    scikit-learn warns where it turns from Newton's method to another, which is its business. ``quiet`` hushes
    every warning, as for estimators of any make; it is done here since filters are shared by all threads.
    """
    with need("threadpoolctl", "train").threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="" if quiet else r"sklearn\.")
        yield


@contextmanager
def refusals(name: str, error: type[Exception]) -> Iterator[None]:
    """Turn a library's ``error``, which is about settings, into ``TrainingError``."""
    try:
        yield
    except error as refused:
        raise TrainingError(
            t(
                "{algorithm} refuses the settings or the rows: {problem}",
                algorithm=name,
                problem=str(refused).strip().splitlines()[0],
            )
        ) from refused


def threads(rows: int) -> int:
    """Threads for one fit: a matter of the data alone, since sums in another order give another model.

    With few rows a round takes a millisecond, and threads that wait for each other on busy cores make it
    ten times slower rather than faster.
    """
    return 1 if rows < MANY_ROWS else 2


def workers(rows: int) -> int:
    """Fits at a time, which the processors decide and nothing depends on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, allowed // threads(rows))


def row_weights(target: Flags, power: float, *, like: Flags | None = None) -> Floats:
    """Weigh each positive by (negatives / positives) ** power: 0 leaves the classes as they are, 1 balances them.

    The classes are counted in ``like`` where given, so that validation rows weigh as learned ones do.
    """
    counted = target if like is None else like
    positive = np.count_nonzero(counted)
    return np.where(target, ((len(counted) - positive) / positive) ** power, 1.0)
