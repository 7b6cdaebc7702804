"""Where answers come from: a service over HTTP, or the application of one in this process.

Both are asked through ``relevo.AsyncClient``, with the key of whoever visits the page.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import orjson

from relevo import AsyncClient
from relevo.client.retries import problem
from relevo.errors import ServiceError
from relevo.gradio.loopback import Loopback
from relevo.serving.problems import KINDS, Refusal
from relevo.texts import speaking, t

if TYPE_CHECKING:
    from relevo.serving.app import App

TRIES, PATIENCE = 3, 8.0
"""How often, and for how many seconds at most, a question is asked that nobody answers."""
_FRESH = 1.0  # seconds for which a description is not asked for again
_ADMITTED = 30.0  # seconds for which a key that was found good is not asked about again
_REMEMBERED = 1000
REFUSING = _UNKNOWN, _FORBIDDEN = 401, 403
_ADMITTING = (200, 400, 404, 413, 422)
"""What a service answers to those who may ask: it has no explanations, or refuses one of no rows."""
_NO_MODEL = "#no-model"
"""How the type of a refusal ends that those get who may ask while no version answers."""


class Origin(Protocol):
    """What a page asks of where its answers come from. All raise ``ServiceError`` when nobody answers."""

    def client(self, key: str, language: str, peer: str) -> AsyncClient:
        """A client for one visitor's question."""

    async def described(self, key: str, language: str) -> dict[str, Any]:
        """The OpenAPI document; raises ``Refused`` when the visitor's key does not let it be read."""

    async def refusal(self, key: str) -> Refused | None:
        """Why a visitor with this key, or without one, may not ask for predictions."""


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A visitor who may not ask; ``kind`` is no-key, bad-key, scope or another of the service's."""

    def __init__(self, kind: str, scope: str = "predict") -> None:
        self.kind, self.scope = kind, scope
        super().__init__(kind)

    def said(self) -> str:
        """It in words, in the language in force."""
        if self.kind == "scope":
            return t("The key is not for this.") + " " + t("It lacks the scope “{scope}”.", scope=self.scope)
        return KINDS[self.kind].title() if self.kind in KINDS else t("The key or token is not good.")


class InProcess:
    """The application of a service in this process: its own door admits, limits and logs."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._documents: dict[str, tuple[object, dict[str, Any]]] = {}

    def client(self, key: str, language: str, peer: str) -> AsyncClient:
        """A client for one visitor's question."""
        transport = Loopback(self._app, key, peer)
        return AsyncClient(
            "http://relevo" + self._app.settings.root_path,
            tries=TRIES,
            patience=PATIENCE,
            language=language,
            transport=transport,
        )

    async def described(self, key: str, language: str) -> dict[str, Any]:  # noqa: ARG002 - who may predict may see it
        """The OpenAPI document, made anew when something else answers."""
        served = self._app.predict.served
        known = self._documents.get(language)
        if known is None or known[0] is not served:
            with speaking(language):
                known = self._documents[language] = served, self._app.admin.document()
        return known[1]

    async def refusal(self, key: str) -> Refused | None:
        """Ask the door's own keys."""
        presented = [(b"authorization", b"Bearer " + key.encode("latin-1", "replace"))] if key else []
        try:
            await self._app.access.admit(presented, "predict")
        except Refusal as error:
            return Refused(error.kind)
        return None


class Remote:
    """A service at ``url``. ``key`` is the page's own, for reading the contract.

    Visitors ask with it too where ``shared``; otherwise each with a key of theirs, if the service wants one.
    """

    def __init__(self, url: str, key: str, *, shared: bool) -> None:
        self._url, self._own, self._shared = url, key, shared
        self._context = httpx.create_ssl_context()
        self._documents: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}
        self._admitted: dict[bytes, float] = {}

    def client(self, key: str, language: str, peer: str) -> AsyncClient:  # noqa: ARG002 - the service sees the page
        """A client for one visitor's question."""
        return self._client(key or (self._own if self._shared else ""), language)

    def _client(self, key: str, language: str) -> AsyncClient:
        transport = _Presenting(self._context, key)
        return AsyncClient(self._url, tries=TRIES, patience=PATIENCE, language=language, transport=transport)

    async def described(self, key: str, language: str) -> dict[str, Any]:
        """The OpenAPI document, at most a second old."""
        asking = self._own or key
        known = self._documents.get((asking, language))
        if known is None or known[0] < time.monotonic():
            found = await self._asked("GET", "/openapi.json", asking, language)
            if found.status_code in REFUSING and not self._own:
                raise _refused(found, key, "read")
            try:
                document = orjson.loads(found.content) if found.is_success else None
            except orjson.JSONDecodeError:
                document = None
            if not isinstance(document, dict):
                raise problem(self._url, found)
            if len(self._documents) >= _REMEMBERED:
                self._documents.clear()
            known = self._documents[asking, language] = time.monotonic() + _FRESH, document
        return known[1]

    async def refusal(self, key: str) -> Refused | None:
        """Ask the service for the explanation of no rows at all, which it refuses to those who may ask as well."""
        asking = key or (self._own if self._shared else "")
        digest = sha256(asking.encode()).digest()
        if self._admitted.get(digest, 0.0) > time.monotonic():
            return None
        found = await self._asked("POST", "/v1/explain", asking, "", b"[]")
        if found.status_code in REFUSING:
            return _refused(found, asking, "predict")
        if found.status_code not in _ADMITTING:
            error = problem(self._url, found)
            if not error.type.endswith(_NO_MODEL):
                raise error
        if len(self._admitted) >= _REMEMBERED:
            self._admitted.clear()
        self._admitted[digest] = time.monotonic() + _ADMITTED
        return None

    async def _asked(
        self, method: str, path: str, key: str, language: str, body: bytes | None = None
    ) -> httpx.Response:
        headers = {"content-type": "application/json"} | ({"accept-language": language} if language else {})
        try:
            async with httpx.AsyncClient(
                transport=_Presenting(self._context, key), timeout=PATIENCE
            ) as asker:
                return await asker.request(method, self._url + path, headers=headers, content=body)
        except httpx.RequestError as error:
            said = str(error).rstrip(".") or type(error).__name__
            raise ServiceError(t("{url} does not answer: {error}.", url=self._url, error=said)) from error


def _refused(found: httpx.Response, key: str, scope: str) -> Refused:
    """Why the service refused whoever has this key, or none."""
    kind = "scope" if found.status_code == _FORBIDDEN else "bad-key" if key else "no-key"
    return Refused(kind, scope)


class _Presenting(httpx.AsyncHTTPTransport):
    """HTTP with one key and none other: not one that happens to be in the environment."""

    def __init__(self, context: Any, key: str) -> None:
        super().__init__(verify=context, trust_env=False)
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers.pop("authorization", None)
        if self._key:
            request.headers["authorization"] = f"Bearer {self._key}"
        return await super().handle_async_request(request)
