"""Settings of alerts: ``[alerts]`` in ``relevo.toml``, or variables such as ``RELEVO_ALERTS__ESCALATE_AFTER``.

A channel has a section of its own, ``[alerts.email.oncall]``, and is known by its end: ``email.oncall``. Passwords,
secrets and addresses that hold them come from a variable or a file, never from ``relevo.toml``.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from relevo import durations
from relevo.alarm import worse
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

SECRETS = {"email": "password", "webhooks": "secret", "apprise": "urls"}
"""What of each kind of channel must not stand in ``relevo.toml``; ``…_file`` names a file that holds it."""
FIRST, ESCALATION = "first", "escalation"


def _duration(text: str) -> str:
    durations.parse(text)
    return text


def _listed(value: object) -> object:
    """Let a variable hold several, with commas between them."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", text):
        raise ValueError(t("“{text}” is no e-mail address. Write name@example.com.", text=text))
    return text


def loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(secret: SecretStr) -> SecretStr:
    """Check a URL; what is said of it does not repeat it."""
    try:
        parts = urlsplit(secret.get_secret_value())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.username or parts.fragment:
        raise ValueError(t("it is no URL such as https://example.com/relevo, without user and fragment"))
    if parts.scheme == "http" and not loopback(host):
        raise ValueError(t("messages travel by https only, except to this machine itself"))
    return secret


Duration = Annotated[str, AfterValidator(_duration)]
Address = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
Severity = Literal["page", "warn", "note"]
Language = Literal["en", "es"]


class Channel(BaseModel):
    """What all channels may be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity = Field(default="warn", description="The least that it carries: page, warn or note")
    language: Language | None = Field(
        default=None, description="en or es; that of `alerts.language` by default"
    )
    role: Literal["first", "escalation"] = Field(
        default="first", description="first, or escalation: only pages that nobody acknowledged"
    )
    timeout: float = Field(default=10, ge=0.1, le=120, description="Seconds for handing over one message")


class EmailChannel(Channel):
    """Mail, through an SMTP server."""

    host: str = Field(min_length=1, description="The SMTP server")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port; 587, 465 with ssl, 25 with none"
    )
    security: Literal["starttls", "ssl", "none"] = Field(
        default="starttls",
        description="starttls, ssl (TLS from the start), or none, which no password crosses",
    )
    ca_file: Path | None = Field(
        default=None, description="Authorities to trust (PEM) in place of the machine's"
    )
    user: str | None = Field(default=None, description="The user to log in as; nobody by default")
    password: SecretStr | None = Field(default=None, description="The password; in a variable only")
    password_file: Path | None = Field(default=None, description="A file that holds the password")
    sender: Address = Field(alias="from", description="Who the mail is from")
    to: Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_listed)] = Field(
        min_length=1, description="Who gets it"
    )

    @model_validator(mode="after")
    def _private(self) -> EmailChannel:
        if self.security == "none" and self.user and not loopback(self.host):
            raise ValueError(t("a password would travel in clear text; write security = “starttls” or “ssl”"))
        return self


class WebhookChannel(Channel):
    """A signed POST to a URL."""

    url: Annotated[SecretStr, AfterValidator(_url)] = Field(
        description="Where to; https, except to this machine"
    )
    secret: SecretStr | None = Field(default=None, description="The key of the signature; in a variable only")
    secret_file: Path | None = Field(default=None, description="A file that holds the key")
    ca_file: Path | None = Field(
        default=None, description="Authorities to trust (PEM) in place of the machine's"
    )


class AppriseChannel(Channel):
    """Whatever Apprise reaches, by its addresses."""

    urls: SecretStr | None = Field(
        default=None, description="Apprise's addresses, with blanks between them; in a variable only"
    )
    urls_file: Path | None = Field(default=None, description="A file with an address on each line")


class AlertSettings(BaseModel):
    """Who is told what, when. Relative paths count from the project's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Language = Field(default="en", description="The language of alerts: en or es")
    again_after: Duration = Field(
        default="1d", description="An alert that goes on is told again after this long, at the earliest"
    )
    reopen_within: Duration = Field(
        default="1d", description="What comes again so soon after it was resolved is the same alert"
    )
    escalate_after: Duration = Field(
        default="30min", description="A page that nobody acknowledged goes to the channels of escalation then"
    )
    quiet_windows: int = Field(
        default=2, ge=1, le=1000, description="Windows without it after which an alert is resolved"
    )
    email: dict[Name, EmailChannel] = Field(default={}, description="Channels that send mail")
    webhooks: dict[Name, WebhookChannel] = Field(default={}, description="Channels that call a URL")
    apprise: dict[Name, AppriseChannel] = Field(default={}, description="Channels through Apprise")

    @property
    def channels(self) -> dict[str, Channel]:
        """All channels, by name."""
        return {f"{kind}.{name}": one for kind in SECRETS for name, one in getattr(self, kind).items()}

    def carrying(self, severity: str, role: str = FIRST) -> Iterator[tuple[str, str]]:
        """The name and the language of each channel of a role that carries what is so bad."""
        for name, one in self.channels.items():
            if one.role == role and not worse(one.severity, severity):
                yield name, one.language or self.language

    def lasting(self, name: str) -> timedelta:
        """A setting that is a duration."""
        return durations.parse(getattr(self, name))

    def at(self, folder: Path) -> AlertSettings:
        """These settings with paths that count from ``folder``."""
        placed = {
            kind: {name: _placed(one, folder) for name, one in getattr(self, kind).items()}
            for kind in SECRETS
        }
        return self.model_copy(update=placed)


def _placed(one: Channel, folder: Path) -> Channel:
    paths = {name: value for name, value in one if isinstance(value, Path)}
    return one.model_copy(update={name: folder / value.expanduser() for name, value in paths.items()})


def exposed(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings of ``relevo.toml`` that give a secret away, each with the variable that should hold it."""
    section = values.get("alerts")
    for kind, secret in SECRETS.items():
        named = section.get(kind) if isinstance(section, dict) else None
        for name, one in named.items() if isinstance(named, dict) else ():
            if isinstance(one, dict) and secret in one:
                key = f"alerts.{kind}.{name}.{secret}"
                yield key, f"RELEVO_{key.upper().replace('.', '__')}"
