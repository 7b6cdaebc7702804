"""Pieces withheld: files and batches whose rows are not learned from, since something in them is broken.

They stay where they are, raw and clean; the decisions in the ledger say which are withheld, and which a person gave
back. A piece is known by the first 16 characters of its SHA-256, with which the ids of its rows begin.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from relevo.errors import LedgerError
from relevo.ids import uuid7
from relevo.records import Decision, now
from relevo.texts import t

if TYPE_CHECKING:
    from relevo.ledger import Ledger

WITHHOLD, GIVE_BACK = "quarantine", "give back"
LENGTH = 16
_ALL = 100_000


def withheld(ledger: Ledger, project: str, *, until: datetime | None = None) -> dict[str, Decision]:
    """The pieces that are withheld now, or were at a time, each with the decision that withheld it."""
    found: dict[str, Decision] = {}
    for decision in reversed(ledger.watch.decisions(project, limit=_ALL)):
        if until is not None and datetime.fromisoformat(decision.at) >= until:
            break
        pieces = decision.evidence.get("pieces", {})
        if decision.action == WITHHOLD:
            found |= dict.fromkeys(pieces, decision)
        elif decision.action == GIVE_BACK:
            for piece in pieces:
                found.pop(piece, None)
    return found


def give_back(ledger: Ledger, project: str, piece: str, *, who: str, why: str) -> Decision:
    """Let a piece be learned from again; it is not withheld anew for what it was withheld for.

    ``piece`` is its name, or how its digest begins. Raises ``LedgerError`` when no such piece is withheld.
    """
    held = withheld(ledger, project)
    names = {digest: str(one.evidence["pieces"][digest]) for digest, one in held.items()}
    chosen = [
        digest for digest, name in names.items() if piece and (name == piece or digest.startswith(piece))
    ]
    if len(chosen) != 1:
        known = ", ".join(f"{name} ({digest})" for digest, name in names.items()) or "-"
        raise LedgerError(
            t("“{piece}” is not one piece that is withheld. These are: {known}.", piece=piece, known=known)
        )
    digest = chosen[0]
    decision = Decision(
        id=uuid7(),
        project=project,
        at=now(),
        cause=held[digest].cause,
        action=GIVE_BACK,
        text=t("{who} gave {name} back: {why}", who=who, name=names[digest], why=why or "-"),
        evidence={"pieces": {digest: names[digest]}, "who": who},
        window=0,
    )
    return ledger.watch.decide(decision)
