"""What the manifests are about, in the terms that all of them share."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from relevo.channels import loopback
from relevo.errors import Mistake, ProjectError
from relevo.ledger import address
from relevo.sources import VARIABLE, Batches, Files, Folder, Query, Rows
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relevo.definition import Definition
    from relevo.export.kubernetes.sizes import Sizes
    from relevo.workspace import Settings

LIGHT, FULL = "light", "full"
API, JOBS = "api", "jobs"
PORT = 8000
WORKSPACE, PROJECT, KEYS, LEDGER = "/workspace", "/project", "/secrets/keys", "/secrets/ledger"
USER = 10001
"""Who the containers run as: nobody that an image or a node knows."""
_HTTPS, _POSTGRES = 443, 5432
_REFERENCE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\.[a-z0-9-]+)*(?::\d{1,5}(?=/))?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_LONGEST = 40  # characters of a name: a CronJob's may have 52, and its jobs' names are longer
_SMTP = {"starttls": 587, "ssl": 465, "none": 25}


class Image(NamedTuple):
    """An image's name, and its tag or digest."""

    name: str
    tag: str
    digest: str

    @classmethod
    def of(cls, text: str, option: str) -> Image:
        """Read a reference; raises ``ProjectError`` when it is none, or says nothing of the version."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            problem = t("it is no image's name.")
            remedy = t("Write for example registry.example.com/team/flights:1.0.0, in small letters.")
            raise ProjectError([Mistake(option, text[:100], problem, remedy)])
        if not found["digest"] and found["tag"] in {None, "latest"}:
            problem = t("it does not say which version: what runs would change by itself.")
            remedy = t("Give it a tag such as :1.0.0, or a digest @sha256:….")
            raise ProjectError([Mistake(option, text[:100], problem, remedy)])
        return cls(found["name"], found["tag"] or "", found["digest"] or "")

    def chosen(self, name: str) -> dict[str, str]:
        """As kustomize replaces the image ``name``."""
        version = {"digest": self.digest} if self.digest else {"newTag": self.tag}
        return {"name": name, "newName": self.name, **version}


class Way(NamedTuple):
    """A port that pods of some part ask others at, and why."""

    part: str
    port: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Seconds that stopping may take: until no caller is sent any more, for answers under way, and for collecting."""

    pause: int
    answers: int
    collecting: int

    @property
    def whole(self) -> int:
        """All together."""
        return self.pause + self.answers + self.collecting


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that the manifests say."""

    definition: Definition
    settings: Settings
    profile: str
    image: Image
    serve_image: Image
    sizes: Sizes
    drain: Drain
    workers: int
    rate: float
    """Requests a second that an instance was measured at; 0 when it was not."""
    storage: int
    """GiB of the workspace."""
    stored: str
    """Why so many."""
    workflows: bool

    @property
    def name(self) -> str:
        """What its objects are called."""
        return dns(self.definition.name)

    def labels(self, part: str = "") -> dict[str, str]:
        """What its objects are known by."""
        found = {"app.kubernetes.io/name": "relevo", "app.kubernetes.io/instance": self.name}
        return {**found, "app.kubernetes.io/component": part} if part else found

    @property
    def collecting(self) -> bool:
        """Whether the API brings its log into the lake: a smaller image has nothing to do it with."""
        return self.serve_image == self.image

    @property
    def access(self) -> dict[str, str]:
        """The label of namespaces, and of pods beside it, that may ask the service."""
        return {f"relevo.access/{self.name}": "allowed"}

    @property
    def scheme(self) -> str:
        """HTTP or HTTPS, as the service speaks."""
        return "HTTPS" if self.settings.serve.certificate is not None else "HTTP"

    @property
    def ledger(self) -> str:
        """The ledger's URL without a password: the settings' own where it is on Postgres."""
        url = self.settings.ledger or ""
        if not url.startswith("postgresql"):
            return f"postgresql+psycopg://relevo@postgres:{_POSTGRES}/relevo"
        found = address.public(address.parsed(url))
        named = found.set(
            username=found.username or "relevo", host=found.host or "postgres", port=found.port or _POSTGRES
        )
        return address.shown(named)

    @property
    def folders(self) -> list[str]:
        """Folders of the project that hold data: they come from a volume, and are not in the image."""
        found = []
        for table in self.definition.project.tables:
            source = table.source.files if isinstance(table.source, Folder) else table.source
            if isinstance(source, Files):
                first, *rest = PurePosixPath(source.pattern).parts
                if rest and first not in {"/", "..", "~"} and not glob.has_magic(first):
                    found.append(first)
        return sorted(set(found))

    @property
    def variables(self) -> list[str]:
        """Environment variables that the project's sources ask for by ``env:NAME``."""
        found = set()
        for table in self.definition.project.tables:
            source = table.source
            texts = [getattr(source, "url", ""), *getattr(source, "headers", {}).values()]
            for text in texts:
                found |= set(re.findall(rf"{VARIABLE}([A-Za-z_][A-Za-z0-9_]*)", str(text)))
        return sorted(found)

    @property
    def asks(self) -> bool:
        """Whether jobs need secrets in their environment: those of sources, and of channels that carry alerts."""
        return bool(self.variables or self.settings.alerts.channels)

    def ways(self) -> list[Way]:
        """What pods must reach outside, beside the DNS."""
        found = [*self._to_sources(), *self._to_channels()]
        keys = self.settings.serve.jwks or ""
        if keys.startswith("https"):
            found.append(Way(API, _port(keys, _HTTPS), t("the key set of the identity provider")))
        if self.profile == FULL:
            port = urlsplit(self.ledger).port or _POSTGRES
            found += [Way(part, port, t("the ledger")) for part in (API, JOBS)]
        return list({(way.part, way.port): way for way in found}.values())

    def _to_sources(self) -> Iterator[Way]:
        for table in self.definition.project.tables:
            source, why = table.source, t("the source of the table {name}", name=table.name)
            if isinstance(source, Batches | Rows):
                yield Way(JOBS, _port(getattr(source, "url", ""), _HTTPS), why)
            elif isinstance(source, Query) and not source.url.startswith("sqlite"):
                yield Way(JOBS, _port(source.url, _POSTGRES), why)

    def _to_channels(self) -> Iterator[Way]:
        alerts = self.settings.alerts
        for name, mail in alerts.email.items():
            yield Way(JOBS, mail.port or _SMTP[mail.security], t("mail, the channel {name}", name=name))
        for name, hook in alerts.webhooks.items():
            url = hook.url.get_secret_value()
            if not loopback(urlsplit(url).hostname or ""):  # a pod reaches itself anyway
                yield Way(JOBS, _port(url, _HTTPS), t("the channel {name}", name=name))
        for name in alerts.apprise:
            yield Way(JOBS, _HTTPS, t("the channel {name}", name=name))


def _port(url: str, usual: int) -> int:
    if "://" not in url or url.startswith(VARIABLE):
        return usual
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else usual)


def dns(name: str) -> str:
    """A project's name as Kubernetes takes names (RFC 1123)."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].strip("-") or "project"
