"""Renewal: what follows from what was watched, and doing it."""

from relevo.renewal.pending import Waiting, waiting_runs
from relevo.renewal.renew import carry_out, renew

__all__ = ["Waiting", "carry_out", "renew", "waiting_runs"]
