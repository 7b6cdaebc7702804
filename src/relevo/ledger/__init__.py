"""The ledger: what was done, what was registered, and what was released, in one database."""

from relevo.ledger.ledger import Ledger

__all__ = ["Ledger"]
