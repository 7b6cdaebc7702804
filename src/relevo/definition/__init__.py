"""A project's definition: its folder loaded, compiled and cross-checked."""

from __future__ import annotations

from relevo.definition.cases import Case
from relevo.definition.loading import Definition, load
from relevo.definition.relations import Relation
from relevo.definition.rows import Rows, Timeline, known_sql

__all__ = ["Case", "Definition", "Relation", "Rows", "Timeline", "known_sql", "load"]
