"""The page within a service, and the page as a server of its own."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import numpy as np

from relevo.gradio.origins import InProcess, Remote
from relevo.gradio.page import Page
from relevo.service import ServiceSettings
from relevo.serving.app import create_app
from relevo.serving.door import PAGE
from relevo.serving.run import address_of, is_loopback, listen, log_to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from relevo.serving.app import App
    from relevo.workspace import Workspace

HEALTH = "/health"
_log = logging.getLogger(__name__)


def mounted(app: App) -> Page:
    """Make the page of a service, for below ``PAGE``."""
    return Page(InProcess(app), prefix=PAGE, name=PAGE[1:], max_upload=app.settings.max_upload)


class Standing:
    """The page at the root of a server of its own; ``app`` is the application that lives with it, if any."""

    def __init__(self, page: Page, app: App | None, root: str) -> None:
        self.page = page
        self._app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        scope["relevo.path"] = path = scope["path"].removeprefix(self._root)
        if path == HEALTH:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
        else:
            await self.page(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
            return
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})


def run(
    workspace: Workspace | None,
    *,
    url: str = "",
    key: str = "",
    host: str = "127.0.0.1",
    port: int = 7860,
    language: str = "",
    settings: ServiceSettings | None = None,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page until SIGTERM or SIGINT; port 0 takes a free one, and ``ready`` is told the address.

    Answers come from the service at ``url``, asked with ``key``, or from the champion of a ``workspace`` in this
    process. Raises ``WorkspaceError`` when the address is taken, or when anybody could ask without a key.
    """
    import uvicorn

    from relevo.serving.run import see_that_it_is_safe

    log_to_stderr()
    np.seterr(over="ignore", invalid="ignore")
    app = None
    if workspace is not None:
        chosen = workspace.settings.serve if settings is None else settings
        app = create_app(workspace, workspace.project_name(), settings=chosen)
        see_that_it_is_safe(app, host)
        origin: InProcess | Remote = InProcess(app)
        chosen = app.settings
    else:
        chosen = settings or ServiceSettings()
        origin = Remote(url, key, shared=is_loopback(host))
    listener = listen(host, port)
    root = chosen.root_path
    page = Page(
        origin, prefix="", name=root.rpartition("/")[2], max_upload=chosen.max_upload, chosen=language
    )
    told = address_of(listener, chosen)

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(sockets)  # type: ignore[arg-type]
            ready(told)

    config = uvicorn.Config(
        Standing(page, app, root),
        loop="uvloop",
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_certfile=chosen.certificate,
        ssl_keyfile=chosen.certificate_key,
        timeout_graceful_shutdown=5,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again when all is done
    Server(config).run([listener])
