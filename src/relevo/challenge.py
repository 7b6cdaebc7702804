"""Challenge: try a version beside the champion, as a shadow or as a canary, and end that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from relevo.errors import LedgerError, RequestError
from relevo.package import manifest as manifests
from relevo.package.model import MANIFEST
from relevo.records import CHALLENGER, CHAMPION, Strategy
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.ledger import Ledger
    from relevo.records import ModelVersion, Release
    from relevo.workspace import Workspace

CPU = 0.2
"""The share of one processor that a shadow uses unless told otherwise."""
ACT = "challenge"
"""What the history of releases calls it."""
_KEY = "key"


class NotTriableError(LedgerError):
    """A version cannot be tried beside the champion, or there is no champion."""


def share_of(text: str, option: str) -> float:
    """Read ``10%`` or ``0.1``; raises ``RequestError`` unless it is above 0 and at most 1."""
    found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*(%?)\s*", text, re.ASCII)
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < share <= 1:
        problem = t("“{text}” is not a share. Write 10%, above 0% and at most 100%.", text=text[:40])
        raise RequestError([{"field": option, "problem": problem}])
    return share


def shadow(
    workspace: Workspace, project: str, version: str, *, cpu: float = CPU, who: str, why: str = ""
) -> Release:
    """Let a version answer what the champion is asked, off the path, on at most the share ``cpu`` of a processor.

    Takes the place of what is tried now. Raises ``LedgerError`` when the version cannot be tried.
    """
    chosen = triable(workspace.ledger, project, version)
    return _begin(workspace.ledger, chosen, who, why, shadow_facts(cpu))


def canary(
    workspace: Workspace, project: str, version: str, *, share: float, by: str = "", who: str, why: str = ""
) -> Release:
    """Let a version answer a share of the callers, told apart by their key or by the request's field ``by``.

    Takes the place of what is tried now. Raises ``LedgerError`` when the version cannot be tried,
    ``RequestError`` when the request has no such field.
    """
    chosen = triable(workspace.ledger, project, version)
    raw = (workspace.blobs.folder(chosen.digest) / MANIFEST).read_bytes()
    request = manifests.parse(orjson.loads(raw)).request
    names = {spelling: field.name for field in request.fields for spelling in (field.name, field.alias)}
    if by not in names and by not in ("", _KEY):
        problem = t(
            "The request has no field {field}. Its fields are: {known}.",
            field=by[:60],
            known=", ".join(names),
        )
        raise RequestError([{"field": "--by", "problem": problem}])
    facts = {"mode": "canary", "share": share, "by": names.get(by, "")}
    return _begin(workspace.ledger, chosen, who, why, facts)


def end(ledger: Ledger, project: str, *, who: str, why: str = "") -> Release:
    """End what is tried; raises ``LedgerError`` when nothing is."""
    release = ledger.standing(project, CHALLENGER)
    ended = ledger.end(release, who=who, why=why) if release is not None else None
    if ended is None:
        raise LedgerError(
            t("Nothing is tried beside the champion. `relevo challenge VERSION --shadow` begins.")
        )
    return ended


def strategy(ledger: Ledger, project: str) -> Strategy | None:
    """What is tried now."""
    release = ledger.standing(project, CHALLENGER)
    return Strategy.of(release) if release is not None and release.facts else None


def told(found: Strategy) -> str:
    """Say in one sentence what is tried."""
    if found.mode == "shadow":
        return t(
            "{version} as a shadow on at most {cpu:.0%} of a processor, since {since}",
            version=found.version,
            cpu=found.cpu,
            since=found.began_at[:19],
        )
    return t(
        "{version} as a canary for {share:.1%} of the callers by {by}, since {since}",
        version=found.version,
        share=found.share,
        by=found.by or t("key"),
        since=found.began_at[:19],
    )


def shadow_facts(cpu: float = CPU) -> dict[str, Any]:
    """What the release of a shadow says of how it is tried."""
    return {"mode": "shadow", "cpu": cpu}


def triable(ledger: Ledger, project: str, version: str) -> ModelVersion:
    """The version to try; raises ``NotTriableError`` when there is none, or it cannot be tried beside the champion."""
    champion = ledger.champion(project, CHAMPION)
    if champion is None:
        raise NotTriableError(t("There is no champion to try a version beside. `relevo promote` makes one."))
    chosen = ledger.version(project, version)
    if chosen is None:
        raise NotTriableError(
            t("There is no version {version}.", version=version) + " " + t("See `relevo versions`.")
        )
    if chosen.digest == champion.digest:
        raise NotTriableError(t("{version} is the champion. Try another beside it.", version=chosen.version))
    return chosen


def _begin(ledger: Ledger, chosen: ModelVersion, who: str, why: str, facts: dict[str, Any]) -> Release:
    return ledger.release(chosen.project, CHALLENGER, chosen.version, who=who, why=why, act=ACT, facts=facts)
