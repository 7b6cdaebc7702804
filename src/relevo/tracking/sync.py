"""One look: what waits is told to MLflow, once, and what moved there is taken up.

What is to be told follows from the ledger's facts and from what was noted of them; there is no queue that could lose
anything. One process of a workspace does it at a time (a lock that the kernel frees), and one machine (a lease).
"""

from __future__ import annotations

import math
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from relevo import disk
from relevo.errors import LedgerError, PackageError, TrackingError, WorkspaceError
from relevo.records import Mirrored, now
from relevo.texts import t
from relevo.tracking import aliases, documents, models, runs
from relevo.tracking.server import ForeignModelError
from relevo.tracking.session import ALIAS, LAST, MODEL, RELEASE, RUN, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relevo.records import ModelVersion, Run
    from relevo.tracking.aliases import Take
    from relevo.tracking.server import Address
    from relevo.tracking.session import Session
    from relevo.workspace import Workspace

LEASE = "mlflow"
_LASTING = 30.0  # seconds of the lease, renewed before each request that makes something
_LOCK = "mlflow.lock"
_EVERY = 1_000_000
_FINAL = "final"
_PAUSE = 0.1
_Given = TypeVar("_Given")


@dataclass
class Report:
    """What came of a look."""

    runs: int = 0
    versions: int = 0
    releases: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many facts were told."""
        return self.runs + self.versions + self.releases


def waiting(
    workspace: Workspace, project: str, known: dict[tuple[str, str], Mirrored]
) -> dict[str, list[str]]:
    """The facts that are to be told yet, by kind, the oldest first."""
    ledger = workspace.ledger
    return {
        RUN: [run.id for run in _runs(workspace, project, known)],
        VERSION: [version.version for version in _versions(workspace, project, known)],
        RELEASE: [
            str(one.number) for one in ledger.releases(project) if (RELEASE, str(one.number)) not in known
        ],
    }


def _runs(workspace: Workspace, project: str, known: dict[tuple[str, str], Mirrored]) -> list[Run]:
    found = []
    for run in reversed(workspace.ledger.runs(project, limit=_EVERY)):
        noted = known.get((RUN, run.id))
        if noted is None or (not noted.error and noted.state != _state(workspace, run)):
            found.append(run)
    return found


def _state(workspace: Workspace, run: Run) -> str:
    """What there is to tell of a run: all, once it has ended; else as far as its steps have come."""
    if run.status != "running":
        return f"{_FINAL} {run.status} {run.finished_at}"
    return f"running {len(workspace.ledger.steps(run.id))} {len(workspace.ledger.trials(run.id))}"


def _versions(
    workspace: Workspace, project: str, known: dict[tuple[str, str], Mirrored]
) -> list[ModelVersion]:
    every = reversed(workspace.ledger.versions(project))
    return [version for version in every if (VERSION, version.version) not in known]


@contextmanager
def alone(workspace: Workspace, project: str, patience: float) -> Iterator[Callable[[], None]]:
    """Be the only one that tells MLflow about a project; gives what must be called between requests.

    Raises ``WorkspaceError`` when another does for longer than ``patience`` seconds.
    """
    holder = f"{socket.gethostname()}:{workspace.root}"  # whoever has the lock may take over from a dead one
    until, agenda = time.monotonic() + patience, workspace.ledger.agenda
    with _locked(workspace.root / _LOCK, project, until):
        held = _awaited(lambda: agenda.acquire(project, LEASE, holder, _LASTING), project, until)
        renewed = time.monotonic()

        def beat() -> None:
            nonlocal held, renewed
            if time.monotonic() - renewed < _LASTING / 3:
                return
            fresh = agenda.renew(held, _LASTING)
            if fresh is None:
                raise LedgerError(
                    t("Another process took over telling MLflow about {project}.", project=project)
                )
            held, renewed = fresh, time.monotonic()

        try:
            yield beat
        finally:
            agenda.release(held)


@contextmanager
def _locked(path: Path, project: str, until: float) -> Iterator[None]:
    """Hold the workspace's lock for the block, however it ends."""
    with disk.explained(path):
        descriptor = _awaited(lambda: disk.lock_file(path), project, until)
    try:
        yield
    finally:
        os.close(descriptor)


def _awaited(ask: Callable[[], _Given | None], project: str, until: float) -> _Given:
    """What ``ask`` gives once it gives something; raises ``WorkspaceError`` when that takes too long."""
    while (found := ask()) is None:
        if time.monotonic() >= until:
            raise WorkspaceError(t("Another process is telling MLflow about {project}.", project=project))
        time.sleep(_PAUSE)
    return found


