"""Handing one message to one channel, in a time that is known."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relevo.channels import AppriseChannel, EmailChannel, WebhookChannel
from relevo.errors import DeliveryError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from relevo.channels import Channel


def carry(name: str, channel: Channel, message: Mapping[str, Any], identity: str) -> str:
    """Hand a message over; gives what was wrong though it was taken, mostly nothing.

    The same ``identity`` is sent with every try, so that a receiver can tell a repeated message. Raises
    ``DeliveryError``, whose text holds no secret and nothing that the other side said.
    """
    if isinstance(channel, EmailChannel):
        from relevo.notify import mail

        return mail.send(name, channel, message, identity)
    if isinstance(channel, WebhookChannel):
        from relevo.notify import webhook

        return webhook.send(name, channel, message, identity)
    from relevo.notify import through_apprise

    assert isinstance(channel, AppriseChannel)
    return through_apprise.send(name, channel, message)


@contextmanager
def deadline(seconds: float, cut: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Call ``cut`` after so many seconds of the block; gives whether it was called.

    A socket's own timeout counts silence: a byte now and then keeps it waiting for ever.
    """
    over = threading.Event()

    def end() -> None:
        over.set()
        cut()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield over.is_set
    finally:
        timer.cancel()


def trust(path: Path | None) -> ssl.SSLContext:
    """Whom to trust: the authorities in a file, or the machine's own; TLS 1.2 or newer."""
    try:
        context = ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(
            t(
                "its ca_file {path} cannot be used: {error}.",
                path=path,
                error=error.strerror or type(error).__name__,
            )
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def explained(error: BaseException, place: str) -> DeliveryError:
    """What went wrong on the way to ``place``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return DeliveryError(
            t("the certificate of {place} is not trusted: {error}.", place=place, error=error.verify_message)
        )
    if isinstance(error, TimeoutError):
        return DeliveryError(t("{place} does not answer in time.", place=place))
    if isinstance(error, ssl.SSLError):
        return DeliveryError(
            t("no TLS with {place}: {error}.", place=place, error=error.reason or type(error).__name__)
        )
    said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return DeliveryError(t("{place} cannot be reached: {error}.", place=place, error=said))
