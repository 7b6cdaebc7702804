"""The client that waits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import httpx

from relevo.client import calls, retries
from relevo.client.retries import Tries
from relevo.client.scoring import Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relevo.client.answers import Answer, Kept, Label, Recommended
    from relevo.client.calls import Call, Row

T = TypeVar("T")


class Client:
    """Asks the service at ``url``; ``key`` is sent as bearer token, ``RELEVO_API_KEY`` without it.

    ``timeout`` is of silence, in seconds. A question is asked at most ``tries`` times within ``patience`` seconds:
    again when no connection was made, and after 429 and 503 when their ``Retry-After`` is over. Where an answer was
    lost on the way, only questions are asked again that leave no trace, unless ``repeat`` lets a prediction
    be logged twice. ``verify`` and ``transport`` are httpx's. ``language`` (en, es) is what refusals and explanations
    are asked for in. Every method raises ``ServiceError``.
    """

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = retries.settings(url, timeout, tries, patience, repeat=repeat)
        self._http = httpx.Client(
            headers=retries.headers(key, language), timeout=timeout, verify=verify, transport=transport
        )

    def __repr__(self) -> str:
        return f"Client({self._settings.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @overload
    def predict(self, rows: Row) -> Answer: ...
    @overload
    def predict(self, rows: Sequence[Row]) -> list[Answer]: ...
    def predict(self, rows: Row | Sequence[Row]) -> Answer | list[Answer]:
        """Answer one row, or several in the same order."""
        found: Answer | list[Answer] = self._ask(calls.predict(rows, repeat=self._settings.repeat))
        return found

    @overload
    def explain(self, rows: Row, *, log: bool = True) -> Answer: ...
    @overload
    def explain(self, rows: Sequence[Row], *, log: bool = True) -> list[Answer]: ...
    def explain(self, rows: Row | Sequence[Row], *, log: bool = True) -> Answer | list[Answer]:
        """Answer as ``predict`` does, with what each field adds in ``explanation``; without ``log`` no prediction is.

        An answer that is not logged has no id.
        """
        call = calls.predict(rows, repeat=self._settings.repeat, explain=True, log=log)
        found: Answer | list[Answer] = self._ask(call)
        return found

    def recommend(self, identity: object, k: int | None = None) -> list[Recommended]:
        """Name the ``k`` likeliest items, as many as the project says by default."""
        return self._ask(calls.recommend(identity, k, repeat=self._settings.repeat))

    def label(self, labels: Iterable[Label | Mapping[str, Any]]) -> list[Kept]:
        """Tell what came of predictions; the same label twice counts once. Gives each as it is kept."""
        return self._ask(calls.label(labels))

    def model(self) -> dict[str, Any]:
        """Describe the version that answers."""
        return self._ask(calls.model())

    def ready(self) -> bool:
        """Whether there is a version that answers; raises ``ServiceError`` when the service is away."""
        return self._ask(calls.ready())

    def score(self, source: str | Path, target: str | Path, format: str | None = None) -> int | None:  # noqa: A002 - the usual word
        """Stream a file (csv, jsonl, arrow) through the service into another; returns the rows, None for Arrow.

        A stream of CSV or JSON lines that breaks goes on after the last whole row, one of Arrow begins anew.
        What was scored but lost on the way is logged twice. ``target`` appears when all is there.
        """
        tries = Tries(self._settings, safe=True)
        scored = Scored(Path(source), Path(target), format)
        try:
            while True:
                rows = scored.rows
                try:
                    wait = self._stream(scored, tries)
                except httpx.RequestError as error:
                    tries.streamed(scored.under_way)
                    if scored.rows > rows:
                        tries.again()
                    wait = tries.failed(error)
                if wait is None:
                    scored.finish()
                    return scored.counted
                time.sleep(wait)
        finally:
            scored.close()

    def _stream(self, scored: Scored, tries: Tries) -> float | None:
        """Send the source once; gives seconds to wait when the service refused, None when all was answered."""
        scored.rewind()
        sent = {"content-type": scored.media, "accept": scored.media}
        with self._http.stream(
            "POST",
            f"{self._settings.url}/v1/score",
            params=scored.query(),
            headers=sent,
            content=_pieces(scored),
        ) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                tries.streamed(scored.under_way)
                return tries.after(response)
            scored.begin(response.headers.get("x-relevo-version", ""))
            for data in response.iter_bytes():
                scored.add(data)
        return None

    def _ask(self, call: Call[T]) -> T:
        tries = Tries(self._settings, safe=call.safe)
        while True:
            try:
                response = self._http.request(
                    call.method, self._settings.url + call.path, params=call.query, content=call.body
                )
            except httpx.RequestError as error:
                wait = tries.failed(error)
            else:
                if response.status_code in call.accepted:
                    return retries.read(call, response, self._settings.url)
                wait = tries.after(response)
            time.sleep(wait)


def _pieces(scored: Scored) -> Iterator[bytes]:
    while piece := scored.read():
        yield piece
