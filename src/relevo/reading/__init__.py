"""Reading source files: every cell as the text it was, every row with its number, nothing lost.

``find`` says which files a source means, ``inspect`` what is in one, and ``read`` gives a SELECT of its
rows. A damaged row comes out with ``_defect`` saying what is wrong and ``_line`` holding its text.
"""

from relevo.reading.files import File, Layout, content, find, identity, in_force
from relevo.reading.rows import DEFECT, LINE, RESERVED, ROW, Reading, inspect, read, retried

__all__ = [
    "DEFECT",
    "LINE",
    "RESERVED",
    "ROW",
    "File",
    "Layout",
    "Reading",
    "content",
    "find",
    "identity",
    "in_force",
    "inspect",
    "read",
    "retried",
]
