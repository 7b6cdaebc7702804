"""Messages through Apprise, which knows some hundred services by their addresses.

An address holds secrets, so what is said of one is its number and the service it begins with; Apprise's own log,
which tells more, is switched off.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from relevo.errors import DeliveryError
from relevo.extras import need
from relevo.notify.secrets import secret
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.channels import AppriseChannel

_KINDS = {"alert": "warning", "escalation": "failure", "resolved": "success", "test": "info"}


def send(name: str, channel: AppriseChannel, message: Mapping[str, Any]) -> str:
    """Send a message to each address; raises ``DeliveryError`` when one of them does not take it."""
    apprise = need("apprise", "notify")
    _silence()
    failed = []
    addresses = _addresses(secret(name, channel))
    for number, address in enumerate(addresses, start=1):
        scheme, mark, _ = address.partition("://")
        scheme = scheme if mark else "?"
        server = apprise.Apprise.instantiate(_limited(address, channel.timeout), suppress_exceptions=True)
        if server is None:
            raise DeliveryError(
                t("address {number} ({scheme}) is none that Apprise knows.", number=number, scheme=scheme)
            )
        taken = server.notify(
            body=message["text"],
            title=message["subject"],
            notify_type=_KINDS[message["kind"]],
            body_format="text",
        )
        if not taken:
            failed.append(f"{number} ({scheme})")
    if failed:
        raise DeliveryError(
            t(
                "{count} of {all} addresses did not take it: {which}.",
                count=len(failed),
                all=len(addresses),
                which=", ".join(failed),
            )
        )
    return ""


def _addresses(text: str) -> list[str]:
    """One or more on each line; lines that begin with # are comments."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = [address for line in lines for address in line.split()]
    if not found:
        raise DeliveryError(t("it has no addresses."))
    return found


def _limited(address: str, timeout: float) -> str:
    """The address with the channel's timeouts, if it says none itself."""
    known = address.partition("?")[2]
    added = [f"{name}={timeout:g}" for name in ("cto", "rto") if f"{name}=" not in known]
    return address + ("&" if known else "?") + "&".join(added) if added else address


def _silence() -> None:
    log = logging.getLogger("apprise")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    log.propagate = False
    log.setLevel(logging.CRITICAL + 1)
