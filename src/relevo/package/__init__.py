"""The model package: data only. Loading one executes nothing that it brings."""

from __future__ import annotations

from relevo.package.calibration import calibrated, probability
from relevo.package.manifest import Manifest
from relevo.package.model import Answer, ModelPackage
from relevo.package.write import lookup_lines, write

__all__ = ["Answer", "Manifest", "ModelPackage", "calibrated", "lookup_lines", "probability", "write"]
