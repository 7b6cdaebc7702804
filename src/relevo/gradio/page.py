"""The page as an ASGI application: who may see it, in which language, and which of Gradio's routes there are.

``/`` leads to ``/<language>/<digest>/``, the page of a contract. A page that is open while the contract changes
goes on with its own; whoever comes anew gets the new one. Addresses are relative throughout, so no proxy need
tell under which path it shows the page.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import re
import shutil
import tempfile
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relevo.errors import ServiceError
from relevo.gradio import plain, subject
from relevo.gradio.form import Form
from relevo.gradio.origins import REFUSING, Refused
from relevo.gradio.routes import RUN, UPLOAD, of_gradio, patched, ran
from relevo.serving.problems import language
from relevo.texts import speaking, t

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from relevo.gradio.origins import Origin

KEPT = 6
"""Pages that are kept, of contracts and languages."""
BATCHES = 2
"""Files that one process scores at once."""
AGE = 3600.0
"""Seconds after which files that were given or answered are deleted."""
_PAGE = re.compile(r"/(en|es)/([0-9a-f]{12})(/.*)")
_OPEN = ("/assets/", "/static/", "/theme.css")
_MARGIN = 1 << 16  # bytes of an upload beside the file itself
_log = logging.getLogger(__name__)


class Page:
    """Answers below ``prefix``, a path that the scope's ``relevo.path`` begins with.

    ``name`` is the last part of the path under which it is shown, ``chosen`` the language, by default the
    browser's. Uploaded files are in a folder of its own.
    """

    def __init__(
        self, origin: Origin, *, prefix: str, max_upload: int, name: str = "", chosen: str = ""
    ) -> None:
        self._origin, self._prefix, self._name, self._chosen = origin, prefix, name, chosen
        self._max_upload = max_upload
        self._forms: OrderedDict[tuple[str, str], Form] = OrderedDict()
        self._building = asyncio.Lock()
        self._batches = asyncio.Semaphore(BATCHES)
        self._cleared = 0.0
        self.folder = Path(tempfile.mkdtemp(prefix="relevo-gradio-"))
        plain.files_go_to(self.folder)
        atexit.register(self._end, os.getpid())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["relevo.path"].removeprefix(self._prefix)
        found = _PAGE.fullmatch(path)
        code = found[1] if found else self._chosen or language(scope["headers"])
        with speaking(code):
            digest, rest = (found[2], found[3]) if found else ("", "")
            asked = _Asked(path, code, digest, rest, plain.key(scope["headers"]))
            await self._answer(asked, scope, receive, send)

    async def _answer(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "POST" and plain.foreign(scope["headers"]):
            await plain.refuse(send, 403, t("This page takes nothing from other pages."))
        elif asked.path == "":
            await plain.redirect(send, f"{self._name}/")
        elif asked.path == "/login" and method == "POST":
            await self._login(scope, receive, send)
        elif asked.path == "/login":
            await plain.redirect(send, "./")
        elif asked.path == "/logout" and method == "POST":
            await plain.redirect(send, "./", plain.cookie("", scope))
        elif asked.rest.startswith(_OPEN):
            await self._of_gradio(asked, scope, receive, send)
        else:
            await self._behind_the_gate(asked, scope, receive, send)

    async def _behind_the_gate(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Let pass who may predict, and read the contract where the page asks for it with the visitor's key."""
        try:
            refused = await self._origin.refusal(asked.key)
            if refused is not None:
                raise refused
            if asked.rest:
                await self._of_gradio(asked, scope, receive, send)
            elif asked.path == "/":
                await self._lead(asked, send)
            else:
                await plain.refuse(send, 404, t("There is nothing here."))
        except Refused as refused:
            await _turn_away(asked, refused, send)
        except ServiceError as error:
            _log.warning("%s", error)
            await plain.waiting(send, _away(error))

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a key into a cookie, if it may predict."""
        given = await plain.form_key(receive)
        try:
            refused = await self._origin.refusal(given) if given else None
        except ServiceError as error:
            await plain.waiting(send, _away(error))
            return
        if not given or refused is not None:
            await plain.login(send, refused.said() if refused else t("A key is needed."))
        else:
            await plain.redirect(send, "./", plain.cookie(given, scope))

    async def _lead(self, asked: _Asked, send: Send) -> None:
        """Lead to the page of what answers now."""
        now = subject.read(await self._origin.described(asked.key, asked.code))
        if now is None:
            await plain.waiting(
                send, t("There is no model to answer with yet. This page asks again by itself.")
            )
            return
        await plain.redirect(send, f"{asked.code}/{now.digest}/")

    async def _of_gradio(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer, on the routes that the page needs."""
        rest = asked.rest
        if not of_gradio(scope["method"], rest, self.folder):
            await plain.refuse(send, 404, t("There is nothing here."))
            return
        form = await self._form(asked)
        if form is None:
            if rest == "/":
                await plain.redirect(send, "../../")
            else:
                await plain.refuse(send, 410, t("This page is of another contract. Reload it."))
            return
        inner = {
            **scope,
            "path": rest,
            "raw_path": rest.encode(),
            "root_path": "",
            "relevo.key": asked.key,
            "relevo.peer": (scope.get("client") or ("",))[0],
        }
        if rest == "/":
            await patched(form.app, inner, receive, plain.safely(send), asked.code)
        elif rest == RUN:
            await ran(form.app, inner, receive, plain.safely(send), self.folder)
        elif rest == UPLOAD:
            await self._upload(form, inner, receive, plain.safely(send))
        else:
            await form.app(inner, receive, plain.safely(send))

    async def _upload(self, form: Form, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a file, if it is not too large; old ones are deleted first."""
        await asyncio.to_thread(self._clear)
        said = t("The file is too large: at most {limit:,} bytes.", limit=self._max_upload)
        body = plain.Bounded(receive, send, self._max_upload + _MARGIN, said)
        if plain.length(scope["headers"]) > self._max_upload + _MARGIN:
            await body.end()
            return
        try:
            await form.app(scope, body.receive, body.send)
        except Exception:
            if not body.over:
                raise
        if body.over:
            await body.end()

    async def _form(self, asked: _Asked) -> Form | None:
        """The page of the digest in the path; made if that is what answers now."""
        wanted = asked.code, asked.digest
        if wanted not in self._forms:
            async with self._building:
                if wanted not in self._forms:
                    now = subject.read(await self._origin.described(asked.key, asked.code))
                    if now is None or now.digest != wanted[1]:
                        return None
                    self._forms[wanted] = await asyncio.to_thread(
                        Form,
                        self._origin,
                        now,
                        asked.code,
                        self.folder,
                        max_upload=self._max_upload,
                        batches=self._batches,
                    )
                    while len(self._forms) > KEPT:
                        self._forms.popitem(last=False)
        self._forms.move_to_end(wanted)
        return self._forms[wanted]

    def _clear(self) -> None:
        """Delete what was given or answered long ago."""
        now = time.time()
        if now - self._cleared < AGE / 10:
            return
        self._cleared = now
        with suppress(OSError):
            for one in self.folder.iterdir():
                if now - one.stat().st_mtime <= AGE:
                    continue
                if one.is_dir():
                    shutil.rmtree(one, ignore_errors=True)
                else:  # what came of a file whose sender went away
                    one.unlink(missing_ok=True)

    def _end(self, maker: int) -> None:
        """Delete all files when the process ends that made the folder; workers that were forked from it share it."""
        if os.getpid() == maker:
            shutil.rmtree(self.folder, ignore_errors=True)


async def _turn_away(asked: _Asked, refused: Refused, send: Send) -> None:
    """Ask for another key where a page is wanted, and say why."""
    if asked.path == "/":
        await plain.login(send, "" if refused.kind == "no-key" else refused.said())
    elif asked.rest == "/":
        await plain.redirect(send, "../../")
    else:
        await plain.refuse(send, 401, refused.said())


def _away(error: ServiceError) -> str:
    """Why there is no page now, in words."""
    if error.status in REFUSING:
        return t(
            "The service does not let this page read the contract: the page's own key is not good, or lacks the "
            "scope “read”. This page asks again by itself."
        )
    return t("The service does not answer. This page asks again by itself.")


class _Asked(NamedTuple):
    path: str
    code: str
    """The language."""
    digest: str
    rest: str
    """Of a path below a page of its own, with its slash."""
    key: str
