"""Settings of the mirror in MLflow: ``[mlflow]`` in ``relevo.toml``, or variables such as ``RELEVO_MLFLOW__MODEL``.

Where the server is, and who may use it, MLflow's own variables say (``MLFLOW_TRACKING_URI`` and its kin), so a
project that is told nothing here is mirrored all the same.
"""

from __future__ import annotations

import os

from pydantic import BaseModel, ConfigDict, Field

URI = "MLFLOW_TRACKING_URI"
FLAVOR = "relevo.tracking.pyfunc"
"""The module by which MLflow loads a package."""


class MirrorSettings(BaseModel):
    """What the mirror may be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str = Field(
        default="", max_length=200, description="The experiment; the project's name by default"
    )
    model: str = Field(
        default="", max_length=200, description="The registered model; the project's name by default"
    )
    timeout: float = Field(
        default=10, ge=0.5, le=600, description="Seconds that MLflow may take for one answer"
    )
    poll: float = Field(
        default=1, ge=0.1, le=3600, description="Seconds between two looks of `relevo up` at MLflow's aliases"
    )


def address() -> str:
    """Where MLflow is, as its own variable says; empty when it is nowhere. It may hold a password: never show it."""
    return os.environ.get(URI, "").strip()
