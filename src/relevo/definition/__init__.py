"""A project's definition: its folder loaded, compiled and cross-checked."""

from __future__ import annotations

from relevo.definition.cases import Case
from relevo.definition.loading import Definition, load

__all__ = ["Case", "Definition", "load"]
