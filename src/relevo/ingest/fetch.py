"""One HTTP answer into a file, whole or not at all, with another try where that may help.

Waits are those of ``backoff``; a ``Retry-After`` header lengthens them.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relevo import backoff, disk
from relevo.errors import DataError
from relevo.lake import first_line
from relevo.reading.files import CHUNK
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """``timeout`` seconds of silence, ``tries``, ``patience`` seconds for all of them, ``largest`` bytes."""

    timeout: float
    tries: int
    patience: float
    largest: int


@dataclass(frozen=True)
class Answer:
    """A status, and for one of success what its body is and its SHA-256."""

    status: int
    type: str = ""
    """The media type, in small letters, without parameters."""
    charset: str | None = None
    size: int = 0
    digest: str = ""


class TemporaryError(Exception):
    """Something that another try may mend; ``wait`` is the least seconds before it."""

    def __init__(self, said: str, wait: float = 0.0) -> None:
        super().__init__(said)
        self.wait = wait


def fetch(
    url: str,
    shown: str,
    headers: Mapping[str, str],
    limits: Limits,
    path: Path,
    *,
    expected: tuple[int, ...],
    accept: Callable[[Answer], None],
) -> Answer:
    """GET ``url`` and write the body to ``path``; ``shown`` stands for it in messages.

    ``expected`` are the statuses, beside 200, that are an answer. ``accept`` looks at the body and may raise
    ``TemporaryError`` to have it fetched again. Raises ``DataError`` when all tries failed, at a status that another
    try would not change, and at a body that is too large.
    """
    deadline = time.monotonic() + limits.patience
    for number in range(1, limits.tries + 1):
        try:
            answer = _once(url, shown, headers, limits, path, expected, deadline)
            if answer.status == HTTPStatus.OK:
                accept(answer)
        except TemporaryError as error:
            wait = max(error.wait, backoff.wait(number))
            if number == limits.tries or time.monotonic() + wait > deadline:
                raise DataError(_given_up(shown, number, error)) from error
            time.sleep(wait)
        else:
            return answer
    raise AssertionError(shown)


def _given_up(shown: str, number: int, error: TemporaryError) -> str:
    return t("{url}: gave up after {number} tries: {error}.", url=shown, number=number, error=error)


def _once(
    url: str,
    shown: str,
    headers: Mapping[str, str],
    limits: Limits,
    path: Path,
    expected: tuple[int, ...],
    deadline: float,
) -> Answer:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", **headers})  # noqa: S310
    try:
        with _opener().open(request, timeout=limits.timeout) as response:
            if response.status != HTTPStatus.OK:
                return _other(response.status, "", shown, expected)
            return _body(response, shown, limits, path, deadline)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in expected:
                return Answer(error.code)
            if error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                said = t("it answers {status}", status=f"{error.code} {error.reason}")
                raise TemporaryError(said, backoff.retry_after(error.headers.get("Retry-After"))) from error
            return _other(error.code, error.reason, shown, expected)
    except (OSError, http.client.HTTPException) as error:
        raise _explained(error, shown) from error


def _explained(error: Exception, shown: str) -> Exception:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DataError(
            t("{url}: its certificate is not trusted ({error}).", url=shown, error=first_line(cause))
        )
    if isinstance(cause, http.client.InvalidURL):
        return DataError(t("{url}: this is no URL of a service. Check its host and port.", url=shown))
    if isinstance(cause, TimeoutError):
        return TemporaryError(t("it does not answer in time"))
    if isinstance(cause, http.client.IncompleteRead):
        return TemporaryError(t("its answer ends too early"))
    return TemporaryError(str(cause).rstrip(".") or type(cause).__name__)


def _other(status: int, reason: str, shown: str, expected: tuple[int, ...]) -> Answer:
    if status in expected:
        return Answer(status)
    said = f"{status} {reason}".strip()
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise DataError(
            t(
                "{url}: it answers {status}. Check the source's headers and the variables they name.",
                url=shown,
                status=said,
            )
        )
    raise DataError(
        t("{url}: it answers {status}, which another try would not change.", url=shown, status=said)
    )


def _body(response: Any, shown: str, limits: Limits, path: Path, deadline: float) -> Answer:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise DataError(
            t("{url}: it sends {encoding}, which was not asked for.", url=shown, encoding=encoding)
        )
    said = response.headers.get("Content-Length", "")
    length = int(said) if said.isdigit() else None
    size, sha256 = 0, hashlib.sha256()
    with disk.explained(path):
        out = path.open("wb")
    with out:
        while chunk := response.read1(CHUNK):
            size += len(chunk)
            if size > limits.largest:
                raise DataError(_too_large(shown, limits))
            if time.monotonic() > deadline:
                raise TemporaryError(t("its answer takes longer than {seconds} s", seconds=limits.patience))
            sha256.update(chunk)
            with disk.explained(path):
                out.write(chunk)
    if length is not None and size != length:
        raise TemporaryError(t("its answer ends after {size} of {length} bytes", size=size, length=length))
    kind = response.headers.get_content_type() if response.headers.get("Content-Type") else ""
    if length is None and not response.chunked and kind not in _COMPLETE:
        raise DataError(
            t(
                "{url}: it says neither how long its answer is nor where it ends, so half an answer would look"
                " whole. Let it send Content-Length.",
                url=shown,
            )
        )
    return Answer(response.status, kind, response.headers.get_content_charset(), size, sha256.hexdigest())


_COMPLETE = ("application/json", "application/vnd.apache.parquet", "application/x-parquet")
"""Types of which half is not well-formed."""


def _too_large(shown: str, limits: Limits) -> str:
    return t(
        "{url}: its answer is larger than {largest:,} bytes. Ask for smaller batches, or raise largest.",
        url=shown,
        largest=limits.largest,
    )


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where the first request went, for it may carry a secret."""

    def redirect_request(self, *given: Any) -> Any:
        request, newurl = given[0], given[5]
        before, after = urlsplit(request.full_url), urlsplit(newurl)
        upgraded = (before.scheme, after.scheme) == ("http", "https") and not (before.port or after.port)
        same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
        if not same and not (upgraded and before.hostname == after.hostname):
            given[1].close()
            raise DataError(
                t(
                    "The service at {host} sends on to {other}, another host. Write that one's URL if you trust it.",
                    host=before.hostname,
                    other=after.hostname,
                )
            )
        return super().redirect_request(*given)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _SameHost(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
