"""``features.sql``: read, checked, typed, and written out as one canonical query and one operator tree.

sqlglot is loaded by the first call of ``compile_features`` or ``compile_expression``, not by this import.
"""

from relevo.sql.compile import compile_expression, compile_features
from relevo.sql.functions import SUPPORTED, Function
from relevo.sql.plan import Column, FeaturePlan, LookupTable, LookupUse, quote

__all__ = [
    "SUPPORTED",
    "Column",
    "FeaturePlan",
    "Function",
    "LookupTable",
    "LookupUse",
    "compile_expression",
    "compile_features",
    "quote",
]
