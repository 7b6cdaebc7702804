"""Bearer tokens of an identity provider: JWTs (RFC 7519) checked against its JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relevo.errors import WorkspaceError
from relevo.extras import need
from relevo.keys import SCOPES
from relevo.serving.callers import Caller
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.service import ServiceSettings

_EVERY = 300.0  # seconds between two readings of the key set
_SOON = 10.0  # after a token was signed by a key that is not known, or a reading failed
_PATIENCE = 5.0
_LARGEST = 1 << 20
_log = logging.getLogger(__name__)


class Tokens:
    """Checks tokens.

    Raises ``WorkspaceError`` when the settings are incomplete, or a file of keys cannot be read; a URL may be
    away for a while. Not for several threads at once, but ``look`` and ``caller`` may be called from two.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        assert settings.jwks is not None
        if not settings.issuer or not settings.audience:
            raise WorkspaceError(t("serve.jwks needs serve.issuer and serve.audience beside it."))
        self._jwt = need("jwt", "jwt")
        need("cryptography", "jwt")
        self._settings = settings
        self._url = settings.jwks if "://" in settings.jwks else ""
        if self._url and not _trusted(self._url):
            raise WorkspaceError(t("serve.jwks: {url} is neither https nor on this machine.", url=self._url))
        self._file = Path(settings.jwks)
        self._keys: dict[str, Any] = {}
        self._text = ""
        self._next = 0.0
        self._missed = False
        self.look()
        if not self._url and not self._keys:
            raise WorkspaceError(t("serve.jwks: {file} has no key to be used.", file=self._file))

    def look(self) -> bool:
        """Read the key set again when it is time; whether its keys changed."""
        now = time.monotonic()
        if now < self._next and not (self._missed and now >= self._next - _EVERY + _SOON):
            return False
        self._next, self._missed = now + _EVERY, False
        try:
            text = self._read()
            if text == self._text:
                return False
            found = self._jwt.PyJWKSet.from_dict(json.loads(text)).keys
        except (
            *(OSError, HTTPException),  # nobody answers, or what answers is no HTTP or breaks off
            *(ValueError, TypeError, AttributeError, self._jwt.PyJWTError),
        ) as error:
            self._next = now + _SOON
            _log.warning("%s", t("The key set cannot be read: {error}", error=error))
            return False
        self._keys = {key.key_id or "": key for key in found}
        self._text = text
        return True

    def caller(self, token: str) -> Caller | None:
        """Who a token speaks of; None when it is not good, whatever the reason."""
        settings, jwt = self._settings, self._jwt
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(header.get("kid", ""))
            if key is None:
                self._missed = True  # its key may be a new one
                return None
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(settings.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            until = float(claims["exp"]) + settings.leeway
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
        granted = claims.get(settings.scope_claim, "")
        names = granted.split() if isinstance(granted, str) else granted if isinstance(granted, list) else []
        scopes = {str(name).removeprefix("relevo:") for name in names}
        return Caller(f"token:{claims['sub']}", frozenset(scopes & set(SCOPES)), until)

    def _read(self) -> str:
        if not self._url:
            return self._file.read_text(encoding="utf-8")
        with urllib.request.urlopen(self._url, timeout=_PATIENCE) as answer:  # noqa: S310 - https, or this machine
            if not _trusted(answer.url):
                raise ValueError(t("{url} is neither https nor on this machine.", url=answer.url))
            return str(answer.read(_LARGEST), "utf-8")


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    )
