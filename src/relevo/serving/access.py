"""Who may ask: keys from the ledger and tokens of an identity provider, each checked once and then remembered.

What a caller presents is looked up by a digest that is keyed with a secret of this process (BLAKE2b), so that
neither the memory nor the time of a look-up tells anything of it. Only what is new costs scrypt's 40 ms or a
signature's check, in a thread of its own, and only a few of those may wait.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING

from relevo import keys
from relevo.serving.callers import Caller
from relevo.serving.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from relevo.records import ApiKey
    from relevo.serving.tokens import Tokens
    from relevo.workspace import Workspace

_REMEMBERED = 4096  # callers, and as many that were refused
_WAITING = 16  # checks that may wait for one another
_LONGEST = 8192  # bytes of what is presented
_REFUSED = 10.0  # seconds that a refusal is remembered: a token may be good a moment later


class Access:
    """Knows the callers. ``required`` once a key was made, or where tokens are taken; anyone may ask before."""

    def __init__(
        self,
        workspace: Workspace,
        project: str,
        tokens: Tokens | None,
        *,
        rate: float | None = None,
        concurrency: int | None = None,
    ) -> None:
        self.required = tokens is not None
        self.generation = 0
        """Rises when everyone must be checked anew."""
        self._workspace, self._project = workspace, project
        self._tokens = tokens
        self._rate, self._concurrency = rate, concurrency
        self._anyone = Caller("", rate=rate, concurrency=concurrency)
        self._keys: dict[str, ApiKey] = {}
        self._state: tuple[int, int] | None = None
        self._secret = os.urandom(32)
        self._known: dict[bytes, Caller] = {}
        self._refused: set[bytes] = set()
        self._pardoned = 0.0
        self._checks: dict[tuple[int, bytes], asyncio.Future[Caller | None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="relevo-access")

    @property
    def closed(self) -> bool:
        """Whether a key or token is needed: also until the ledger was asked, since there may be keys."""
        return self.required or self._state is None

    def look(self, *, still: bool = False) -> bool:
        """Ask for the keys of tokens, and the ledger for its own; whether they changed: callers are checked anew then.

        ``still`` says that nothing was committed since it was asked last. Raises ``LedgerError`` when the ledger is
        away: those who are known stay known, and the keys of tokens are those of now all the same.
        """
        if time.monotonic() - self._pardoned >= _REFUSED:
            self._refused, self._pardoned = set(), time.monotonic()
        changed = self._tokens is not None and self._tokens.look()
        if changed:
            self.forget()
        return (not still and self._read()) or changed

    def _read(self) -> bool:
        """Read the keys if they are others; whether they are."""
        ring = self._workspace.ledger.keys
        state = ring.state(self._project)
        if state == self._state:
            return False
        found, before = {key.id: key for key in ring.all(self._project)}, self._keys
        self._keys, self._state = found, state
        self.required = self.required or bool(found)
        self.forget({_name(key) for key in found.values() if before.get(key.id) == key})
        return True

    def forget(self, but: Container[str] = ()) -> None:
        """Check everyone anew but callers whose key is the same as ever."""
        known = dict(self._known)  # in one step: the event loop may add to it meanwhile
        self._known = {digest: caller for digest, caller in known.items() if caller.id in but}
        self._refused = set()
        self.generation += 1  # last: what was found by what is forgotten must not count as of now

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def admit(self, headers: Iterable[tuple[bytes, bytes]], scope: str) -> Caller:
        """Tell who asks and see that they may; raises ``Refusal`` when they may not."""
        if not self.closed:
            return self._anyone
        presented = _presented(headers)
        if presented is None:
            raise Refusal("no-key")
        caller = await self._whose(presented)
        if caller.until <= time.time():
            raise Refusal("bad-key")
        if not caller.may(scope):
            raise Refusal("scope", scope=scope)
        return caller

    async def _whose(self, presented: bytes) -> Caller:
        digest = blake2b(presented, key=self._secret, digest_size=16).digest()
        caller = self._known.get(digest)
        if caller is not None:
            return caller
        if digest in self._refused:
            raise Refusal("bad-key")
        known, refused = self._known, self._refused
        caller = await self._checked((self.generation, digest), presented)
        if caller is None:
            if len(refused) >= _REMEMBERED:
                refused.clear()
            refused.add(digest)
            raise Refusal("bad-key")
        if len(known) >= _REMEMBERED:
            known.clear()
        known[digest] = caller  # among those of the keys that were in force when it was checked
        return caller

    async def _checked(self, one: tuple[int, bytes], presented: bytes) -> Caller | None:
        """Check in the thread, once for all who present the same at once; raises ``Refusal``."""
        check = self._checks.get(one)
        if check is None:
            if len(self._checks) >= _WAITING:
                raise Refusal("busy")
            loop = asyncio.get_running_loop()
            check = self._checks[one] = loop.run_in_executor(self._thread, self._check, presented)
            check.add_done_callback(lambda _: self._checks.pop(one))
        return await asyncio.shield(check)

    def _check(self, presented: bytes) -> Caller | None:
        try:
            text = presented.decode("ascii")
        except UnicodeDecodeError:
            return None
        parts = keys.split(text)
        if parts is None:
            found = self._tokens.caller(text) if self._tokens is not None else None
            return found and Caller(
                found.id, found.scopes, found.until, rate=self._rate, concurrency=self._concurrency
            )
        identity, secret = parts
        key = self._keys.get(identity)
        if key is None or key.revoked_at or not keys.matches(key, secret):
            return None
        return Caller(
            _name(key),
            frozenset(key.scopes),
            datetime.fromisoformat(key.expires_at).timestamp() if key.expires_at else inf,
            rate=self._rate if key.rate is None else key.rate,
            concurrency=self._concurrency if key.concurrency is None else key.concurrency,
        )


def _name(key: ApiKey) -> str:
    return f"key:{key.id}"


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key or token, of ``Authorization: Bearer`` (RFC 6750) or ``X-API-Key``; raises ``Refusal`` on two."""
    found = []
    for name, value in headers:
        if name == b"authorization":
            kind, _, rest = value.partition(b" ")
            found.append(rest.strip() if kind.lower() == b"bearer" else b"")
        elif name == b"x-api-key":
            found.append(value.strip())
    if not found:
        return None
    if len(found) > 1 or not found[0] or len(found[0]) > _LONGEST:
        raise Refusal("bad-key")
    return found[0]
