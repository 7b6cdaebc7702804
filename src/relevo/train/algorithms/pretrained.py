"""A model that exists: nothing is fitted, so every fold is answered by the same model.

It may have learned from the very rows that calibrate it here, which makes calibration and threshold
optimistic; the held-out rows tell, if it has not seen those too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo.errors import TrainingError
from relevo.texts import t
from relevo.train import files
from relevo.train.export import check
from relevo.train.export.graph import margin as held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from relevo.candidates import Given, Setting, Texts
    from relevo.train.algorithms import Model
    from relevo.train.encoders import Sample
    from relevo.train.files import Opened

    Matrix = NDArray[np.float32]
    Floats = NDArray[np.float64]

MANY = 5000
"""Rows on which a rehearsal compares."""


class Loaded:
    """An opened file whose columns are those of the features."""

    rounds = 0

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def margin(self, matrix: Matrix) -> Floats:
        """What the file itself answers."""
        return held(self._opened.margin(matrix))

    def native(self) -> bytes:
        """The file, or of a pickle, which is never kept, its digest."""
        return self._opened.kept

    def to_onnx(self, native: bytes, width: int) -> bytes:
        """The file as ONNX."""
        del native, width
        return self._opened.onnx


class Pretrained:
    """A file, as an ``Algorithm``."""

    ALIASES: Mapping[str, str] = {}
    FIRST: Mapping[str, str | float | None] = {}
    LOGARITHMIC: frozenset[str] = frozenset()
    TEXTS: Texts = "mean"

    def __init__(self, source: Given, root: Path) -> None:
        self._path, self._pickled = root / source.path, source.pickled
        if source.pickled and not source.trust:
            raise TrainingError(
                t("{file} is a pickle, which is opened with trust=True only.", file=self._path.name)
            )
        self._sha256 = digests.of_file(self._path)
        self.FORMAT = files.format_of(self._path)
        self.SPACE: Mapping[str, Setting] = {"file": self._path.name, "sha256": self._sha256}
        self.KNOWN: frozenset[str] = frozenset()
        self._opened: Opened | None = None

    def learn(
        self,
        sample: Sample,
        settings: Mapping[str, Any],
        *,
        seed: int,
        validation: Sample | None = None,
        rounds: int | None = None,
    ) -> Loaded:
        """Open the file, once; raises ``TrainingError`` when it is no longer the one that ``settings`` name."""
        del seed, validation, rounds
        if settings["sha256"] != self._sha256:
            raise TrainingError(
                t("{file} is no longer the file that was trained with. Train again.", file=self._path.name)
            )
        if self._opened is None:
            self._opened = files.opened(self._path, self._sha256, sample.names, sample.matrix[:MANY])
        return Loaded(self._opened)

    def rehearse(self, sample: Sample, wanted: Mapping[str, Setting], *, seed: int) -> None:
        """Open, export and compare."""
        model = self.learn(sample, wanted, seed=seed)
        matrix = sample.matrix[:MANY]
        native = model.margin(matrix)
        exported = check.answered(model.to_onnx(b"", matrix.shape[1]), matrix).ravel()
        check.near(self._path.name, native, exported)

    def revive(self, native: bytes, refit: Callable[[], Model]) -> Callable[[Matrix], Floats]:
        """The file's own answers, from the same file."""
        del native
        return refit().margin
