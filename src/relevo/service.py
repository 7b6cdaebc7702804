"""Settings of the service: ``[serve]`` in ``relevo.toml``, or variables such as ``RELEVO_SERVE__JWKS``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from relevo.errors import RequestError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a private key. ``none`` and those by a shared secret are not to be had."""
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(s|min|h)\s*")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def per_second(text: str) -> float:
    """Read a rate such as ``100/s`` or ``5/min``; raises ``ValueError`` with the accepted forms."""
    found = _RATE.fullmatch(text)
    if found is None or float(found[1]) == 0:
        raise ValueError(t("“{text}” is not a rate. Write 100/s, 600/min or 1000/h.", text=text))
    return float(found[1]) / _SECONDS[found[2]]


def _rate(text: str) -> str:
    per_second(text)
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class ServiceSettings(BaseModel):
    """What the service may be told beside its address. Relative paths count from the project's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jwks: str | None = Field(
        default=None,
        description="File or https URL of the JSON Web Key Set (RFC 7517) that signs bearer tokens",
    )
    issuer: str | None = Field(default=None, description="The tokens' issuer (iss); needed with jwks")
    audience: str | None = Field(default=None, description="The tokens' audience (aud); needed with jwks")
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "ES256"), min_length=1, description="The algorithms that a token may be signed with"
    )
    leeway: float = Field(default=30, ge=0, le=600, description="Seconds by which clocks may differ")
    scope_claim: str = Field(default="scope", description="The claim that holds a token's scopes")
    rate: Rate | None = Field(
        default=None, description="Requests of each caller, such as 100/s; a key may have its own"
    )
    concurrency: int | None = Field(default=None, ge=1, description="Requests of each caller at once")
    max_concurrency: int = Field(
        default=1000, ge=1, description="Requests of all callers at once in each worker"
    )
    max_body: int = Field(default=1 << 20, ge=1024, description="Bytes of a body")
    max_rows: int = Field(default=10_000, ge=1, description="Rows of a list")
    timeout: float = Field(default=30, gt=0, description="Seconds in which a request must have come")
    access_log: str | None = Field(
        default=None, description="A file for the access log, or - for standard output"
    )
    feature_metrics: bool = Field(
        default=True,
        description="Show under /metrics how often each feature has which value",
    )
    traces: bool = Field(
        default=False, description="Send OpenTelemetry traces where the OTEL_* variables say"
    )
    certificate: Path | None = Field(
        default=None, description="File of the TLS certificate and its chain (PEM)"
    )
    certificate_key: Path | None = Field(
        default=None, description="File of the certificate's private key (PEM)"
    )
    gradio: bool = Field(default=False, description="Show the end user's page at /gradio (relevo[gradio])")
    max_upload: int = Field(
        default=20 << 20, ge=1024, description="Bytes of a file that the end user's page takes"
    )
    folder: Path | None = Field(
        default=None,
        description="The service's own folder, for its log and what it writes aside; then it only reads the workspace",
    )
    collect: bool = Field(
        default=True,
        description="Bring the log into the lake; false where something else calls `relevo collect`",
    )
    root_path: Annotated[str, Field(pattern=r"^(/[^/?#\s]+)*$")] = Field(
        default="", description="The path under which a proxy shows the service, such as /models/flights"
    )

    def changed(self, given: Mapping[str, object]) -> ServiceSettings:
        """These settings with those that are given; None is not. Raises ``RequestError`` naming the option."""
        values = {**self.model_dump(), **{name: value for name, value in given.items() if value is not None}}
        try:
            return ServiceSettings(**values)
        except ValidationError as error:
            raise RequestError(
                [
                    {"field": "--" + str(item["loc"][0]).replace("_", "-"), "problem": t(item["msg"])}
                    for item in error.errors(include_url=False, include_context=False)
                ]
            ) from error

    def below(self, folder: Path) -> ServiceSettings:
        """The same with relative paths as ones below ``folder``."""
        found: dict[str, object] = {}
        for name in ("jwks", "access_log", "certificate", "certificate_key", "folder"):
            value = getattr(self, name)
            if value is not None and str(value) != "-" and "://" not in str(value):
                path = folder / Path(value).expanduser()
                found[name] = path if isinstance(value, Path) else str(path)
        return self.model_copy(update=found)
