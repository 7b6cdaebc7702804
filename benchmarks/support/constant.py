"""The ceiling: Relevo's server and route, the body parsed and validated, and then a constant answer.

python -m support.constant PROJECT PORT [--long]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from uvicorn import Server

from relevo.serving import app
from relevo.serving.predict import Predict
from relevo.serving.reading import parse
from relevo.serving.run import configuration
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relevo.serving.turns import Ask

ANSWER = (
    b'{"id":"01934c5e-7c00-7000-8000-000000000000","probability":0.1234567890123456,"decision":false,'
    b'"label":"on time","threshold":0.25,"version":"1.0.0"}'
)


class Constant(Predict):
    """Reads a request as Relevo does, and predicts nothing."""

    def _together(self, asks: Sequence[Ask]) -> list[bytes | Exception]:
        assert self.served is not None
        validate = self.served.package.validators.one.validate_python
        for ask in asks:
            validate(parse(ask.body))
        return [ANSWER] * len(asks)


def serve(project: Path, port: int, *, short: bool) -> None:
    """Serve the constant to whatever the contract of the released version accepts."""
    app.Predict = Constant  # type: ignore[misc]
    workspace = Workspace.open(project)
    made = app.create_app(workspace, workspace.project_name(), collect=False)
    made.door.short = short
    config = configuration(made)
    config.port = port
    Server(config).run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), short="--long" not in sys.argv)
