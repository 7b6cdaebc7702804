"""Where rows come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["csv", "parquet", "jsonl"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""What a file's ending says of its format; ``.gz`` and ``.zst`` may follow, except for Parquet."""


@dataclass(frozen=True)
class Files:
    """Files below the project's folder (or at an absolute path), by path or glob, in name order.

    ``delimiter``, ``quote`` and ``escape`` are for CSV; a delimiter left out is the one of ``, ; tab |``
    under which the header names most of the contract's columns. ``encoding`` is any of Python's.
    ``format`` is by ending unless given. ``origin`` names a column to be filled with the name of the file that
    a row stands in, where the file says what no column does.
    """

    pattern: str
    format: Format | None = None
    delimiter: str | None = None
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    origin: str | None = None


Source = Files
"""What a table may be read from."""
