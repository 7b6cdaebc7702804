"""``python -m relevo.cli.following FOLDER``: tells MLflow for as long as ``up`` runs, and watches its aliases.

A process of its own, which holds MLflow's client and no lake, no SQL parser and no model: a version that somebody
moved an alias to is taken up by a process that is forked for it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relevo import backoff, leash
from relevo.errors import RelevoError, TrackingError
from relevo.texts import t
from relevo.tracking import sync, taking
from relevo.tracking.server import Mlflow, address
from relevo.tracking.session import Session
from relevo.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.records import ModelVersion
    from relevo.tracking.aliases import Take

_LONGEST = 10.0  # seconds between two tries while MLflow is away
_TAKING = 120  # seconds that taking up a version may take
_TURN = 5.0  # seconds to wait for another process that tells MLflow
_REFUSED = 3
_LONGEST_TEXT = 4000  # bytes: a pipe takes them without anybody reading
_log = logging.getLogger("relevo.cli.following")  # whose own name is __main__


def main() -> int:
    """Follow until SIGTERM; returns the exit code."""
    leash.fasten()
    try:
        return _follow(Path(sys.argv[1]).absolute())
    except RelevoError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _follow(folder: Path) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("relevo").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    parent = os.getppid()
    workspace = Workspace.open(folder)
    place = address(workspace.settings.mlflow.timeout)
    if place is None:
        return 0
    session = Session(workspace, workspace.project_name(), Mlflow(place))
    sys.stdout.write(json.dumps({"mlflow": place.shown}) + "\n")
    sys.stdout.flush()
    failures, said = 0, ""
    while os.getppid() == parent:
        began = time.monotonic()
        try:
            _look(session)
            failures, said = 0, ""
        except RelevoError as error:
            failures += 1
            if str(error) != said:
                said = str(error)
                _log.warning("%s", said)
        pause = workspace.settings.mlflow.poll
        if failures:
            pause = max(pause, min(_LONGEST, backoff.wait(failures)))
        time.sleep(max(0.0, began + pause - time.monotonic()))
    return 0


def _look(session: Session) -> None:
    if sync.idle(session):
        return
    with sync.alone(session.workspace, session.project, _TURN) as beat:
        session.beat = beat
        report = sync.look(session, _taker(session.workspace))
    for text in report.refused:
        _log.warning("%s", text)


def _taker(workspace: Workspace) -> Take:
    """What takes up a version, in a process of its own."""

    def take(alias: str, version: ModelVersion | None, where: str, newest: int) -> int | None:
        if version is None:
            return taking.take(workspace, alias, version, where, newest)
        code, text = _apart(lambda: taking.take(workspace, alias, version, where, newest))
        if code == _REFUSED:
            raise taking.NotTakenError(text, refused=True)
        if code:
            raise TrackingError(text or t("Taking up {version} took too long.", version=version.version))
        if text:
            _log.info("%s: %s", alias, version.version)
        return int(text) if text else None

    return take


def _apart(work: Callable[[], int | None]) -> tuple[int, str]:
    """Do something in a forked process, and give its exit code and what it gave or said; it is killed after a while.

    The model and the SQL parser that it loads are gone with it, and what is imported here it has at once.
    """
    readable, writable = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(_TAKING)
            code, text = _ended(work)
            os.write(writable, text.encode()[:_LONGEST_TEXT])
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable, "rb") as said:
        text = said.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def _ended(work: Callable[[], int | None]) -> tuple[int, str]:
    try:
        found = work()
    except taking.NotTakenError as error:
        return _REFUSED, str(error)
    except Exception as error:  # noqa: BLE001 - the parent tells it
        return 1, str(error) or type(error).__name__
    return 0, "" if found is None else str(found)


if __name__ == "__main__":
    sys.exit(main())
