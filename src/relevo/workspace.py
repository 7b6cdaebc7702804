"""The workspace: the folder where a project's lake, ledger, packages and logs live, and its settings."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
import weakref
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from relevo import disk
from relevo.errors import Mistake, ProjectError, WorkspaceError
from relevo.records import now
from relevo.service import ServiceSettings
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from relevo.blobs import Blobs
    from relevo.lake import Lake
    from relevo.ledger import Ledger

FOLDER = ".relevo"
FILE = "relevo.toml"
_NAME = "project"


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
    lake: str | None = Field(None, description="A folder or an object store; in the workspace by default")
    memory_limit: Annotated[str, Field(pattern=r"(?i)^\d+(\.\d+)?\s*([KMGT]i?)?B$")] = Field(
        "2GB", description="The most memory that DuckDB uses"
    )
    threads: int | None = Field(None, ge=1, description="DuckDB's threads; one for each core by default")
    serve: ServiceSettings = Field(ServiceSettings(), description="The service's own settings")

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
        try:
            return cls(**values)
        except ValidationError as error:
            raise ProjectError(_mistakes(error)) from error


def _mistakes(error: ValidationError) -> list[Mistake]:
    found = []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"])
        variable = f"RELEVO_{key.upper().replace('.', '__')}"
        fields = (
            ServiceSettings if item["loc"][0] == "serve" and len(item["loc"]) > 1 else Settings
        ).model_fields
        file = variable if os.environ.get(variable) else FILE
        if item["type"] == "extra_forbidden":
            problem, remedy = (
                t("there is no such setting."),
                t("Settings are: {known}.", known=", ".join(fields)),
            )
        else:
            problem = t("{value!r} cannot be used: {problem}.", value=item["input"], problem=t(item["msg"]))
            name = str(item["loc"][1 if fields is ServiceSettings.model_fields else 0])
            remedy = fields[name].description or ""
        found.append(Mistake(file, key, problem, remedy))
    return found


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
        root = project / (settings.workspace or Path(FOLDER)).expanduser()
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

    @property
    def logs(self) -> Path:
        """Where the prediction journal's segments are."""
        return self.root / "log"

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

        return Ledger(self._ledger_place(), create=self._create)

    @cached_property
    def lake(self) -> Lake:
        """The lake of the settings, or a folder here; its engine spills into a folder of this process."""
        from relevo.lake import Lake

        place = self.settings.lake or str(self.root / "lake")
        held = ExitStack()
        writable = os.access(self.root, os.W_OK)  # one that may be read only is still good for queries
        spill = held.enter_context(disk.scratch(self._scratch if writable else Path(tempfile.gettempdir())))
        weakref.finalize(self, _close, held, os.getpid())
        return Lake(
            place if "://" in place else self.project / place,
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

    def scratch(self) -> AbstractContextManager[Path]:
        """Make a temporary folder for the block; if this process dies, the next to open removes it."""
        return disk.scratch(self._scratch)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other run out for the block; raises ``WorkspaceError`` naming the one that is inside.

        The kernel frees the lock when this process ends, however it ends.
        """
        path = self.root / "run.lock"
        with disk.explained(path):
            descriptor = disk.lock_file(path)
        if descriptor is None:
            raise _taken(path)
        try:
            with disk.explained(path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": now()}).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _ledger_place(self) -> str | Path:
        url = self.settings.ledger
        if url is None:
            return self.root / "ledger.db"
        head, mark, path = url.partition(":///")
        if mark and head.startswith("sqlite") and path and not path.startswith((":memory:", "/")):
            return self.project / path
        return url

    @property
    def _scratch(self) -> Path:
        return self.root / "scratch"


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


def _taken(path: Path) -> WorkspaceError:
    try:
        holder = json.loads(path.read_text())
        pid, since = holder["pid"], holder["since"]
    except (OSError, ValueError, KeyError, TypeError):  # it has the lock but has not written its name yet
        pid, since = "?", now()
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
