"""Why: how a version, an alert, a run, a decision or a window came about, and what became of it, as one story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relevo.why import story
from relevo.why.chain import follow
from relevo.why.known import Known, details
from relevo.why.subject import find

if TYPE_CHECKING:
    from relevo.ledger import Ledger
    from relevo.why.event import Event

__all__ = ["why"]


def why(ledger: Ledger, project: str, about: str) -> list[Event]:
    """Tell what led to something and what followed from it, in order of time, in the language in force.

    ``about`` is a version, the number of a window, or an id of an alert, a run or a decision, or how one begins;
    ``run:01a1`` says which of these is meant. Raises ``LedgerError`` when it is none of them, or several.
    """
    known = Known.read(ledger, project)
    subject = find(ledger, known, about)
    chain = follow(known, subject)
    return story.tell(known, details(ledger, known, chain), subject, chain)
