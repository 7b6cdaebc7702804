"""A real SMTP server on loopback: STARTTLS or TLS from the start, AUTH, and answers as a test wants."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from support.loopback import held_port
from support.tls import certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

USER, PASSWORD = "relevo", "hunter2-correct-horse"


@dataclass
class Mailbox:
    """What arrived, and what is answered: by recipient, and to a message."""

    port: int
    ca: Path | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    answer: str = "250 OK"
    encrypted: list[bool] = field(default_factory=list)
    logged_in: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, *given: Any
    ) -> str:
        _, _, envelope, address, options = given
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the same
        if self.answer.startswith("250"):
            found: Any = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.mails.append(found)
            self.recipients.append(envelope.rcpt_tos)
            self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
            self.logged_in.append(bool(session.authenticated))
        return self.answer


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _logged_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=good, handled=good)


@contextmanager
def smtp(
    folder: Path, security: str = "starttls", *, port: int = 0, host: str = "127.0.0.1"
) -> Iterator[Mailbox]:
    """Serve for the block; ``host`` is whom the certificate is for."""
    with held_port() as own:
        box = Mailbox(port or own)
        options: dict[str, Any] = {"ready_timeout": 60}
        if security != "none":
            box.ca, key = certificate(folder, f"smtp-{box.port}", host)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(box.ca, key)
            options["ssl_context" if security == "ssl" else "tls_context"] = context
        if security == "starttls":
            options |= {"require_starttls": True, "authenticator": _logged_in, "auth_required": True}
        elif security == "ssl":
            options |= {"authenticator": _logged_in, "auth_require_tls": False}
        controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
        controller.start()
        try:
            yield box
        finally:
            controller.stop()


def settings(box: Mailbox, security: str = "starttls", **changes: Any) -> dict[str, Any]:
    """A channel that reaches the server."""
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": box.port,
        "security": security,
        "from": "relevo@example.com",
        "to": ["oncall@example.com"],
        "ca_file": box.ca,
        "timeout": 60,
    }
    if security != "none":
        given |= {"user": USER, "password": PASSWORD}
    return {**given, **changes}
