"""The client that is awaited, on asyncio or Trio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import anyio
import httpx
from anyio.to_thread import run_sync

from relevo.client import calls, retries
from relevo.client.retries import Tries
from relevo.client.scoring import Scored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from relevo.client.answers import Answer, Kept, Label, Recommended
    from relevo.client.calls import Call, Row

T = TypeVar("T")


class AsyncClient:
    """As ``Client``, to be awaited."""

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        timeout: float = 10.0,
        tries: int = 5,
        patience: float = 30.0,
        repeat: bool = False,
        verify: Any = True,
        language: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = retries.settings(url, timeout, tries, patience, repeat=repeat)
        self._http = httpx.AsyncClient(
            headers=retries.headers(key, language), timeout=timeout, verify=verify, transport=transport
        )

    def __repr__(self) -> str:
        return f"AsyncClient({self._settings.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @overload
    async def predict(self, rows: Row) -> Answer: ...
    @overload
    async def predict(self, rows: Sequence[Row]) -> list[Answer]: ...
    async def predict(self, rows: Row | Sequence[Row]) -> Answer | list[Answer]:
        """As ``Client.predict``."""
        found: Answer | list[Answer] = await self._ask(calls.predict(rows, repeat=self._settings.repeat))
        return found

    @overload
    async def explain(self, rows: Row, *, log: bool = True) -> Answer: ...
    @overload
    async def explain(self, rows: Sequence[Row], *, log: bool = True) -> list[Answer]: ...
    async def explain(self, rows: Row | Sequence[Row], *, log: bool = True) -> Answer | list[Answer]:
        """As ``Client.explain``."""
        call = calls.predict(rows, repeat=self._settings.repeat, explain=True, log=log)
        found: Answer | list[Answer] = await self._ask(call)
        return found

    async def recommend(self, identity: object, k: int | None = None) -> list[Recommended]:
        """As ``Client.recommend``."""
        return await self._ask(calls.recommend(identity, k, repeat=self._settings.repeat))

    async def label(self, labels: Iterable[Label | Mapping[str, Any]]) -> list[Kept]:
        """As ``Client.label``."""
        return await self._ask(calls.label(labels))

    async def model(self) -> dict[str, Any]:
        """As ``Client.model``."""
        return await self._ask(calls.model())

    async def ready(self) -> bool:
        """As ``Client.ready``."""
        return await self._ask(calls.ready())

    async def score(self, source: str | Path, target: str | Path, format: str | None = None) -> int | None:  # noqa: A002 - the usual word
        """As ``Client.score``."""
        tries = Tries(self._settings, safe=True)
        scored = Scored(Path(source), Path(target), format)
        try:
            while True:
                rows = scored.rows
                try:
                    wait = await self._stream(scored, tries)
                except httpx.RequestError as error:
                    tries.streamed(scored.under_way)
                    if scored.rows > rows:
                        tries.again()
                    wait = tries.failed(error)
                if wait is None:
                    await run_sync(scored.finish)
                    return scored.counted
                await anyio.sleep(wait)
        finally:
            scored.close()

    async def _stream(self, scored: Scored, tries: Tries) -> float | None:
        scored.rewind()
        sent = {"content-type": scored.media, "accept": scored.media}
        async with self._http.stream(
            "POST",
            f"{self._settings.url}/v1/score",
            params=scored.query(),
            headers=sent,
            content=_pieces(scored),
        ) as response:
            if response.status_code != httpx.codes.OK:
                await response.aread()
                tries.streamed(scored.under_way)
                return tries.after(response)
            scored.begin(response.headers.get("x-relevo-version", ""))
            async for data in response.aiter_bytes():
                await run_sync(scored.add, data)
        return None

    async def _ask(self, call: Call[T]) -> T:
        tries = Tries(self._settings, safe=call.safe)
        while True:
            try:
                response = await self._http.request(
                    call.method, self._settings.url + call.path, params=call.query, content=call.body
                )
            except httpx.RequestError as error:
                wait = tries.failed(error)
            else:
                if response.status_code in call.accepted:
                    return retries.read(call, response, self._settings.url)
                wait = tries.after(response)
            await anyio.sleep(wait)


async def _pieces(scored: Scored) -> AsyncIterator[bytes]:
    while piece := await run_sync(scored.read):
        yield piece
