"""When to ask again, and what is told when not.

Asked again is what did no harm: a connection that was not made, and the answers 429 and 503, which say that
nothing was done. Where an answer was lost on the way, a question is asked again only if it is safe to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import orjson

from relevo import backoff
from relevo.client.answers import UnexpectedError
from relevo.errors import RequestError, ServiceError
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.client.calls import Call

T = TypeVar("T")
KEY = "RELEVO_API_KEY"
REFUSED = frozenset({429, 503})
LOST = frozenset({502, 504})
"""What a proxy answers when the service's own answer did not reach it."""
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_CORRELATION = ("x-correlation-id", "x-request-id")
_BODIES = (200, 201)
_MOST = 200
_PORTS = range(1, 1 << 16)


@dataclass(frozen=True)
class Settings:
    """How a client asks: ``timeout`` seconds of silence, ``tries``, ``patience`` seconds for all of them."""

    url: str
    timeout: float
    tries: int
    patience: float
    repeat: bool
    """Whether predictions whose answer was lost are asked for again, and so may be logged twice."""


def settings(url: str, timeout: float, tries: int, patience: float, *, repeat: bool) -> Settings:
    """Check what a client is made with; raises ``RequestError``."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        parts = httpx.URL("")
    usable = parts.scheme in ("http", "https") and parts.host and (parts.port is None or parts.port in _PORTS)
    if not usable or parts.userinfo or parts.query or parts.fragment:
        problem = t("it is not the address of a service, such as https://models.example.org/flights.")
        raise RequestError([{"field": "url", "problem": problem}])
    for name, value in (("timeout", timeout), ("tries", tries), ("patience", patience)):
        if not value > 0:
            raise RequestError([{"field": name, "problem": t("it must be more than 0.")}])
    return Settings(url.rstrip("/"), timeout, tries, patience, repeat)


def headers(key: str, language: str = "") -> dict[str, str]:
    """Headers of every request; without ``key`` the environment's is taken; raises ``RequestError``."""
    key = key or os.environ.get(KEY, "")
    if not (key.isascii() and key.isprintable() and " " not in key):
        problem = t("it has blanks or letters that no header can carry.")
        raise RequestError([{"field": "key", "problem": problem}])
    bearer = {"authorization": f"Bearer {key}"} if key else {}
    spoken = {"accept-language": language} if language else {}
    return {"accept": "application/json", "content-type": "application/json", **spoken, **bearer}


class Tries:
    """The tries of one question. ``after`` and ``failed`` give the seconds until the next, or raise."""

    def __init__(self, settings: Settings, *, safe: bool) -> None:
        self._settings, self._safe = settings, safe
        self._number = 0
        self._deadline = time.monotonic() + settings.patience

    def failed(self, error: httpx.RequestError) -> float:
        """Seconds to wait after no answer came; raises ``ServiceError`` when it is not asked again."""
        said = str(error).rstrip(".") or type(error).__name__
        away = ServiceError(t("{url} does not answer: {error}.", url=self._settings.url, error=said))
        if isinstance(error, _UNSENT) or self._safe:
            return self._wait(away, 0.0, error)
        away.add_note(t("It was asked and may have answered; asking again could log the prediction twice."))
        raise away from error

    def after(self, response: httpx.Response) -> float:
        """Seconds to wait after a refusal; raises ``ServiceError`` when it is not asked again."""
        error = problem(self._settings.url, response)
        if response.status_code in REFUSED or (self._safe and response.status_code in LOST):
            return self._wait(error, backoff.retry_after(response.headers.get("retry-after")), None)
        raise error

    def again(self) -> None:
        """Begin to count anew, for something was achieved."""
        self._number = 0
        self._deadline = time.monotonic() + self._settings.patience

    def streamed(self, seconds: float) -> None:
        """Leave out of patience the time in which a file was under way."""
        self._deadline += seconds

    def _wait(self, error: ServiceError, least: float, cause: Exception | None) -> float:
        self._number += 1
        wait = max(least, backoff.wait(self._number))
        if self._number >= self._settings.tries or time.monotonic() + wait > self._deadline:
            error.add_note(t("Tried {number} times.", number=self._number))
            raise error from cause
        return wait


def read(call: Call[T], response: httpx.Response, url: str) -> T:
    """Read an answer that is one; raises ``ServiceError`` when it is none of the service's."""
    try:
        return call.read(orjson.loads(response.content) if response.status_code in _BODIES else None)
    except (UnexpectedError, orjson.JSONDecodeError) as error:
        said = t("{url} does not answer as Relevo's service does. Is this its address?", url=url)
        raise ServiceError(said, status=response.status_code) from error


def problem(url: str, response: httpx.Response) -> ServiceError:
    """Read problem details (RFC 9457) as far as they are there; the body must have been read."""
    try:
        found = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        found = None
    facts: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    texts = {name: value for name in ("type", "title", "detail") if isinstance(value := facts.get(name), str)}
    listed = facts.get("problems")
    problems = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    known = (facts.get(name) for name in ("correlation_id", "id"))
    given = (response.headers.get(name) for name in _CORRELATION)
    identity = next((one for one in (*known, *given) if isinstance(one, str) and one), "")
    parts = [texts.get("title", response.reason_phrase), texts.get("detail", "")]
    parts += [f"{one.get('field')}: {one.get('problem')}" for one in problems[:3]]
    said = " ".join(part[:_MOST] for part in parts if part)
    return ServiceError(
        t("{url} answers {status}: {said}", url=url, status=response.status_code, said=said),
        status=response.status_code,
        problems=problems,
        correlation_id=identity,
        **texts,
    )
