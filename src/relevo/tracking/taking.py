"""Taking up a version that an alias was moved to in MLflow: after its package and its critical cases were looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relevo import challenge
from relevo.definition import load
from relevo.errors import PackageError, TrackingError
from relevo.living import packaged
from relevo.records import CHALLENGER, CHAMPION
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.records import ModelVersion, Release
    from relevo.workspace import Workspace

WHO = "MLflow"


class NotTakenError(TrackingError):
    """The version must not have the alias; the text says why. Another try would end alike."""


def take(
    workspace: Workspace, alias: str, version: ModelVersion | None, where: str, newest: int
) -> int | None:
    """Release a version, as the alias in MLflow says, or end what is tried; gives the number of the release.

    ``where`` is the version there, for the history. Nothing is released when the alias moved here since its release
    ``newest``: then None is given.

    Raises ``NotTakenError`` when it was refused by the gate, its package is not whole, or a critical case fails;
    ``RelevoError`` when that could not be found out now.
    """
    if version is None:
        released = _withdraw(workspace, newest)
    else:
        _judge(workspace, version)
        act, facts = ("promote", {}) if alias == CHAMPION else (challenge.ACT, _tried(workspace, version))
        why = t("The alias {alias} was moved to {where} in MLflow.", alias=alias, where=where)
        released = workspace.ledger.release_after(
            newest, version.project, alias, version.version, who=WHO, why=why, act=act, facts=facts
        )
    return None if released is None else released.number


def _withdraw(workspace: Workspace, newest: int) -> Release | None:
    standing = workspace.ledger.standing(workspace.project_name(), CHALLENGER)
    if standing is None or standing.number != newest:
        return None
    why = t("The alias {alias} was removed in MLflow.", alias=CHALLENGER)
    return workspace.ledger.end(standing, who=WHO, why=why)


def _tried(workspace: Workspace, version: ModelVersion) -> dict[str, Any]:
    try:
        challenge.triable(workspace.ledger, version.project, version.version)
    except challenge.NotTriableError as error:
        raise NotTakenError(str(error), refused=True) from error
    return challenge.shadow_facts()


def _judge(workspace: Workspace, version: ModelVersion) -> None:
    if version.status != "accepted":
        raise NotTakenError(
            t("The gate refused {version}. `relevo versions` shows why.", version=version.version),
            refused=True,
        )
    definition = load(workspace.project)
    try:
        checked = packaged.ask(definition, workspace, version=version)
    except PackageError as error:
        raise NotTakenError(
            t("The package of {version} is not whole: {problem}", version=version.version, problem=error),
            refused=True,
        ) from error
    if checked.failed:
        wrong = [
            t("“{case}” is answered {answered}, not {expected}",
              case=one.name, answered=one.answered or one.problem or "-", expected=one.expected)
            for one in checked.failed
        ]  # fmt: skip
        raise NotTakenError(
            t("Critical cases of {version} fail: {cases}.", version=version.version, cases="; ".join(wrong)),
            refused=True,
        )
