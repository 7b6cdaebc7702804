"""Aliases, in both directions: whoever moved one last wins, and nothing moves to and fro.

What both sides had when they were last seen to agree is noted: the newest release's number here, the version there.
So it is known which side moved since. MLflow does not say when an alias was moved; where both moved between two looks,
the release here stands unless it is older than the last look.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from relevo import alerting
from relevo.records import CHALLENGER, CHAMPION, WITHDRAW, now
from relevo.texts import t
from relevo.tracking.server import AbsentError
from relevo.tracking.session import ALIAS, DIGEST_TAG, VERSION, VERSION_TAG
from relevo.tracking.taking import NotTakenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from relevo.errors import TrackingError
    from relevo.records import Mirrored, ModelVersion, Release
    from relevo.tracking.session import Session

    Take = Callable[[str, ModelVersion | None, str, int], int | None]
    """Takes up a version under an alias, or with None its withdrawal, as ``taking.take`` does."""


_PUSHED = "pushed"
_log = logging.getLogger(__name__)


class _Sides(NamedTuple):
    """An alias here and there: the newest release's number and version, and MLflow's version; empty when none."""

    alias: str
    number: str
    version: str
    released_at: str
    remote: str


def follow(session: Session, take: Take) -> None:
    """Look at both aliases once, and bring the sides together. Raises ``TrackingError`` when MLflow is away."""
    begun = now()
    model = session.registered()
    if model is None:
        return
    there = {name: str(version) for name, version in dict(model.aliases).items()}
    for alias in (CHAMPION, CHALLENGER):
        newest = next(reversed(session.ledger.releases(session.project, alias)), None)
        _bring(session, take, _sides(alias, newest, there.get(alias, "")))
        session.looked[alias] = begun


def agree(session: Session) -> bool:
    """Whether both aliases are on both sides as they were noted."""
    model = session.registered()
    there = {} if model is None else {name: str(version) for name, version in dict(model.aliases).items()}
    for alias in (CHAMPION, CHALLENGER):
        newest = next(reversed(session.ledger.releases(session.project, alias)), None)
        sides, seen = _sides(alias, newest, there.get(alias, "")), session.known.get((ALIAS, alias))
        if (sides.number, sides.remote) != ((seen.state, seen.remote) if seen is not None else ("", "")):
            return False
        session.looked[alias] = now()
    return True


def _sides(alias: str, newest: Release | None, remote: str) -> _Sides:
    if newest is None:
        return _Sides(alias, "", "", "", remote)
    version = "" if newest.act == WITHDRAW else newest.version
    return _Sides(alias, str(newest.number), version, newest.released_at, remote)


def _bring(session: Session, take: Take, sides: _Sides) -> None:
    seen = session.known.get((ALIAS, sides.alias))
    wanted = _remote(session, sides.version)
    moved_here = sides.number != (seen.state if seen else "")
    moved_there = sides.remote != (seen.remote if seen else "")
    if session.again and seen is not None and seen.error:  # what failed is what is done again
        moved_here, moved_there = (True, moved_there) if seen.facts.get(_PUSHED) else (moved_here, True)
    if not (moved_here or moved_there):
        return
    if sides.remote == wanted and (sides.version or not sides.remote):
        _agree(session, sides)
    elif moved_there and not (moved_here and _is_newer(session, sides, seen)):
        _take_up(session, take, sides)
    elif wanted is not None:
        _push(session, sides, wanted)


def _remote(session: Session, version: str) -> str | None:
    """MLflow's number of a version; None when it was not told of it yet, empty for no version."""
    if not version:
        return ""
    found = session.known.get((VERSION, version))
    return found.remote if found is not None and found.remote else None


def _is_newer(session: Session, sides: _Sides, seen: Mirrored | None) -> bool:
    """Whether the release here is to stand, where both sides moved: unless it is from before the last look."""
    if not sides.number:
        return False
    last = session.looked.get(sides.alias) or (seen.at if seen is not None else "")
    return not last or sides.released_at >= last


