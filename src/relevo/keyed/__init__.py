"""Keyed files: one row for each key, written once, then mapped by every process that asks.

A file is an LMDB environment of its own. The table ``rows`` maps a key, encoded so that bytes sort as values
do, to a record: which cells are null, then every cell at a fixed place (a text's length there, the texts
themselves after the last), little endian. Beside it stands what the file holds, so that a file of another
layout is told apart. Nothing in a file is trusted before its SHA-256 was checked.
"""

from relevo.keyed.file import FORMAT, KeyedFile
from relevo.keyed.writing import CHUNK, Built, build

__all__ = ["CHUNK", "FORMAT", "Built", "KeyedFile", "build"]
