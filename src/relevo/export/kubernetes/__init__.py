"""Kustomize manifests for Kubernetes: the service, the workflows, and what they may use, as it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.export.kubernetes import overlays, watched
from relevo.export.kubernetes.measured import Measured, measured
from relevo.export.kubernetes.plan import FULL, LIGHT, Drain, Image, Plan
from relevo.export.kubernetes.secrets import script
from relevo.export.kubernetes.sizes import Node, Sizes, node, see_that_it_fits
from relevo.export.kubernetes.workflows import flows

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FULL",
    "LIGHT",
    "Drain",
    "Image",
    "Measured",
    "Node",
    "Plan",
    "Sizes",
    "files",
    "flows",
    "measured",
    "node",
    "see_that_it_fits",
]


def files(plan: Plan) -> Mapping[str, str]:
    """Every file by its path."""
    return {
        **overlays.base(plan),
        **overlays.flows(plan),
        **overlays.overlay(plan),
        **watched.files(plan),
        "secrets.sh": script(plan),
    }
