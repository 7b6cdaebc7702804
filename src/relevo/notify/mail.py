"""Mail by SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start, and AUTH (RFC 4954).

What a server answers is told by its codes only (RFC 3463): its words may repeat what it was sent.
"""

from __future__ import annotations

import re
import smtplib
import socket
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import TYPE_CHECKING, Any

from relevo.errors import DeliveryError
from relevo.notify.carry import deadline, explained, trust
from relevo.notify.secrets import secret
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relevo.channels import EmailChannel

PORTS = {"starttls": 587, "ssl": 465, "none": 25}
_PERMANENT = 500


def send(name: str, channel: EmailChannel, message: Mapping[str, Any], identity: str) -> str:
    """Send a mail to all who get it; gives how many of them were refused, if some were."""
    port = channel.port or PORTS[channel.security]
    place = f"{channel.host}:{port}"
    password = secret(name, channel) if channel.user else ""
    mail = compose(channel, message, identity)
    server = _server(channel)
    with deadline(channel.timeout, lambda: _cut(server)) as over:
        try:
            server.connect(channel.host, port)
            _enter(server, channel, password, place)
            return _hand_over(server, channel, mail, place)
        except DeliveryError:
            raise
        except (OSError, smtplib.SMTPException, ValueError) as error:
            if over():
                raise explained(TimeoutError(), place) from None
            raise _explained(error, place) from None
        finally:
            _cut(server)
            server.close()


def compose(channel: EmailChannel, message: Mapping[str, Any], identity: str) -> EmailMessage:
    """The mail: plain text and HTML; mails about an alert refer to one id, so that readers keep them together."""
    domain = parseaddr(channel.sender)[1].rpartition("@")[2]
    mail = EmailMessage()
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Subject"] = message["subject"]
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{identity}@{domain}>"
    if message["alerts"]:
        mail["References"] = f"<{message['alerts'][0]['id']}.alert@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no one's absence note is wanted
    mail["Relevo-Delivery"] = identity
    if message["severity"] == "page":
        mail["Importance"] = "high"
    mail.set_content(message["text"])
    mail.add_alternative(message["html"], subtype="html")
    return mail


def _server(channel: EmailChannel) -> smtplib.SMTP:
    server = (
        smtplib.SMTP_SSL(timeout=channel.timeout, context=trust(channel.ca_file))
        if channel.security == "ssl"
        else smtplib.SMTP(timeout=channel.timeout)
    )
    # the name in the certificate; set by a constructor that also connects, before a deadline could be held
    server._host = channel.host  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to say it
    return server


def _cut(server: smtplib.SMTP) -> None:
    found = server.sock
    if found is not None:
        with suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)


def _enter(server: smtplib.SMTP, channel: EmailChannel, password: str, place: str) -> None:
    server.ehlo_or_helo_if_needed()
    if channel.security == "starttls":
        if not server.has_extn("starttls"):
            raise DeliveryError(t("{place} offers no STARTTLS; nothing was sent.", place=place))
        server.starttls(context=trust(channel.ca_file))
    if channel.user:
        server.login(channel.user, password)


def _hand_over(server: smtplib.SMTP, channel: EmailChannel, mail: EmailMessage, place: str) -> str:
    refused = server.send_message(mail, channel.sender, list(channel.to))
    with suppress(OSError, smtplib.SMTPException):  # it is taken; how the server says goodbye changes nothing
        server.quit()
    if not refused:
        return ""
    return t(
        "{place} refuses {count} of {all} recipients ({codes}).",
        place=place,
        count=len(refused),
        all=len(channel.to),
        codes=", ".join(sorted({_code(*answer) for answer in refused.values()})),
    )


def _explained(error: Exception, place: str) -> DeliveryError:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({_code(*answer) for answer in error.recipients.values()})
        return DeliveryError(
            t("{place} refuses all recipients ({code}).", place=place, code=", ".join(codes))
        )
    if isinstance(error, smtplib.SMTPResponseException):
        code = _code(error.smtp_code, error.smtp_error)
        data = isinstance(error, smtplib.SMTPDataError)
        if isinstance(error, smtplib.SMTPAuthenticationError):
            said = t("{place} refuses the user or the password ({code}).", place=place, code=code)
        elif data:
            said = t("{place} refuses the message ({code}).", place=place, code=code)
        else:
            said = t("{place} answers {code}.", place=place, code=code)
        return DeliveryError(said, refused=data and error.smtp_code >= _PERMANENT)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return DeliveryError(t("{place} offers no way to log in, or takes no such address.", place=place))
    if isinstance(error, smtplib.SMTPException):
        if isinstance(
            error.__context__, TimeoutError
        ):  # smtplib takes a wait that was too long for a farewell
            return DeliveryError(t("{place} does not answer in time.", place=place))
        return DeliveryError(t("{place} hung up.", place=place))
    return explained(error, place)


def _code(code: int, said: bytes | str) -> str:
    text = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", text)
    return f"{code} {enhanced[0]}" if enhanced else str(code)
