"""The parity proof: training, batch and online answer alike, or the package is refused."""

from __future__ import annotations

from relevo.audit.parity import Native, Parity, audit

__all__ = ["Native", "Parity", "audit"]
