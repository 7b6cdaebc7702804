"""What the page answers without Gradio: redirects, refusals, the form that asks for a key; and its cookie."""

from __future__ import annotations

import os
from html import escape
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import orjson

from relevo.serving.bodies import read_away
from relevo.texts import language as spoken
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.types import Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]
COOKIE = "relevo-key"
POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; form-action 'self'; "
    b"base-uri 'self'; frame-ancestors 'none'"
)
"""Content-Security-Policy: no request leaves for another machine, whatever Gradio's scripts would do.

Gradio's own page has inline scripts and makes functions of its templates; so values are escaped before they are shown.
"""
_SAFE: Headers = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]
_LONGEST = 8192
_HTML: Headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:28em;margin:15vh auto;padding:0 1em}"
    "input,button{font:inherit;padding:.4em .6em;width:100%;box-sizing:border-box;margin:.3em 0}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}"
)


def files_go_to(folder: Path) -> None:
    """Have Gradio put files there."""
    os.environ["GRADIO_TEMP_DIR"] = str(folder)


def key(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The key or token that a visitor presents: by the header, as a proxy may, or the page's cookie."""
    cookies = ""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
        if name == b"cookie":
            cookies = value.decode("latin-1")
    for one in cookies.split(";"):  # others on this host may have set what ``SimpleCookie`` stumbles over
        called, _, given = one.strip().partition("=")
        if called == COOKIE:
            return given.strip('"')
    return ""


def cookie(value: str, scope: Scope) -> tuple[bytes, bytes]:
    """The header that keeps a key until the browser is closed, from scripts and from other pages' requests."""
    secure = any(
        (name == b"x-forwarded-proto" and value.strip() == b"https")
        or (name == b"origin" and value.startswith(b"https://"))  # of a form that was sent to this page
        for name, value in scope["headers"]
    )
    made: SimpleCookie = SimpleCookie()
    made[COOKIE] = value
    made[COOKIE]["httponly"] = True
    made[COOKIE]["samesite"] = "Strict"
    if scope.get("scheme") == "https" or secure:
        made[COOKIE]["secure"] = True
    if not value:
        made[COOKIE]["max-age"] = 0
    return b"set-cookie", made[COOKIE].OutputString().encode("latin-1")


def foreign(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the browser says that another site's page sends this."""
    return any(
        name == b"sec-fetch-site" and value not in (b"same-origin", b"none") for name, value in headers
    )


def length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """What the headers say of the body's length; 0 where they say nothing."""
    return next((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), 0)


class Bounded:
    """A body that breaks off where it is longer than ``most`` bytes; then ``said`` is answered with 413."""

    def __init__(self, receive: Receive, send: Send, most: int, said: str) -> None:
        self._receive, self._send = receive, send
        self._left, self._said = most, said
        self.over = False

    async def receive(self) -> Message:
        """Give the next piece."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.over = True
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Send on, unless there was too much."""
        if not self.over:
            await self._send(message)

    async def end(self) -> None:
        """Say that there was too much."""
        await read_away(self._receive)
        await refuse(self._send, 413, self._said)


def safely(send: Send) -> Send:
    """Send with the page's own security headers, and none that let other sites read."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            dropped = (b"access-control-", *(name for name, _ in _SAFE))
            kept = [(n, v) for n, v in message.get("headers", ()) if not n.startswith(dropped)]
            message = {**message, "headers": [*kept, *_SAFE]}
        await send(message)

    return sending


async def answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send an answer."""
    told = [*headers, (b"content-length", b"%d" % len(body)), *_SAFE]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


async def redirect(send: Send, to: str, *headers: tuple[bytes, bytes]) -> None:
    """Lead to a relative address."""
    await answer(send, 303, b"", [(b"location", to.encode()), (b"cache-control", b"no-store"), *headers])


async def refuse(send: Send, status: int, said: str) -> None:
    """Say why not, as Gradio's script reads it."""
    body = orjson.dumps({"detail": said, "error": said})
    await answer(send, status, body, [(b"content-type", b"application/json")])


async def waiting(send: Send, said: str) -> None:
    """Say that there is nothing yet, on a page that comes again by itself."""
    await answer(send, 503, _page(f"<p>{escape(said)}</p>", refresh=True), [*_HTML, (b"retry-after", b"5")])


async def login(send: Send, problem: str) -> None:
    """Ask for a key, on a page beside ``login``."""
    wrong = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    said = t("Predictions are for those who have a key. It is kept until you close the browser.")
    inner = (
        f'<form method="post" action="login"><p>{escape(said)}</p>{wrong}'
        f'<label>{escape(t("Key"))}<input type="password" name="key" required autofocus autocomplete="off"></label>'
        f"<button>{escape(t('Use this key'))}</button></form>"
    )
    await answer(send, 401, _page(inner), _HTML)


def _page(inner: str, *, refresh: bool = False) -> bytes:
    again = '<meta http-equiv="refresh" content="5">' if refresh else ""
    return (
        f'<!doctype html><html lang="{spoken()}"><head><meta charset="utf-8">{again}<title>Relevo</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body>{inner}</body></html>"
    ).encode()


async def form_key(receive: Receive) -> str:
    """The key in a form's body; empty when there is none, or it is too long."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > _LONGEST:
            return ""
        if not message.get("more_body"):
            break
    found: str = parse_qs(body.decode("latin-1")).get("key", [""])[0]
    return found.strip()
