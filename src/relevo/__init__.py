"""Relevo: from a data scientist's tabular classifier to a model in production that stays right.

Names are imported when first used, so that ``import relevo`` loads no third-party module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relevo.candidates import Candidate, Tuning, estimator, lightgbm, logistic, pretrained, xgboost
    from relevo.client import AsyncClient, Client
    from relevo.decisions import BestThreshold, Costs, ExpectedF1, TopK
    from relevo.definition import load
    from relevo.explanation import explain
    from relevo.gate import Gate
    from relevo.lifecycle import results, run
    from relevo.monitoring import Monitor, Retrain
    from relevo.outcomes import reviews
    from relevo.package import ModelPackage
    from relevo.population import Examples, History, Population, Recommend
    from relevo.project import Project, Table
    from relevo.sources import Batches, Files, Folder, Query, Rows
    from relevo.split import GroupSplit, RepeatedStratifiedSplit, StratifiedSplit, TimeSplit
    from relevo.target import Target
    from relevo.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "client",
    "Batches": "sources",
    "BestThreshold": "decisions",
    "Candidate": "candidates",
    "Client": "client",
    "Costs": "decisions",
    "Examples": "population",
    "ExpectedF1": "decisions",
    "Files": "sources",
    "Folder": "sources",
    "Gate": "gate",
    "GroupSplit": "split",
    "History": "population",
    "ModelPackage": "package",
    "Monitor": "monitoring",
    "Population": "population",
    "Project": "project",
    "Query": "sources",
    "Recommend": "population",
    "RepeatedStratifiedSplit": "split",
    "Retrain": "monitoring",
    "Rows": "sources",
    "StratifiedSplit": "split",
    "Table": "project",
    "Target": "target",
    "TimeSplit": "split",
    "TopK": "decisions",
    "Tuning": "candidates",
    "Workspace": "workspace",
    "estimator": "candidates",
    "explain": "explanation",
    "lightgbm": "candidates",
    "load": "definition",
    "logistic": "candidates",
    "pretrained": "candidates",
    "results": "lifecycle",
    "reviews": "outcomes",
    "run": "lifecycle",
    "xgboost": "candidates",
}

__all__ = [
    "AsyncClient",
    "Batches",
    "BestThreshold",
    "Candidate",
    "Client",
    "Costs",
    "Examples",
    "ExpectedF1",
    "Files",
    "Folder",
    "Gate",
    "GroupSplit",
    "History",
    "ModelPackage",
    "Monitor",
    "Population",
    "Project",
    "Query",
    "Recommend",
    "RepeatedStratifiedSplit",
    "Retrain",
    "Rows",
    "StratifiedSplit",
    "Table",
    "Target",
    "TimeSplit",
    "TopK",
    "Tuning",
    "Workspace",
    "__version__",
    "estimator",
    "explain",
    "lightgbm",
    "load",
    "logistic",
    "pretrained",
    "results",
    "reviews",
    "run",
    "xgboost",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relevo' has no attribute {name!r}")
    return getattr(import_module(f"relevo.{_HOMES[name]}"), name)
