"""Relevo: from a data scientist's tabular classifier to a model in production that stays right.

Names are imported when first used, so that ``import relevo`` loads no third-party module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relevo.candidates import Candidate, Tuning, estimator, lightgbm, logistic, pretrained, xgboost
    from relevo.definition import load
    from relevo.gate import Gate
    from relevo.lifecycle import run
    from relevo.package import ModelPackage
    from relevo.project import Project, Table
    from relevo.sources import Files
    from relevo.split import GroupSplit, StratifiedSplit, TimeSplit
    from relevo.target import Target
    from relevo.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "Candidate": "candidates",
    "Files": "sources",
    "Gate": "gate",
    "GroupSplit": "split",
    "ModelPackage": "package",
    "Project": "project",
    "StratifiedSplit": "split",
    "Table": "project",
    "Target": "target",
    "TimeSplit": "split",
    "Tuning": "candidates",
    "Workspace": "workspace",
    "estimator": "candidates",
    "lightgbm": "candidates",
    "load": "definition",
    "logistic": "candidates",
    "pretrained": "candidates",
    "run": "lifecycle",
    "xgboost": "candidates",
}

__all__ = [
    "Candidate",
    "Files",
    "Gate",
    "GroupSplit",
    "ModelPackage",
    "Project",
    "StratifiedSplit",
    "Table",
    "Target",
    "TimeSplit",
    "Tuning",
    "Workspace",
    "__version__",
    "estimator",
    "lightgbm",
    "load",
    "logistic",
    "pretrained",
    "run",
    "xgboost",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relevo' has no attribute {name!r}")
    return getattr(import_module(f"relevo.{_HOMES[name]}"), name)
