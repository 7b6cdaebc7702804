"""Serving: the champion over HTTP, followed without a restart, with every answered prediction logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo.serving.run import run

if TYPE_CHECKING:
    from relevo.serving.app import App, create_app

__all__ = ["App", "create_app", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'relevo.serving' has no attribute {name!r}")
    from relevo.serving import app  # needs the extra: `run` says so

    return getattr(app, name)
