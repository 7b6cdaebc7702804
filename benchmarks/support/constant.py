"""The ceiling: Relevo's server and route, the body parsed and validated, and then a constant answer.

python -m support.constant PROJECT PORT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from uvicorn import Server

from relevo.serving.app import create_app
from relevo.serving.predict import Predict
from relevo.serving.reading import parse
from relevo.serving.run import configuration
from relevo.workspace import Workspace

ANSWER = (
    b'{"id":"01934c5e-7c00-7000-8000-000000000000","probability":0.1234567890123456,"decision":false,'
    b'"label":"on time","threshold":0.25,"version":"1.0.0"}'
)


class Constant(Predict):
    """Reads a request as Relevo does, and predicts nothing."""

    async def _answer(self, scope: Any, receive: Any) -> bytes | None:
        self._check_headers(scope["headers"])
        message = await receive()
        assert self.served is not None
        self.served.package.validators.one.validate_python(parse(message["body"]))
        return ANSWER


def serve(project: Path, port: int) -> None:
    """Serve the constant to whatever the contract of the released version accepts."""
    workspace = Workspace.open(project)
    name = workspace.project_name()
    app = create_app(workspace, name, collect=False)
    constant = Constant(app.journal, app.metrics, project=name, alias="champion")
    assert app.predict.served is not None
    constant.swap(app.predict.served)
    app.predict = constant
    config = configuration(app)
    config.port = port
    Server(config).run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
