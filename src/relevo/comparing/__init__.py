"""Two sets of rows compared, column by column: files, folders, patterns of files, or columns in memory.

``profile`` says how the columns of a reference are distributed, over bins of its own choice; ``compare`` counts other
rows over them. No more than a few columns of a few row groups are in memory, whatever is compared.
"""

from relevo.comparing.comparison import Comparison, compare
from relevo.comparing.profiles import Profile, profile

__all__ = ["Comparison", "Profile", "compare", "profile"]
