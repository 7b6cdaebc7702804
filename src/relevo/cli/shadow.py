"""``python -m relevo.cli.shadow PROJECT RELEASE``: the shadow's own process, which the service starts."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path


def main() -> int:
    """Shadow until the end; returns the exit code."""
    from relevo.errors import RelevoError
    from relevo.serving.collecting import idle

    idle(os.getpid())  # before anything heavy is imported
    from relevo.serving.shadow import run
    from relevo.workspace import Workspace

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        run(Workspace.open(Path(sys.argv[1]), create=False), int(sys.argv[2]))
    except RelevoError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - a sentence of ours says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
