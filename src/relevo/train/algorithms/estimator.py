"""Any scikit-learn-compatible estimator. Kept of it: what it is made from, and what it answered some rows.

A fitted estimator is neither pickled nor stored. Where its own answers are needed again, in another process
for the parity proof, it is fitted anew from the same rows, settings and seed, and must then answer the
recorded rows as it did when it was exported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from relevo.candidates import is_range
from relevo.definition.brought import FREE, library, of_estimator
from relevo.errors import TrainingError
from relevo.extras import need
from relevo.texts import t
from relevo.train import calibration, export
from relevo.train.export import answers, graph, places
from relevo.train.export.transforms import by_name
from relevo.train.fit import ESTIMATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from relevo.candidates import Made, Setting, Texts
    from relevo.train.algorithms import Model
    from relevo.train.encoders import Sample

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
"""Encoders that want codes rather than means."""
WITNESSES = 2000
"""Rows whose answers are kept, to know the estimator again by."""
SAME = 1e-9
"""How far a probability of the estimator fitted anew may be from the recorded one."""
FEW, MANY = 400, 5000
"""Rows that a rehearsal learns from, and that it compares."""
WIDE = 100
"""A range whose ends are this far apart is searched by orders of magnitude."""


@dataclass
class Fitted:
    """A fitted estimator, and some of the rows that it learned from."""

    estimator: Any
    names: tuple[str, ...] | None
    learned: Sample
    rounds: int = 0

    def margin(self, matrix: Matrix) -> Floats:
        """Log-odds (or whatever the classifier decides by), by its own methods."""
        return export.fitted_margin(self.estimator, matrix, self.names)

    def native(self) -> bytes:
        """JSON: what was made, the libraries, and the answers to the first rows it learned from."""
        made = of_estimator(self.estimator)
        plain = {
            "estimator": made,
            "libraries": sorted({library(part) for _, part in places.parts(self.estimator)}),
            "answers": self.margin(self.learned.matrix[:WITNESSES]).tolist(),
        }
        return json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()

    def to_onnx(self, native: bytes, width: int) -> bytes:
        """Export, and hold the export against the estimator on some of the rows."""
        del native
        made = export.to_onnx(self.estimator, width)
        export.compare(self.estimator, made, self.learned.matrix[:MANY], self.names)
        return made


class Estimator:
    """What a ``make`` function gives, as an ``Algorithm``."""

    FORMAT = ESTIMATOR
    ALIASES: Mapping[str, str] = {}

    def __init__(self, source: Made, settings: Mapping[str, Setting]) -> None:
        self._make = source.make
        made = source.make()
        known = made.get_params(deep=True)
        encodes = any(places.title(part) in ENCODERS for _, part in places.parts(made))
        self.TEXTS: Texts = source.text or ("code" if encodes else "mean")
        self.SPACE = dict(settings)
        self.KNOWN = frozenset(known)
        self.LOGARITHMIC = frozenset(name for name, value in settings.items() if _wide(value))
        self.FIRST = {
            name: known[name] for name in settings if isinstance(known.get(name), str | int | float)
        }
        self._by_name = any(by_name(part) for _, part in places.parts(made))

    def learn(
        self,
        sample: Sample,
        settings: Mapping[str, Any],
        *,
        seed: int,
        validation: Sample | None = None,
        rounds: int | None = None,
    ) -> Fitted:
        """Fit on one thread, with every ``random_state`` set; there are no rounds to stop early by."""
        del validation, rounds
        made = need("sklearn.base", "train").clone(self._make(), safe=True)
        names = sample.names if self._by_name else None
        try:
            made.set_params(**settings)
            made.set_params(**_steadied(made, seed))
            if names not in sample.prepared:
                sample.prepared[names] = graph.handed(sample.matrix, names)
            made.fit(sample.prepared[names], sample.target.astype(np.int64))
        except Exception as error:  # an estimator raises what it likes
            raise answers.refusal(made, error) from error
        return Fitted(made, names, sample)

    def rehearse(self, sample: Sample, wanted: Mapping[str, Setting], *, seed: int) -> None:
        """Fit, export and compare on a few rows: the first settings, and then each choice in turn."""
        some = _few(sample, seed)
        for settings in _rehearsals(wanted, self.FIRST):
            model = self.learn(some, settings, seed=seed)
            onnx = export.to_onnx(model.estimator, some.matrix.shape[1])
            export.compare(model.estimator, onnx, some.matrix, model.names)

    def revive(self, native: bytes, refit: Callable[[], Model]) -> Callable[[Matrix], Floats]:
        """Fit anew; raises ``TrainingError`` unless it is the same model by its answers to the recorded rows."""
        kept, model = json.loads(native), refit()
        assert isinstance(model, Fitted)
        recorded = np.array(kept["answers"], np.float64)
        found = model.margin(model.learned.matrix[:WITNESSES])
        same = of_estimator(model.estimator) == kept["estimator"] and len(found) == len(recorded)
        gap = np.abs(_probability(found) - _probability(recorded)).max() if same else np.inf
        if not gap <= SAME:
            raise TrainingError(
                t(
                    "{name} was fitted anew for the proof and answers otherwise than when it was exported"
                    " (by {gap:.1e}): its fit depends on more than rows, settings and seed, or it was changed"
                    " or its libraries were. Train again; if that does not help, look for a source of chance"
                    " that random_state does not reach.",
                    name=places.title(model.estimator),
                    gap=float(gap),
                )
            )
        return partial(export.fitted_margin, model.estimator, names=model.names)


def _probability(margin: Floats) -> Floats:
    return calibration.probability(margin, 1.0, 0.0)


def _wide(value: Setting) -> bool:
    return isinstance(value, tuple) and is_range(value) and value[0] > 0 and value[1] / value[0] >= WIDE


def _steadied(made: Any, seed: int) -> dict[str, Any]:
    """Every seed and every number of threads, nested ones included."""
    found: dict[str, Any] = {}
    for name in made.get_params(deep=True):
        last = name.rpartition("__")[2]
        if last == "random_state":
            found[name] = seed
        elif last in FREE and last != "verbose":
            found[name] = 1
    return found


def _few(sample: Sample, seed: int) -> Sample:
    """A few rows of both classes, among them some with nulls in each feature that has any."""
    order = np.random.default_rng(seed).permutation(len(sample.target))
    target, unknown = sample.target[order], np.isnan(sample.matrix[order])
    chosen = [order[target == side][: FEW // 2] for side in (True, False)]
    chosen += [order[unknown[:, place]][:3] for place in range(unknown.shape[1])]
    rows = np.unique(np.concatenate(chosen))
    return type(sample)(sample.matrix[rows], sample.target[rows], sample.names)


def _rehearsals(wanted: Mapping[str, Setting], first: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings that between them hold every choice."""
    start: dict[str, Any] = {}
    for name, value in wanted.items():
        if isinstance(value, tuple):
            sensible = first.get(name)
            known = sensible if isinstance(sensible, int | float) else value[0]  # "sqrt" is in no range
            start[name] = min(max(known, value[0]), value[1])
        else:
            start[name] = value[0] if isinstance(value, list) else value
    yield start
    for name, value in wanted.items():
        if isinstance(value, list):
            for choice in value[1:]:
                yield {**start, name: choice}
