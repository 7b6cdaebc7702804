"""The workspace: the folder where a project's lake, ledger, packages and logs live, and its settings."""

from __future__ import annotations

import json
import os
import tempfile
import time
import tomllib
import weakref
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from relevo import channels, disk, durations
from relevo.channels import AlertSettings
from relevo.errors import Mistake, ProjectError, WorkspaceError
from relevo.mirroring import MirrorSettings
from relevo.records import now
from relevo.service import ServiceSettings
from relevo.texts import t
from relevo.upkeep import Duration, UpSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from relevo.blobs import Blobs
    from relevo.lake import Lake
    from relevo.ledger import Ledger

FOLDER = ".relevo"
FILE = "relevo.toml"
_NAME = "project"
_LOCK = "run.lock"
_LOOK = 0.1  # seconds between two looks at a lock that is waited for


def _folder(text: str) -> str:
    """Refuse an object store before anything is begun that would need it."""
    if "://" in text:
        raise ValueError(t("only folders can be used so far; write a path"))
    return text


class Settings(BaseSettings):
    """What ``relevo.toml`` beside the project and ``RELEVO_*`` variables say; a variable wins.

    Relative paths count from the project's folder.
    """

    model_config = SettingsConfigDict(
        env_prefix="RELEVO_",
        env_nested_delimiter="__",
        extra="forbid",
        env_ignore_empty=True,
        frozen=True,
    )

    workspace: Path | None = Field(
        None, description="The workspace's folder; .relevo in the project by default"
    )
    ledger: str | None = Field(None, description="SQLAlchemy URL; an SQLite file in the workspace by default")
    ledger_timeout: float = Field(
        5.0, gt=0, description="Seconds that a command waits for the ledger's database"
    )
    ledger_password_file: Path | None = Field(
        None, description="A file that holds the password of the ledger's user, so that its URL needs none"
    )
    lake: Annotated[str, AfterValidator(_folder)] | None = Field(
        None, description="The lake's folder; in the workspace by default"
    )
    journals: tuple[Path, ...] = Field(
        (), description="Logs of services that have a folder of their own, which `collect` only reads"
    )
    memory_limit: Annotated[str, Field(pattern=r"(?i)^\d+(\.\d+)?\s*([KMGT]i?)?B$")] = Field(
        "2GB", description="The most memory that DuckDB uses"
    )
    threads: int | None = Field(None, ge=1, description="DuckDB's threads; one for each core by default")
    wait: Duration = Field(
        "0s", description="How long a run, a step or the monitor waits for another that is under way"
    )
    serve: ServiceSettings = Field(ServiceSettings(), description="The service's own settings")
    alerts: AlertSettings = Field(AlertSettings(), description="Who is told of alerts, and how")
    mlflow: MirrorSettings = Field(MirrorSettings(), description="How MLflow is told")
    up: UpSettings = Field(UpSettings(), description="The scheduler's settings")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there is no .env: one file is enough
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - nor a folder of secrets
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables win over the file, which comes in as arguments."""
        return env_settings, init_settings

    @classmethod
    def read(cls, project: Path) -> Settings:
        """Read the settings of a project; raises ``ProjectError`` with each key that is unknown or wrong."""
        path = project / FILE
        values: dict[str, Any] = {}
        if path.is_file():
            try:
                values = tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                remedy = t('Write lines such as memory_limit = "2GB", in UTF-8.')
                raise ProjectError(
                    [Mistake(FILE, "", t("it is not TOML: {error}.", error=error), remedy)]
                ) from error
        shown = list(channels.exposed(values))
        if shown:
            raise ProjectError([_exposed(key, variable) for key, variable in shown])
        try:
            return cls(**values)
        except ValidationError as error:
            raise ProjectError(_mistakes(error)) from None  # its text repeats what was given, secrets too
        except SettingsError as error:
            problem = t("a variable that should hold JSON does not: {error}.", error=error)
            raise ProjectError([Mistake("RELEVO_*", "", problem, "")]) from None


def _exposed(key: str, variable: str) -> Mistake:
    problem = t("a secret must not stand in a file that is shared.")
    remedy = t(
        "Put it into {variable}, or into a file that {key} names.", variable=variable, key=f"{key}_file"
    )
    return Mistake(FILE, key, problem, remedy)


SECTIONS: dict[str, type[BaseModel]] = {
    "serve": ServiceSettings,
    "up": UpSettings,
    "mlflow": MirrorSettings,
}
"""The parts of the settings that have a section of their own in ``relevo.toml``."""


def _mistakes(error: ValidationError) -> list[Mistake]:
    found = []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"])
        variable = f"RELEVO_{key.upper().replace('.', '__')}"
        fields, name = _setting(item["loc"])
        file = variable if os.environ.get(variable) else FILE
        if item["type"] == "extra_forbidden":
            problem = t("there is no such setting.")
            remedy = t("Settings are: {known}.", known=", ".join(fields))
        else:
            problem = _problem(item)
            remedy = fields.get(name, "")
        found.append(Mistake(file, key, problem, remedy))
    return found


def _setting(loc: tuple[int | str, ...]) -> tuple[dict[str, str], str]:
    """The settings beside the one that is meant, with what they are, and its name among them."""
    model: Any = Settings
    named = False  # in a section that holds others by a name of one's choice
    for depth, part in enumerate(loc):
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if named:
            named = False
            continue
        inner: Any = fields[str(part)].annotation if str(part) in fields else None
        if getattr(inner, "__origin__", None) is dict:
            inner, named = inner.__args__[1], True
        if depth + 1 == len(loc) or not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return {name: field.description or "" for name, field in fields.items()}, str(part)
        model = inner
    return {name: field.description or "" for name, field in model.model_fields.items()}, ""


def _problem(item: Any) -> str:
    """What is wrong; of alerts without the value, which may be a secret or hold one."""
    said = t(item["msg"]).removeprefix("Value error, ").rstrip(".")
    if item["type"] == "missing":
        return t("it is missing.")
    if item["loc"][0] == "alerts":
        return t("it cannot be used: {problem}.", problem=said)
    return t("{value!r} cannot be used: {problem}.", value=item["input"], problem=said)


def _root(project: Path, settings: Settings) -> Path:
    return project / (settings.workspace or Path(FOLDER)).expanduser()


def lake_place(project: Path, settings: Settings) -> Path:
    """Where a project's lake is, or will be."""
    return project / (settings.lake or _root(project, settings) / "lake")


