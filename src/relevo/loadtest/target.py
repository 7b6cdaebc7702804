"""What is asked: an address, its headers, and whether something answers there.

The key and the headers' values are secrets: they reach Locust by the environment, and no text of ours has them.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relevo.errors import LoadTestError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable

PREDICT = "/v1/predict"
KEY, HEADERS = "RELEVO_API_KEY", "RELEVO_LOADTEST_HEADERS"
_LARGEST = 16 << 20
_SUCCESS = range(200, 300)
_SHOWN = 300
_SECRET = 6  # letters from which on a header's value may be one


@dataclass(frozen=True)
class Target:
    """Where requests go: ``path`` below the service's ``url``, which has no slash at its end."""

    url: str
    path: str = PREDICT
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    key: str = field(default="", repr=False)
    timeout: float = 10.0

    def sent(self) -> dict[str, str]:
        """Every header of a request but those of HTTP itself."""
        bearer = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {"Content-Type": "application/json", **bearer, **self.headers}

    def variables(self) -> dict[str, str]:
        """The environment by which Locust learns of the secrets."""
        return {KEY: self.key, HEADERS: json.dumps(self.headers)}

    def hide(self, text: str) -> str:
        """Take the secrets out of a text."""
        for secret in (self.key, *self.headers.values()):
            text = text.replace(secret, "…") if len(secret) >= _SECRET else text
        return text

    @property
    def prefix(self) -> str:
        """The path that the service itself lies under."""
        return urlsplit(self.url).path


def target(
    url: str, path: str = PREDICT, headers: Iterable[str] = (), key: str = "", timeout: float = 10.0
) -> Target:
    """Read what the command line gives; raises ``LoadTestError``. Without ``key`` the environment's is taken."""
    parts = _parts(url)
    if not path.startswith("/") or not _printable(path):
        raise LoadTestError(t("--path {path}: a path begins with / and has no blanks.", path=repr(path)))
    key = key or os.environ.get(KEY, "")
    if key and not _printable(key):
        raise LoadTestError(t("The key has blanks or letters that no header can carry."))
    found = dict(_header(one) for one in headers)
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return Target(base, path, found, key, timeout)


def _parts(url: str) -> Any:
    shown = repr(url.rsplit("@", maxsplit=1)[-1][:_SHOWN])
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        usable = False
    if not usable or not _printable(url) or set(url) & set("\"'\\<>"):
        raise LoadTestError(
            t("{url} is no address of a service. Write for example http://127.0.0.1:8000.", url=shown)
        )
    if parts.username or parts.password:
        raise LoadTestError(
            t("{url}: an address holds no password. Give it with --header or --key.", url=shown)
        )
    if parts.query or parts.fragment:
        raise LoadTestError(t("{url}: an address has no question. Give it with --path.", url=shown))
    return parts


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    token = name.strip()
    fits = token and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in token)
    if not colon or not fits or not token.isascii() or not value.strip().isascii() or not value.isprintable():
        raise LoadTestError(t("--header {name}: write it as 'Name: value'.", name=repr(token[:40])))
    return token, value.strip()


def ask(target: Target, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Ask once, following nothing; raises ``LoadTestError`` when nothing answers. ``path`` is below the service's."""
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=target.timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=target.timeout)
    try:
        connection.request(method, target.prefix + path, body, target.sent())
        answer = connection.getresponse()
        return answer.status, answer.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        said = str(error).rstrip(".") or type(error).__name__
        raise LoadTestError(
            t(
                "{url} does not answer ({error}). Is the service started, and is this its address?",
                url=target.url,
                error=said,
            )
        ) from error
    finally:
        connection.close()


def probe(target: Target, body: bytes) -> None:
    """Ask what the test will ask, once; raises ``LoadTestError`` unless it is answered with success."""
    status, answer = ask(target, "POST", target.path, body)
    if status in _SUCCESS:
        return
    shown = answer.decode("utf-8", "replace").strip()[:_SHOWN]
    if status in (401, 403):
        remedy = t("Give a key with --key or RELEVO_API_KEY.")
    elif status in (404, 405):
        remedy = t("Give the right --path.")
    else:
        remedy = t("Give bodies that it accepts with --body FILE.")
    raise LoadTestError(
        t(
            "{url}{path} answers {status} to the first request: {answer} {remedy}",
            url=target.url,
            path=target.path,
            status=status,
            answer=target.hide(shown),
            remedy=remedy,
        )
    )
