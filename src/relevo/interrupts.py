"""Ctrl-C in the midst of a query: DuckDB raises an error of its own in place of ``KeyboardInterrupt``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAID = "Query interrupted"


@contextmanager
def heard() -> Iterator[None]:
    """Let Ctrl-C in the midst of a query come out as ``KeyboardInterrupt``, as it does elsewhere."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != _SAID:
            raise
        raise KeyboardInterrupt from error