def idle(session: Session) -> bool:
    """Whether there is nothing to do; nothing is written. Raises ``TrackingError`` when MLflow is away."""
    stamp = session.ledger.stamp()
    if stamp is None or stamp != session.stamp:
        session.refresh()
        session.stamp = stamp
        session.waits = any(waiting(session.workspace, session.project, session.known).values())
    return not session.waits and aliases.agree(session)


def look(session: Session, take: Take) -> Report:
    """Look once. How it ended is noted.

    Raises ``TrackingError`` when MLflow is away, or its model is another's; ``WorkspaceError`` when what is to be
    uploaded cannot be written here.
    """
    report = Report()
    session.refresh()
    try:
        _look(session, take, report)
    except (TrackingError, WorkspaceError) as error:
        session.note(LAST, LAST, error=str(error))
        raise
    session.note(LAST, LAST, state="ok")
    return report


def _look(session: Session, take: Take, report: Report) -> None:
    foreign: ForeignModelError | None = None
    try:
        session.recognise()
        if session.again:
            _forget_lost(session)
        _look_at_aliases(session, take)
    except ForeignModelError as error:  # runs are told all the same
        foreign = error
        session.next_look = math.inf
    for run in _runs(session.workspace, session.project, session.known):
        _tell(session, report, RUN, run.id, partial(_tell_run, session, run, report))
        _glance(session, take)
    if foreign is not None:
        raise foreign
    _meet_model(session)
    for version in _versions(session.workspace, session.project, session.known):
        _tell(session, report, VERSION, version.version, partial(_tell_version, session, version, report))
        _glance(session, take)
    _tell_releases(session, report)
    if report.sent:
        _look_at_aliases(session, take)


def _meet_model(session: Session) -> None:
    """Have a registered model where versions wait; one that is made anew knows none of the earlier versions either."""
    waits = bool(_versions(session.workspace, session.project, session.known))
    if not session.meet_model(make=waits) and (MODEL, MODEL) in session.known:
        raise TrackingError(
            t(
                "The registered model {model} was deleted in MLflow. The next version makes it anew, and so does"
                " `relevo mlflow sync --again`.",
                model=session.model,
            )
        )


def _forget_lost(session: Session) -> None:
    """Let versions be told anew that an alias could not be moved to, since MLflow has them no longer."""
    for version in aliases.lost(session):
        session.ledger.mirror.forget(session.project, session.server, VERSION, version, refused=False)
        session.known.pop((VERSION, version), None)


def _glance(session: Session, take: Take) -> None:
    """Look at the aliases while much is told, for whoever moves one does not want to wait."""
    if session.due():
        _look_at_aliases(session, take)


def _look_at_aliases(session: Session, take: Take) -> None:
    session.beat()
    aliases.follow(session, take)
    session.next_look = time.monotonic() + session.workspace.settings.mlflow.poll


def _tell(session: Session, report: Report, kind: str, name: str, send: Callable[[], None]) -> None:
    """Tell of one fact; one that MLflow does not take, or that is gone here, does not keep the others waiting."""
    try:
        send()
    except (TrackingError, PackageError) as error:
        if isinstance(error, TrackingError) and not error.refused:
            raise
        session.note(kind, name, error=str(error))
        report.refused.append(f"{name}: {error}")


def _tell_run(session: Session, run: Run, report: Report) -> None:
    state = _state(session.workspace, run)
    remote = runs.send(session, run.id, documents.document(session.workspace, run))
    session.note(RUN, run.id, remote=remote, state=state)
    report.runs += 1


def _tell_version(session: Session, version: ModelVersion, report: Report) -> None:
    number, model = models.send(session, version)
    session.note(VERSION, version.version, remote=number, state=_FINAL, facts={"model": model})
    report.versions += 1


def _tell_releases(session: Session, report: Report) -> None:
    for release in session.ledger.releases(session.project):
        if (RELEASE, str(release.number)) not in session.known:
            session.beat()
            models.tell_release(session, release)
            session.note(RELEASE, str(release.number), state=_FINAL)
            report.releases += 1


def status(workspace: Workspace, project: str, address: Address) -> dict[str, Any]:
    """How things stand, without asking MLflow: what waits, what was refused, the aliases, the last error."""
    known = workspace.ledger.mirror.known(project, address.digest)
    last = known.get((LAST, LAST))
    waits = waiting(workspace, project, known)
    return {
        "project": project,
        "server": address.shown,
        "waiting": {kind: len(found) for kind, found in waits.items()},
        "sent": {
            kind: sum(1 for (k, _), one in known.items() if k == kind and not one.error) for kind in waits
        },
        "refused": [asdict(one) for one in known.values() if one.error and one.kind in waits],
        "aliases": [asdict(one) for one in known.values() if one.kind == ALIAS],
        "last": {"at": last.at, "error": last.error} if last is not None else None,
        "now": now(),
    }
