"""``python -m relevo``."""

from relevo.cli import main

main()
