"""A signed POST of a message as JSON.

Header ``Relevo-Signature`` is ``v1=`` and the hexadecimal HMAC-SHA256 (RFC 2104) with the channel's secret over
the header ``Relevo-Timestamp`` (seconds since 1970), a full stop, and the body. ``Relevo-Delivery`` is the
message's id, in the body too: the same at every try. A redirect is not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relevo.backoff import retry_after
from relevo.errors import DeliveryError
from relevo.notify.carry import deadline, explained, trust
from relevo.notify.secrets import secret
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from relevo.channels import WebhookChannel

SHORTEST = 16
"""Characters of a secret, at least."""
REFUSALS = frozenset({400, 413, 415, 422})
"""Statuses that say that this message will not be taken, whenever it comes."""
_LEFT_OUT = frozenset({"html"})


def sign(key: str, timestamp: str, body: bytes) -> str:
    """The value of ``Relevo-Signature``."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()


def send(name: str, channel: WebhookChannel, message: Mapping[str, Any], identity: str) -> str:
    """POST a message; any status of 200 to 299 says that it was taken."""
    key = secret(name, channel)
    if len(key) < SHORTEST:
        raise DeliveryError(
            t(
                "its secret is shorter than {count} characters. `openssl rand -hex 32` makes one.",
                count=SHORTEST,
            )
        )
    parts = urlsplit(channel.url.get_secret_value())
    place = parts.netloc
    body = json.dumps({"id": identity, **_told(message)}, ensure_ascii=False).encode()
    timestamp = str(int(time.time()))  # the receiver compares it with its own clock
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "relevo",
        "Relevo-Delivery": identity,
        "Relevo-Timestamp": timestamp,
        "Relevo-Signature": sign(key, timestamp, body),
        "Connection": "close",
    }
    status, after = _post(channel, parts, place, body, headers)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return ""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise DeliveryError(
            t(
                "{place} redirects ({status}), which is not followed. Give the URL that it leads to.",
                place=place,
                status=status,
            )
        )
    raise DeliveryError(
        t("{place} answers {status}.", place=place, status=status), refused=status in REFUSALS, wait=after
    )


def _told(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in _LEFT_OUT}


def _post(
    channel: WebhookChannel, parts: SplitResult, place: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, float]:
    """The status, and the seconds to wait that the answer asks for."""
    connection = _connection(channel, parts)

    def cut() -> None:
        found = connection.sock
        if found is not None:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with deadline(channel.timeout, cut) as over:
        try:
            connection.request("POST", path, body, dict(headers))
            with connection.getresponse() as answer:
                if over():  # what was cut off may look like an answer
                    raise TimeoutError
                return answer.status, retry_after(answer.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if over():
                raise explained(TimeoutError(), place) from None
            if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
                raise explained(error, place) from None
            raise DeliveryError(t("{place} gives no answer of HTTP.", place=place)) from None
        finally:
            connection.close()


def _connection(channel: WebhookChannel, parts: SplitResult) -> http.client.HTTPConnection:
    host, timeout = parts.hostname or "", channel.timeout
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout)
    context = trust(channel.ca_file)
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
