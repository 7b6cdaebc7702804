"""Keys to the service: made, shown once, and told apart from others in constant time.

A key reads ``rlv_<id>_<secret>``: 8 random bytes that name it and 32 that prove it. Only a digest of the secret
is kept, by scrypt (RFC 7914) with a salt of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from relevo import clock
from relevo.records import ApiKey
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

SCOPES = ("predict", "label", "read", "admin")
"""What a key may do; ``admin`` may do all."""
_N, _R, _P = 1 << 14, 8, 1  # 16 MB and some 40 ms for each try
_LONGEST = 64 << 20  # bytes that scrypt may take
_FORM = re.compile(r"rlv_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


def create(
    project: str,
    name: str,
    scopes: Iterable[str],
    *,
    who: str,
    expires: timedelta | None,
    rate: float | None = None,
    concurrency: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key: the record to keep, and the text to hand over, which nothing can show again."""
    shown = urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    text = f"rlv_{os.urandom(8).hex()}_{shown}"
    made = of(text, project, name, scopes, who=who, expires=expires, rate=rate, concurrency=concurrency)
    return made, text


def of(
    text: str,
    project: str,
    name: str,
    scopes: Iterable[str],
    *,
    who: str,
    expires: timedelta | None,
    rate: float | None = None,
    concurrency: int | None = None,
) -> ApiKey:
    """The record to keep of a key that was made elsewhere; raises ``ValueError`` when ``text`` is none."""
    found = split(text)
    if found is None:
        raise ValueError(t("a key reads rlv_, 16 hexadecimal digits, _ and 43 letters, digits, - or _"))
    identity, shown = found
    moment, salt = clock.now(), os.urandom(16)
    method = f"scrypt:{_N}:{_R}:{_P}"
    return ApiKey(
        project=project,
        id=identity,
        name=name,
        scopes=tuple(sorted(set(scopes), key=SCOPES.index)),
        method=method,
        salt=salt.hex(),
        digest=_digest(shown, salt.hex(), method).hex(),
        rate=rate,
        concurrency=concurrency,
        who=who,
        created_at=moment.isoformat(timespec="microseconds"),
        expires_at=(moment + expires).isoformat(timespec="microseconds") if expires is not None else "",
    )


def split(text: str) -> tuple[str, str] | None:
    """Read a key's id and secret; None when the text is no key."""
    found = _FORM.fullmatch(text)
    return (found[1], found[2]) if found else None


def matches(key: ApiKey, secret: str) -> bool:
    """Whether ``secret`` is the key's own; takes as long whether it is or not."""
    return hmac.compare_digest(_digest(secret, key.salt, key.method), bytes.fromhex(key.digest))


def _digest(secret: str, salt: str, method: str) -> bytes:
    _, n, r, p = method.split(":")
    return hashlib.scrypt(
        secret.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), maxmem=_LONGEST, dklen=32
    )