def _agree(session: Session, sides: _Sides, problem: str = "", *, pushed: bool = False) -> None:
    """Note how the sides stand; with a ``problem`` they differ, for what was to be ``pushed`` or taken up was not."""
    facts: dict[str, Any] = {"version": sides.version, **({_PUSHED: True} if pushed and problem else {})}
    session.note(ALIAS, sides.alias, remote=sides.remote, state=sides.number, error=problem, facts=facts)
    settings = session.workspace.settings.alerts
    if problem:
        _log.warning("%s", problem)
        alerting.alias_fails(session.ledger, session.project, sides.alias, problem, settings)
    else:
        alerting.alias_works(session.ledger, session.project, sides.alias, settings)


def _push(session: Session, sides: _Sides, wanted: str) -> None:
    """Move the alias in MLflow to where it is here."""
    session.beat()
    try:
        if wanted:
            _check(session, sides.version, wanted)
            session.mlflow.call("set_registered_model_alias", session.model, sides.alias, wanted)
        elif sides.remote:
            session.mlflow.call("delete_registered_model_alias", session.model, sides.alias)
    except AbsentError:
        text = t(
            "The version {number} of {model}, which is {version}, was deleted in MLflow; the alias {alias} cannot be"
            " moved to it there. {version} is the {alias} all the same. `relevo mlflow sync --again` registers it"
            " anew.",
            number=wanted,
            model=session.model,
            version=sides.version,
            alias=sides.alias,
        )
        _agree(session, sides, text, pushed=True)
    else:
        _agree(session, sides._replace(remote=wanted))


def _check(session: Session, version: str, number: str) -> None:
    """Raise ``AbsentError`` when MLflow's version of this number is gone, or another one has its number."""
    found: Any = session.mlflow.call("get_model_version", session.model, number)
    ours, tags = session.ledger.version(session.project, version), dict(found.tags)
    if ours is None or (tags.get(VERSION_TAG), tags.get(DIGEST_TAG)) != (ours.version, ours.digest):
        raise AbsentError(version)


def lost(session: Session) -> list[str]:
    """The versions that an alias could not be moved to, as MLflow has them no longer."""
    noted = [one for one in session.known.values() if one.kind == ALIAS and one.error]
    return [str(one.facts["version"]) for one in noted if one.facts.get(_PUSHED)]


def _take_up(session: Session, take: Take, sides: _Sides) -> None:
    """Do here what was done there; what must not be done is told, and the alias there left as it is."""
    where = t("version {number} of {model}", number=sides.remote, model=session.model)
    try:
        version = _taken(session, sides, where)
        number = take(sides.alias, version, where, int(sides.number or 0))
    except NotTakenError as error:
        text = t("The alias {alias} in MLflow is not taken up. {problem}", alias=sides.alias, problem=error)
        _agree(session, sides, text)
        return
    if number is not None:  # else it moved here meanwhile: the next look sees that both sides moved
        _agree(session, sides._replace(number=str(number), version=version.version if version else ""))


def _taken(session: Session, sides: _Sides, where: str) -> ModelVersion | None:
    """The version here that the alias there points to; None when it is gone and that may be."""
    if not sides.remote:
        if sides.alias == CHALLENGER:
            return None
        raise _refused(
            t(
                "It was removed, or its version was deleted; {version} stays champion. Set it again there, or type"
                " relevo promote {version}.",
                version=sides.version or "-",
            )
        )
    try:
        found: Any = session.mlflow.call("get_model_version", session.model, sides.remote)
    except AbsentError as error:
        raise _refused(t("{where} was deleted.", where=where)) from error
    tags = dict(found.tags)
    name, digest = tags.get(VERSION_TAG, ""), tags.get(DIGEST_TAG, "")
    if not name or not digest:
        raise _refused(
            t("{where} is not Relevo's: it has no tags {version} and {digest}.",
              where=where, version=VERSION_TAG, digest=DIGEST_TAG)
        )  # fmt: skip
    version = session.ledger.version(session.project, name)
    if version is None or version.version != name:
        raise _refused(
            t("{where} says it is {version}, which this ledger does not know.", where=where, version=name)
        )
    if version.digest != digest or _remote(session, name) != sides.remote:
        raise _refused(
            t("{where} says it is {version}, but that is another package or another version there.",
              where=where, version=name)
        )  # fmt: skip
    return version


def _refused(text: str) -> TrackingError:
    return NotTakenError(text, refused=True)
