"""Projects made in Python over one CSV file, brought as far as their examples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, create_model

from relevo import Files, Gate, Project, Table, Target, Tuning, logistic
from relevo.clean import clean
from relevo.definition.loading import compile_project
from relevo.ingest import ingest
from relevo.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.records import Snapshot
    from relevo.split import Split


def definition(
    folder: Path,
    source: Path,
    split: Split,
    *,
    asked: Mapping[str, Any],
    known: Mapping[str, Any],
    target: Target,
    event_time: str | None = None,
    nulls: Sequence[str] = (),
    features: str = "",
    **choices: Any,
) -> Definition:
    """A project whose request has the fields ``asked`` and whose table has ``known`` beside them."""
    request = create_model("Request", __base__=BaseModel, **asked)
    row = create_model("Row", __base__=request, **known)
    (folder / "features.sql").write_text(
        features or f"select {', '.join(asked)} from request", encoding="utf-8"
    )
    wanted = Project(
        name="bare",
        tables=[Table("rows", row, Files(str(source)), event_time=event_time, nulls=nulls)],
        request=request,
        target=target,
        split=split,
        **{"candidates": [logistic()], "tuning": Tuning(trials=1), "gate": Gate(), **choices},
    )
    return compile_project(replace(wanted, root=folder))


def cleaned(made: Definition, folder: Path) -> tuple[Lake, dict[str, Snapshot]]:
    """A lake with the project's table, raw and clean."""
    lake = Lake(folder / "lake", scratch=folder)
    table = made.project.main_table
    contract = made.contracts[table.name]
    raw = ingest(table, contract, lake, made.project.root, None)
    return lake, {table.name: clean(table, contract, lake, raw, limit=made.project.max_quarantined)}
