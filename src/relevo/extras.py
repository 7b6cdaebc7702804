"""Optional parts: imported where they are used, with the line to type when they are absent."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
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
        raise _missing(root, extra) from error


def need_elsewhere(module: str, extra: str) -> None:
    """See that a process to be started can import ``module``, which this one must not; raises as ``need`` does."""
    if find_spec(module) is None:
        raise _missing(module, extra)


def _missing(module: str, extra: str) -> ExtraMissingError:
    line = f'pip install "relevo[{extra}]"'
    return ExtraMissingError(
        t("This needs {module}, which is not installed. Type: {line}", module=module, line=line)
    )
