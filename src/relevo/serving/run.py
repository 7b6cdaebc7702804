"""Running the service until it is told to stop: in this process, or in workers forked from it."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import ssl
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from relevo import reachable
from relevo.errors import WorkspaceError
from relevo.extras import need
from relevo.serving.memory import use_one_arena
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from starlette.types import ASGIApp
    from uvicorn import Config

    from relevo.service import ServiceSettings
    from relevo.serving.app import App
    from relevo.workspace import Workspace

_SWITCH = 0.0005  # seconds; how long a thread that loads a package may keep the event loop waiting
FAREWELL = 30
"""Seconds that requests under way have to finish when the service stops."""
_log = logging.getLogger(__name__)


def run(
    workspace: Workspace,
    project_name: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    alias: str = "champion",
    settings: ServiceSettings | None = None,
    workers: int = 1,
    ready: Callable[[str, str], None] | None = None,
    page: Callable[[App], ASGIApp] | None = None,
) -> None:
    """Serve over HTTP and block until SIGTERM or SIGINT; port 0 takes a free one.

    ``ready`` is called with the address and the version that answers (empty when there is none yet) once
    requests are accepted; by default one line is printed. More ``workers`` than one are processes forked from
    this one, which must have no other threads. ``page`` makes an application for the end user's page.
    Raises ``WorkspaceError`` when the address is taken or predictions could not be logged,
    ``ExtraMissingError`` without the extra ``serve``.
    """
    for module in ("fastapi", "uvicorn", "httptools", "uvloop"):
        need(module, "serve")
    import numpy as np

    from relevo.serving.app import create_app
    from relevo.serving.supervise import Supervisor

    sys.setswitchinterval(_SWITCH)
    use_one_arena()
    np.seterr(over="ignore", invalid="ignore")  # the caller's infinities are answered, not warned of
    log_to_stderr()
    listener = listen(host, port)
    app = create_app(
        workspace,
        project_name,
        settings=settings,
        alias=alias,
        workers=workers,
        begin=workers == 1,
        page=page,
    )
    see_that_it_is_safe(app, host)
    address = address_of(listener, app.settings)

    with ExitStack() as listening:

        def tell(version: str) -> None:
            listening.enter_context(reachable.announced(workspace.own, address))
            (ready or _print)(address, version)

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
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when all is done: then we return
        signal.signal(number, lambda *_: None)
    server.run([listener])


def configuration(app: App) -> Config:
    """The HTTP server's settings: uvloop, httptools, and the access log is the application's own.

    Raises ``WorkspaceError`` when the certificate cannot be used.
    """
    from uvicorn import Config

    from relevo.serving.app import KEEP_ALIVE
    from relevo.serving.wire import Wire

    settings = app.settings
    certificate, key = settings.certificate, settings.certificate_key
    _see_that_it_is_a_pair(certificate, key)
    return Config(
        app,
        loop="uvloop",
        http=Wire,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        root_path=settings.root_path,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=FAREWELL,
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind an address; raises ``WorkspaceError`` when it is taken."""
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


def _see_that_it_is_a_pair(certificate: Path | None, key: Path | None) -> None:
    """Raise ``WorkspaceError`` when TLS could not be spoken with these files."""
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        problem = error.strerror or getattr(error, "reason", None) or str(error)
        raise WorkspaceError(
            t(
                "The certificate {file} cannot be used ({problem}). It and its key are PEM files that belong together.",
                file=certificate,
                problem=problem,
            )
        ) from error


def see_that_it_is_safe(app: App, host: str) -> None:
    """Raise ``WorkspaceError`` when others could ask without a key; warn when they would send it in the clear."""
    if is_loopback(host):
        return
    app.access.look()
    if not app.access.required:
        raise WorkspaceError(
            t(
                "On {host} anybody could ask. Make a key first: relevo keys create --scope predict. "
                "Or set serve.jwks, or listen on 127.0.0.1.",
                host=host,
            )
        )
    if app.settings.certificate is None:
        _log.warning(
            "%s",
            t(
                "Keys travel in the clear: give a certificate (serve.certificate), or a proxy with TLS in front."
            ),
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(listener: socket.socket, settings: ServiceSettings) -> str:
    """The URL of what listens."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.certificate is not None else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _print(address: str, version: str) -> None:
    if version:
        line = t("ready: {address} answers with version {version}.", address=address, version=version)
    else:
        line = t("ready: {address} waits for a first version. Type: relevo run", address=address)
    print(line, flush=True)  # noqa: T201 - for whoever started it in a terminal


def log_to_stderr() -> None:
    """Show the service's own messages, and the server's warnings, unless the caller set up logging."""
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("relevo").setLevel(logging.INFO)
