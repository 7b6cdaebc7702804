"""The fit: everything that training leaves behind, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo.encoding import Encoder
from relevo.errors import PackageError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.records import Trial


ESTIMATOR = "estimator-json"
"""The native format of an estimator that is fitted anew from its settings."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The chosen settings of one candidate, refitted on all training rows.

    ``native`` and ``onnx`` are the same model twice; both answer with margins (log-odds), which
    ``calibration`` turns into probabilities. ``score``, ``training_score``, their ``gap`` and
    ``penalised`` (score less what the gap costs) are of the chosen trial, out of fold, in the metric's
    own direction but for ``brier`` and ``log_loss``, which are negated. ``trials`` are facts of the run
    and no part of what the fit is: they are left out of its JSON and digest.
    """

    candidate: str
    algorithm: str
    metric: str
    settings: Mapping[str, Any]
    rounds: int
    encoders: tuple[Encoder, ...]
    native: bytes = field(repr=False)
    native_format: str
    onnx: bytes = field(repr=False)
    calibration: Mapping[str, float]
    threshold: float
    score: float
    training_score: float
    gap: float
    penalised: float
    trials: tuple[Trial, ...] = field(default=(), compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, in which the two models are named by their SHA-256; ``blobs`` has their bytes."""
        plain = {name: value for name, value in vars(self).items() if name not in ("trials", "digest")}
        return plain | {
            "settings": dict(self.settings),
            "encoders": [encoder.to_json() for encoder in self.encoders],
            "calibration": dict(self.calibration),
            "native": digests.of_bytes(self.native),
            "onnx": digests.of_bytes(self.onnx),
        }

    @property
    def libraries(self) -> tuple[str, ...]:
        """The distributions that made a model that was brought along, as far as it says."""
        return tuple(json.loads(self.native)["libraries"]) if self.native_format == ESTIMATOR else ()

    @property
    def blobs(self) -> dict[str, bytes]:
        """The bytes that ``to_json`` names, by SHA-256."""
        return {digests.of_bytes(data): data for data in (self.native, self.onnx)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: the same data, settings, seed and number of trials give the same."""
        return digests.of_json(self.to_json())

    @classmethod
    def from_json(
        cls, data: Mapping[str, Any], blobs: Mapping[str, bytes], trials: tuple[Trial, ...] = ()
    ) -> Fit:
        """Read ``to_json`` back; raises ``PackageError`` when a model's bytes are absent or altered."""
        models = {}
        for name in ("native", "onnx"):
            found = blobs.get(data[name])
            if found is None or digests.of_bytes(found) != data[name]:
                raise PackageError(
                    t("The {name} model {digest} is absent or altered.", name=name, digest=data[name][:12])
                )
            models[name] = found
        encoders = tuple(Encoder.from_json(row) for row in data["encoders"])
        return cls(**{**data, **models, "encoders": encoders, "trials": trials})
