"""The lake: Delta tables in folders, written from Arrow streams and read by DuckDB.

A table's name is its path below the lake: ``raw/departures``. A write carries the id of its transaction,
kept in the table's log with the data: the same id again writes nothing, so a step killed after its commit
can be run again. Old versions stay readable: nothing is ever removed here.
"""

from relevo.casting import literal
from relevo.lake.engine import escape_glob, explained, first_line, reworded, running
from relevo.lake.lake import Lake, check_path

__all__ = ["Lake", "check_path", "escape_glob", "explained", "first_line", "literal", "reworded", "running"]
