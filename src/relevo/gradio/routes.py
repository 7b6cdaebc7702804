"""Which of Gradio's routes there are, and its page without what points elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from relevo.gradio.plain import refuse
from relevo.serving.bodies import read_away
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_GET = re.compile(r"/|/assets/[\w./-]+|/static/[\w./-]+|/theme\.css|/gradio_api/upload_progress")
RUN, UPLOAD = "/gradio_api/run/predict", "/gradio_api/upload"
_FILE = "/gradio_api/file="
_LONGEST = 1 << 20  # bytes of an event
_ROOT = (
    "<script>window.gradio_config.root=location.origin+location.pathname.replace(/\\/$/,'')</script>"
    '<link rel="icon" href="data:,">'
)
"""The page's own address is its root, whatever stands between the browser and the service."""
_ADDRESS = re.compile(rb'"url":"[^"]*?/gradio_api/file=')
_ELSEWHERE = re.compile(
    r'<link rel="manifest"[^>]*>|<meta[^>]*(?:og:|twitter:)[^>]*>|'
    r"<script>\s*\(\(\) => \{\s*const root = .*?</script>",  # frames of other sites, of which there are none
    re.DOTALL,
)


def of_gradio(method: str, path: str, folder: Path) -> bool:
    """Whether the page needs this route; of files only those in its own ``folder``."""
    if method == "POST":
        return path in (RUN, UPLOAD)
    if path.startswith(_FILE):
        return method in ("GET", "HEAD") and _within(path.removeprefix(_FILE), folder)
    return method in ("GET", "HEAD") and _GET.fullmatch(path) is not None and ".." not in path


async def patched(app: ASGIApp, scope: Scope, receive: Receive, send: Send, language: str) -> None:
    """Answer with Gradio's page, changed so that it asks for nothing elsewhere."""

    def change(body: bytes) -> bytes:
        text = _ELSEWHERE.sub("", body.decode()).replace('lang="en"', f'lang="{language}"', 1)
        return text.replace("<script data-gradio-mode>", _ROOT + "<script data-gradio-mode>", 1).encode()

    await _changed(app, scope, receive, send, change)


async def ran(app: ASGIApp, scope: Scope, receive: Receive, send: Send, folder: Path) -> None:
    """Answer an event, with addresses of files that count from the page, wherever a proxy shows it."""
    body = await _whole(receive)
    if body is None or not _of_the_page(body, folder):
        await refuse(send, 400, t("This is nothing that the page sends."))
        return
    given: Message = {"type": "http.request", "body": body, "more_body": False}

    async def again() -> Message:
        nonlocal given
        once, given = given, {"type": "http.disconnect"}
        return once

    await _changed(app, scope, again, send, lambda found: _ADDRESS.sub(b'"url":"gradio_api/file=', found))


async def _whole(receive: Receive) -> bytes | None:
    body: bytes = b""
    while len(body) <= _LONGEST:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
    await read_away(receive)
    return None


def _of_the_page(body: bytes, folder: Path) -> bool:
    """Whether each file that an event names is an upload.

    Of others Gradio would fetch what an address names, from anywhere.
    """
    try:
        waiting = [orjson.loads(body)]
    except orjson.JSONDecodeError:
        return False
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            path = one.get("path")
            if path is not None and not (isinstance(path, str) and _within(path, folder)):
                return False
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return True


def _within(path: str, folder: Path) -> bool:
    wanted = Path(path)
    return "\0" not in path and ".." not in wanted.parts and folder in wanted.parents


async def _changed(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, change: Callable[[bytes], bytes]
) -> None:
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    start: Message = {}
    body = b""

    async def sending(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
            return
        body += message.get("body", b"")
        if message.get("more_body"):
            return
        data = change(body)
        kept = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        kept += [(b"content-length", b"%d" % len(data)), (b"cache-control", b"no-store")]
        await send({**start, "headers": kept})
        await send({"type": "http.response.body", "body": data})

    await app({**scope, "headers": headers}, receive, sending)
