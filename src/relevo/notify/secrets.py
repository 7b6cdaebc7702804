"""Secrets of channels: from a variable or a file, read when they are needed and kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.channels import SECRETS
from relevo.errors import DeliveryError
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.channels import Channel


def secret(name: str, channel: Channel) -> str:
    """The secret of a channel; raises ``DeliveryError`` when there is none, or its file cannot be read."""
    kind = SECRETS[name.partition(".")[0]]
    given, path = getattr(channel, kind), getattr(channel, f"{kind}_file")
    if given is not None:
        return str(given.get_secret_value())
    variable = f"RELEVO_ALERTS__{name.replace('.', '__')}__{kind}".upper()
    if path is None:
        raise DeliveryError(
            t(
                "it has no {kind}. Put it into {variable}, or into a file that alerts.{name}.{kind}_file names.",
                kind=kind,
                variable=variable,
                name=name,
            )
        )
    try:
        text = str(path.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise DeliveryError(
            t("its {kind} cannot be read from {path}: {error}.", kind=kind, path=path, error=error.strerror)
        ) from error
    except UnicodeDecodeError:
        raise DeliveryError(t("its {kind} in {path} is not UTF-8.", kind=kind, path=path)) from None
    if not text:
        raise DeliveryError(t("its {kind} in {path} is empty.", kind=kind, path=path))
    return text
