"""``mlflow sync`` and ``mlflow status``; and the sender that a command leaves behind.

``python -m relevo.cli.mirror FOLDER`` is that sender: it tells what waits and ends, with nobody waiting for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevo import extras, mirroring
from relevo.cli.output import FAILED, document, say, table
from relevo.errors import ExtraMissingError, RelevoError, TrackingError
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.records import ModelVersion, Release
    from relevo.tracking.aliases import Take
    from relevo.tracking.server import Address
    from relevo.workspace import Workspace

CLIENT, EXTRA = "mlflow", "mlflow"
_PATIENCE = 60.0  # seconds that a sender waits for another one
_NICE = 10


def wanted() -> bool:
    """Whether there is an MLflow server to tell, and its client to tell it with."""
    return bool(mirroring.address()) and find_spec(CLIENT) is not None


def hint() -> str:
    """What to type when a server is named and its client is absent; empty otherwise."""
    if not mirroring.address():
        return ""
    try:
        extras.need_elsewhere(CLIENT, EXTRA)
    except ExtraMissingError as error:
        return t(
            "{variable} is set, and MLflow is told nothing. {problem}", variable=mirroring.URI, problem=error
        )
    return ""


def leave(folder: Path) -> None:
    """Start a sender that goes on when this command has ended; nothing happens where no server is named.

    It costs the starting of a process. What it cannot send stays for the next one.
    """
    if not wanted():
        return
    with suppress(OSError):  # no process to be had: the next command tries again
        subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "relevo.cli.mirror", str(folder.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def insist(workspace: Workspace, release: Release) -> None:
    """Let an alias in MLflow follow a release that was typed, also where it is the one that stood before."""
    from relevo.tracking.session import ALIAS

    workspace.ledger.mirror.insist(release.project, ALIAS, release.alias)


def _address(workspace: Workspace) -> Address:
    from relevo.tracking.server import address

    found = address(workspace.settings.mlflow.timeout)
    if found is None:
        raise TrackingError(
            t(
                "No MLflow server is named. Set {variable}, such as http://127.0.0.1:5000.",
                variable=mirroring.URI,
            )
        )
    return found


def sync(folder: Path, *, again: bool, json: bool) -> None:
    """Tell MLflow what waits."""
    from relevo.cli.trying import opened
    from relevo.tracking import sync as syncing
    from relevo.tracking.server import Mlflow
    from relevo.tracking.session import RUN, VERSION, Session

    workspace, name = opened(folder)
    address = _address(workspace)
    with syncing.alone(workspace, name, _PATIENCE) as beat:
        if again:
            for kind in (RUN, VERSION):
                workspace.ledger.mirror.forget(name, address.digest, kind, refused=True)
        session = Session(workspace, name, Mlflow(address), beat, again=again)
        report = syncing.look(session, taker(workspace))
    if json:
        document(vars(report) | {"server": address.shown})
        return
    said = t(
        "MLflow at {server}: {runs} runs, {versions} versions and {releases} releases told.",
        server=address.shown,
        runs=report.runs,
        versions=report.versions,
        releases=report.releases,
    )
    say(said)
    for text in report.refused:
        say(f"  ✗ {text}")
    _say_aliases(syncing.status(workspace, name, address))


def taker(workspace: Workspace) -> Take:
    """What takes up a version, in this process."""

    def take(alias: str, version: ModelVersion | None, where: str, newest: int) -> int | None:
        from relevo.tracking import taking

        return taking.take(workspace, alias, version, where, newest)

    return take


def status(folder: Path, *, json: bool) -> None:
    """Say how things stand; MLflow is not asked."""
    from relevo.cli.trying import opened
    from relevo.tracking import sync as syncing

    workspace, name = opened(folder)
    found = syncing.status(workspace, name, _address(workspace))
    found["hint"] = hint()
    if json:
        document(found)
        return
    say(t("MLflow at {server}", server=found["server"]))
    kinds = {"run": t("runs"), "version": t("versions"), "release": t("releases")}
    columns = (t("what"), t("told"), t("waiting"))
    table(columns, [(kinds[kind], found["sent"][kind], found["waiting"][kind]) for kind in kinds])
    for one in found["refused"]:
        say(f"  ✗ {one['kind']} {one['key']}: {one['error']}")
    _say_aliases(found)
    last = found["last"]
    if last is None:
        say(t("Nothing was told yet. Type: relevo mlflow sync"))
    elif last["error"]:
        say(t("Since {time}: {problem}", time=last["at"][:19], problem=last["error"]))
    if found["hint"]:
        say(found["hint"])


def _say_aliases(found: dict[str, Any]) -> None:
    for one in found["aliases"]:
        place = one["remote"] or "-"
        version = one["facts"].get("version") or "-"
        said = t(
            "{alias}: {version} here, version {number} there", alias=one["key"], version=version, number=place
        )
        say(f"{said}. {one['error']}" if one["error"] else f"{said}.")


def main() -> int:
    """Tell what waits, and end; what goes wrong is noted in the ledger, for ``mlflow status``."""
    folder = Path(sys.argv[1])
    with suppress(OSError):
        os.nice(_NICE)
    try:
        sync(folder, again=False, json=False)
    except RelevoError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
