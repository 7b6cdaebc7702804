"""Arrow's IPC stream format, as far as flat tables need it, without a library.

The bytes come from callers. Both small libraries that read the format ended the process on mutated bytes (a
segmentation fault, an abort), so every number is checked here before it is used as a place or a size. Tables of
the format are those of Message.fbs and Schema.fbs in Apache Arrow's columnar specification, version 1.5.
"""

from relevo.arrow.flat import DamagedError, UnfitError
from relevo.arrow.reading import LARGEST, Batch, Reader
from relevo.arrow.writing import END, Column, Writer

__all__ = ["END", "LARGEST", "Batch", "Column", "DamagedError", "Reader", "UnfitError", "Writer"]