class Workspace:
    """A project's workspace. Opening it reads the settings; its stores open when first used.

    ``root`` is the folder, ``project`` the project's own. A workspace may be shared by threads.
    """

    def __init__(self, project: Path, root: Path, settings: Settings, *, create: bool) -> None:
        self.project = project
        self.root = root
        self.settings = settings
        self._create = create

    @classmethod
    def open(cls, project: Path, *, create: bool = True) -> Workspace:
        """Open a project's workspace, making it when it is absent.

        Raises ``WorkspaceError`` when it cannot be made or written, or is absent and ``create`` is false;
        ``ProjectError`` when ``relevo.toml`` has mistakes.
        """
        project = project.absolute()
        with disk.explained(project):
            known = project.is_dir()
        if not known:
            raise WorkspaceError(t("There is no project folder {project}. Check the path.", project=project))
        settings = Settings.read(project)
        root = _root(project, settings)
        if create:
            _make(root)
        elif not root.is_dir():
            raise WorkspaceError(
                t(
                    "There is no workspace {root}. `relevo run {project}` makes it.",
                    root=root,
                    project=project,
                )
            )
        workspace = cls(project, root, settings, create=create)
        if os.access(root, os.W_OK):
            disk.sweep(workspace._scratch)
            workspace.blobs.sweep()
        return workspace

    def settings_now(self) -> Settings:
        """Read the settings anew, for who has it open for long; those of before where they have mistakes now."""
        try:
            return Settings.read(self.project)
        except ProjectError:
            return self.settings

    @property
    def own(self) -> Path:
        """The folder that a service writes to: the workspace, or its own where it only reads that."""
        folder = self.settings.serve.folder
        return self.root if folder is None else self.project / folder.expanduser()

    @property
    def logs(self) -> Path:
        """Where the prediction journal's segments are."""
        return self.own / "log"

    @property
    def journals(self) -> tuple[Path, ...]:
        """Where the segments of services are that only read this workspace."""
        return tuple(self.project / folder.expanduser() for folder in self.settings.journals)

    @property
    def lookups(self) -> Path:
        """Where the keyed files of histories are."""
        return self.root / "lookups"

    @cached_property
    def blobs(self) -> Blobs:
        """Content-addressed blobs and model packages."""
        from relevo.blobs import Blobs

        return Blobs(self.root / "blobs")

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the settings, or an SQLite file here."""
        from relevo.ledger import Ledger

        return Ledger(self.ledger_place(), timeout=self.settings.ledger_timeout, create=self._create)

    @cached_property
    def lake(self) -> Lake:
        """The lake of the settings, or a folder here; its engine spills into a folder of this process."""
        from relevo.lake import Lake

        held = ExitStack()
        writable = os.access(self.root, os.W_OK)  # one that may be read only is still good for queries
        spill = held.enter_context(disk.scratch(self._scratch if writable else Path(tempfile.gettempdir())))
        weakref.finalize(self, _close, held, os.getpid())
        return Lake(
            lake_place(self.project, self.settings),
            memory_limit=self.settings.memory_limit,
            threads=self.settings.threads,
            scratch=spill,
        )

    def remember(self, name: str) -> None:
        """Note the name of the project that runs here, for those who do not load its definition."""
        path = self.root / _NAME
        if not path.is_file() or path.read_text(encoding="utf-8") != name:
            with self.scratch() as scratch, disk.explained(path):
                disk.write_synced(scratch / _NAME, name.encode())
                disk.publish(scratch / _NAME, path)

    def project_name(self) -> str:
        """The name of the project that runs here; raises ``WorkspaceError`` when none ever ran."""
        path = self.root / _NAME
        if path.is_file():
            with disk.explained(path):
                return path.read_text(encoding="utf-8")
        names = self.ledger.projects()
        if len(names) != 1:
            raise WorkspaceError(
                t(
                    "Nothing was run in {root} yet. Type: relevo run {project}",
                    root=self.root,
                    project=self.project,
                )
            )
        return names[0]

    def ledger_place(self) -> str | Path:
        """Where the ledger is: SQLAlchemy's URL, or the path of an SQLite file."""
        url = self.settings.ledger
        if url is None:
            return self.root / "ledger.db"
        if self.settings.ledger_password_file is not None:
            return _with_password(url, self.project / self.settings.ledger_password_file.expanduser())
        return self.located(url)

    def located(self, url: str) -> str | Path:
        """A ledger's place as ``ledger`` in the settings would mean it: a relative file counts from the project."""
        head, mark, path = url.partition(":///")
        if mark and head.startswith("sqlite") and path and not path.startswith((":memory:", "/")):
            return self.project / path
        return url

    def scratch(self) -> AbstractContextManager[Path]:
        """Make a temporary folder for the block; if this process dies, the next to open removes it."""
        return disk.scratch(self._scratch)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other run out for the block; raises ``WorkspaceError`` naming the one that is inside.

        The kernel frees the lock when this process ends, however it ends. It is waited for as long as the setting
        ``wait`` says.
        """
        with self._locked(self.root / _LOCK):
            yield

    @contextmanager
    def lock_step(self, step: str) -> Iterator[None]:
        """Keep whole runs out for the block, and whoever does the same step; other steps go on beside it."""
        own = self.root / f"step-{quote(step, safe='')}.lock"
        with self._locked(self.root / _LOCK, shared=True), self._locked(own, step):
            yield

    @contextmanager
    def _locked(self, path: Path, step: str = "", *, shared: bool = False) -> Iterator[None]:
        until = time.monotonic() + durations.parse(self.settings.wait).total_seconds()
        with disk.explained(path):
            while (descriptor := disk.lock_file(path, shared=shared)) is None:
                if time.monotonic() >= until:
                    raise _taken(path, step)
                time.sleep(_LOOK)
        try:
            with disk.explained(path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": now()}).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    @property
    def _scratch(self) -> Path:
        return self.root / "scratch"


def _with_password(url: str, path: Path) -> str:
    """Put a file's password into a URL, so that it stands in no setting and no variable."""
    with disk.explained(path):
        password = path.read_text(encoding="utf-8").strip()
    if not password:
        raise WorkspaceError(
            t("{path}: is empty. Write the password of the ledger's user into it.", path=path)
        )
    head, mark, rest = url.partition("://")
    user, at, place = rest.partition("@")
    if not mark or not at or ":" in user:
        raise WorkspaceError(
            t(
                "With ledger_password_file the ledger's URL names a user and no password, such as "
                "postgresql+psycopg://relevo@host/relevo."
            )
        )
    return f"{head}://{user}:{quote(password, safe='')}@{place}"


def _make(root: Path) -> None:
    with disk.explained(root):
        if not root.is_dir():
            root.parent.mkdir(parents=True, exist_ok=True)
            root.mkdir(mode=0o700, exist_ok=True)
        if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
        ignore = root / ".gitignore"
        if not ignore.exists() or ignore.read_text() != "*\n":
            ignore.write_text("*\n")


def _taken(path: Path, step: str) -> WorkspaceError:
    try:
        holder = json.loads(path.read_text())
        pid, since = holder["pid"], holder["since"]
    except (OSError, ValueError, KeyError, TypeError):  # it has the lock but has not written its name yet
        pid, since = "?", now()
    if step:
        return WorkspaceError(
            t(
                "The step {step} is under way in {root}: process {pid}, since {since}. Wait for it, or stop it, then "
                "try again.",
                step=step,
                root=path.parent,
                pid=pid,
                since=since,
            )
        )
    return WorkspaceError(
        t(
            "Another run is working in {root}: process {pid}, since {since}. Wait for it, or stop it, then try again.",
            root=path.parent,
            pid=pid,
            since=since,
        )
    )


def _close(held: ExitStack, pid: int) -> None:
    if os.getpid() == pid:
        held.close()
