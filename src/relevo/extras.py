"""Optional parts: imported where they are used, with the line to type when they are absent."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from relevo.errors import ExtraMissingError
from relevo.texts import t


def need(module: str, extra: str) -> Any:
    """Import ``module``; raises ``ExtraMissingError`` naming ``extra`` when its distribution is absent."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name and error.name.partition(".")[0] != root:
            raise
        line = f'pip install "relevo[{extra}]"'
        raise ExtraMissingError(
            t("This needs {module}, which is not installed. Type: {line}", module=root, line=line)
        ) from error
