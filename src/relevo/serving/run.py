"""Running the service until it is told to stop: in this process, or in workers forked from it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from relevo.errors import WorkspaceError
from relevo.extras import need
from relevo.serving.memory import use_one_arena
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from uvicorn import Config

    from relevo.serving.app import App
    from relevo.workspace import Workspace

_SWITCH = 0.0005  # seconds; how long a thread that loads a package may keep the event loop waiting
_KEEP_ALIVE = 75
FAREWELL = 30
"""Seconds that requests under way have to finish when the service stops."""


def run(
    workspace: Workspace,
    project_name: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    alias: str = "champion",
    workers: int = 1,
    ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve over HTTP and block until SIGTERM or SIGINT; port 0 takes a free one.

    ``ready`` is called with the address and the version that answers (empty when there is none yet) once
    requests are accepted; by default one line is printed. More ``workers`` than one are processes forked from
    this one, which must have no other threads. Raises ``WorkspaceError`` when the address is taken or
    predictions could not be logged, ``ExtraMissingError`` without the extra ``serve``.
    """
    for module in ("fastapi", "uvicorn", "httptools", "uvloop"):
        need(module, "serve")
    import numpy as np

    from relevo.serving.app import create_app
    from relevo.serving.supervise import Supervisor

    sys.setswitchinterval(_SWITCH)
    use_one_arena()
    np.seterr(over="ignore", invalid="ignore")  # the caller's infinities are answered, not warned of
    _log_to_stderr()
    listener = _listen(host, port)
    address = _address(listener)

    def tell(version: str) -> None:
        (ready or _print)(address, version)

    app = create_app(workspace, project_name, alias=alias, begin=workers == 1)
    if workers > 1:
        Supervisor(workspace, app, listener, workers).run(tell)
    else:
        answer(app, listener, tell)


def answer(
    app: App, listener: socket.socket, ready: Callable[[str], None], lifeline: int | None = None
) -> None:
    """Answer on a bound socket in this process until SIGTERM or SIGINT; what is under way is finished.

    ``lifeline`` is a descriptor that becomes readable when the supervisor is gone: then it stops too, and
    leaves SIGINT, which a terminal sends to all of its processes, to the supervisor.
    """
    from uvicorn import Server as Uvicorn

    from relevo.serving.drain import drain

    class Server(Uvicorn):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if lifeline is not None:
                asyncio.get_running_loop().add_reader(lifeline, self.handle_exit, signal.SIGTERM, None)
            served = app.predict.served
            ready(served.version.version if served else "")

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if lifeline is not None:
                asyncio.get_running_loop().remove_reader(lifeline)
            await drain(app, self)
            await super().shutdown(sockets)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if lifeline is None or sig != signal.SIGINT:
                super().handle_exit(sig, frame)

    server = Server(configuration(app))
    app.predict.in_flight = server.server_state.tasks
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when all is done: then we return
        signal.signal(number, lambda *_: None)
    server.run([listener])


def configuration(app: Any) -> Config:
    """The HTTP server's settings: uvloop, httptools, no access log."""
    from uvicorn import Config

    return Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=FAREWELL,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WorkspaceError(
            t(
                "{host}:{port} cannot be listened on ({error}). Choose another --port, or 0 for a free one.",
                host=host,
                port=port,
                error=error.strerror,
            )
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _print(address: str, version: str) -> None:
    if version:
        line = t("ready: {address} answers with version {version}.", address=address, version=version)
    else:
        line = t("ready: {address} waits for a first version. Type: relevo run", address=address)
    print(line, flush=True)  # noqa: T201 - for whoever started it in a terminal


def _log_to_stderr() -> None:
    """Show the service's own messages, and the server's warnings, unless the caller set up logging."""
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("relevo").setLevel(logging.INFO)
