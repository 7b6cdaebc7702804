"""What a story is about, found by what somebody typed."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from relevo.errors import LedgerError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.ledger import Ledger
    from relevo.why.known import Known

VERSION, RUN, ALERT, DECISION, WINDOW = "version", "run", "alert", "decision", "window"
SHOWN = 5
"""Ids that an error names."""
_LARGEST = 2**31 - 1  # number of a window


class Subject(NamedTuple):
    """What is asked about. ``kind`` is ``version``, ``run``, ``alert``, ``decision`` or ``window``."""

    kind: str
    id: str


def find(ledger: Ledger, known: Known, given: str) -> Subject:
    """Find what is meant; raises ``LedgerError`` naming what comes near when it is nothing, or several."""
    every = _ids(known)
    kind, mark, rest = given.strip().partition(":")
    if mark and kind in {*every, WINDOW}:
        every, wanted = {kind: every.get(kind, ())}, rest
    else:
        kind, wanted = "", given.strip()
    exact = [Subject(one, wanted) for one, ids in every.items() if wanted in ids]
    if kind in {"", WINDOW} and wanted.isdecimal() and wanted.isascii() and int(wanted) <= _LARGEST:
        window = ledger.watch.window(known.project, int(wanted))
        exact += [Subject(WINDOW, str(int(wanted)))] if window is not None else []
    begun = [
        Subject(one, full) for one, ids in every.items() for full in ids if wanted and full.startswith(wanted)
    ]
    found = exact or begun
    if len(found) == 1:
        return found[0]
    if found:
        raise LedgerError(
            t(
                "“{given}” may be any of these: {ids}. Write more of it, with its kind in front as here.",
                given=given,
                ids=_listed(found),
            )
        )
    raise LedgerError(_unknown(known, given, wanted, _ids(known)))


def _ids(known: Known) -> dict[str, Sequence[str]]:
    """The ids there are, of each kind the newest first."""
    return {
        VERSION: [one.version for one in known.versions],
        RUN: [one.id for one in known.runs],
        ALERT: [one.alert.id for one in known.alarms],
        DECISION: [one.id for one in known.decisions],
    }


def _unknown(known: Known, given: str, wanted: str, every: Mapping[str, Sequence[str]]) -> str:
    kinds = {identity: one for one, ids in every.items() for identity in ids}
    near = difflib.get_close_matches(wanted, kinds, SHOWN, cutoff=0.6)
    problem = t(
        "{project} has no version, run, alert, decision or window “{given}”.",
        project=known.project,
        given=given,
    )
    if near:
        return (
            problem + " " + t("Near it are: {ids}.", ids=_listed([Subject(kinds[one], one) for one in near]))
        )
    newest = [Subject(one, ids[0]) for one, ids in every.items() if ids]
    if newest:
        return problem + " " + t("The newest are: {ids}.", ids=_listed(newest))
    return problem + " " + t("Nothing was recorded yet; `relevo run` begins.")


def _listed(found: Sequence[Subject]) -> str:
    shown = ", ".join(f"{one.kind}:{one.id}" for one in found[:SHOWN])
    return f"{shown}, …" if len(found) > SHOWN else shown
