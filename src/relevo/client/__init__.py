"""Asking a service from a program: ``relevo.Client`` and ``relevo.AsyncClient``.

The two share all that is no input or output: what is sent, what is read of an answer, and when to try again.
"""

# ruff: noqa: E402 - what is missing is said before it is imported
from relevo.extras import need

need("httpx", "client")

from relevo.client.answers import Answer, Kept, Label, Recommended
from relevo.client.awaiting import AsyncClient
from relevo.client.blocking import Client

__all__ = ["Answer", "AsyncClient", "Client", "Kept", "Label", "Recommended"]
