"""What a sender works with: a project's ledger, MLflow's client, and how things stand between the two."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relevo.errors import TrackingError
from relevo.ids import uuid7
from relevo.records import Mirrored, now
from relevo.texts import t
from relevo.tracking.server import AbsentError, ForeignModelError, ThereError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relevo.ledger import Ledger
    from relevo.tracking.server import Mlflow
    from relevo.workspace import Workspace

RUN, VERSION, RELEASE, ALIAS, LAST = "run", "version", "release", "alias", "last"
"""Kinds of facts that are mirrored; ``LAST`` is how the last attempt ended."""
EXPERIMENT, MODEL = "experiment", "model"
"""Kinds of places where they are kept there: by what each is told from another of its name that is made later."""
_KEPT = {EXPERIMENT: (RUN,), MODEL: (VERSION, RELEASE, ALIAS)}
LEDGER_TAG, PROJECT_TAG, VERSION_TAG, DIGEST_TAG = (
    f"relevo.{name}" for name in ("ledger", "project", "version", "digest")
)
_OWN = "ledger"


@dataclass
class Session:
    """One look, or several, by one process at a time. ``looked`` is when each alias was last seen as it was noted."""

    workspace: Workspace
    project: str
    mlflow: Mlflow
    beat: Callable[[], None] = lambda: None
    """Called between two requests: it says that this process is alive, and raises when another took its place."""
    known: dict[tuple[str, str], Mirrored] = field(default_factory=dict)
    looked: dict[str, str] = field(default_factory=dict)
    again: bool = False
    """Whether what was refused is tried again."""
    next_look: float = 0.0
    stamp: tuple[int, ...] | None = None
    waits: bool = True
    """Whether something was to be told when the ledger was read last, at ``stamp``."""

    @property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        return self.workspace.ledger

    @property
    def server(self) -> str:
        """What the ledger knows the server by."""
        return self.mlflow.address.digest

    @property
    def model(self) -> str:
        """The registered model's name."""
        return self.workspace.settings.mlflow.model or self.project

    @property
    def _experiment(self) -> str:
        return self.workspace.settings.mlflow.experiment or self.project

    def refresh(self) -> None:
        """Read anew how things stand; an experiment may have been deleted since."""
        self.__dict__.pop("experiment", None)
        self.known = self.ledger.mirror.known(self.project, self.server)

    def note(self, kind: str, key: str, **said: Any) -> Mirrored:
        """Write down how things stand with a fact, unless that is what stands already."""
        fresh = Mirrored(project=self.project, server=self.server, kind=kind, key=key, **said)
        before = self.known.get((kind, key))
        if before is None or replace(before, at="") != fresh:
            fresh = replace(fresh, at=now())
            self.ledger.mirror.note(fresh)
            self.known[kind, key] = fresh
        return self.known[kind, key]

    def recognise(self) -> None:
        """Forget what the server was told before it lost it, or before another was there in its place.

        A model alone that was deleted stays so until there is a new version, or what failed is to be done ``again``.
        Raises ``ForeignModelError`` as ``registered`` does.
        """
        found = self.mlflow.call("get_experiment_by_name", self._experiment)
        if found is None:
            self._forget(EXPERIMENT)
        else:
            self._meet(EXPERIMENT, f"{found.experiment_id} {found.creation_time}")
        if not self.meet_model() and (found is None or self.again):
            self._forget(MODEL)

    def meet_model(self, *, make: bool = False) -> bool:
        """Whether there is a registered model, which may be made; raises ``TrackingError`` as ``registered`` does."""
        found = self.registered(make=make)
        if found is not None:
            self._meet(MODEL, f"{self.model} {found.creation_timestamp}")
        return found is not None

    def _meet(self, place: str, identity: str) -> None:
        """Note which experiment or model it is; what another one was told is forgotten."""
        before = self.known.get((place, place))
        if before is not None and before.remote != identity:
            self._forget(place)
        self.note(place, place, remote=identity)

    def _forget(self, place: str) -> None:
        kinds = (*_KEPT[place], place)
        if not any(kind in kinds for kind, _ in self.known):
            return
        for kind in kinds:
            self.ledger.mirror.forget(self.project, self.server, kind, refused=False)
        self.known = self.ledger.mirror.known(self.project, self.server)
        self.looked.clear()

    def due(self) -> bool:
        """Whether the aliases should be looked at again."""
        return time.monotonic() >= self.next_look

    @cached_property
    def identity(self) -> str:
        """The ledger's own id, by which two workspaces that share a project's name are told apart in MLflow."""
        mine = Mirrored(project=self.project, server="", kind=_OWN, key="id", remote=uuid7(), at=now())
        return self.ledger.mirror.first(mine).remote

    @cached_property
    def experiment(self) -> str:
        """The experiment's id; it is made when there is none. Raises ``TrackingError`` when it was deleted."""
        name = self._experiment
        found = self.mlflow.call("get_experiment_by_name", name)
        if found is None:
            try:
                return str(self.mlflow.call("create_experiment", name, tags={PROJECT_TAG: self.project}))
            except ThereError:  # another process made it meanwhile
                found = self.mlflow.call("get_experiment_by_name", name)
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(
                t(
                    "The experiment {name} was deleted in MLflow. Restore it there, or name another with"
                    " RELEVO_MLFLOW__EXPERIMENT.",
                    name=name,
                )
            )
        return str(found.experiment_id)

    def registered(self, *, make: bool = False) -> Any | None:
        """The registered model; None when there is none and ``make`` is false.

        Raises ``ForeignModelError`` when it is somebody else's: another ledger's, or nobody's that we know.
        """
        try:
            found = self.mlflow.call("get_registered_model", self.model)
        except AbsentError:
            if not make:
                return None
            try:
                found = self._make()
            except ThereError:  # another process made it meanwhile
                found = self.mlflow.call("get_registered_model", self.model)
        owner = dict(found.tags).get(LEDGER_TAG)
        if owner != self.identity:
            whose = t("another workspace's") if owner else t("not Relevo's")
            raise ForeignModelError(
                t(
                    "The registered model {model} in MLflow is {whose}; it is left alone. Name another with"
                    " RELEVO_MLFLOW__MODEL, or hand it over: set its tag {tag} to {identity}.",
                    model=self.model,
                    whose=whose,
                    tag=LEDGER_TAG,
                    identity=self.identity,
                )
            )
        return found

    def _make(self) -> Any:
        tags: Mapping[str, str] = {PROJECT_TAG: self.project, LEDGER_TAG: self.identity}
        text = t("Versions of {project}, registered by Relevo.", project=self.project)
        return self.mlflow.call("create_registered_model", self.model, tags=tags, description=text)
