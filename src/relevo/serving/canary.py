"""A canary: a share of the callers is answered by the challenger, and by the champion wherever it fails.

A caller is told apart by their key, or by a field of the request; without either, by the request itself. Their
place between 0 and 1 is a hash of that and of the challenger's version: the same in every process, after every
restart, and when the share is raised those who were in stay in. No caller ever sees a failure of the canary:
whatever it is, the champion is asked, and it counts against the canary.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from relevo.serving.problems import Refusal
from relevo.serving.reading import logged, one_line, parse
from relevo.serving.turns import CHUNK
from relevo.texts import t
from relevo.watching import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relevo.records import Release, Strategy
    from relevo.serving.metrics import Metrics
    from relevo.serving.served import Row, Served, Told
    from relevo.serving.turns import Ask

    Settle = Callable[[Served, Sequence[Row], Sequence[bytes]], list[bytes]]
    Answers = list[bytes | Exception]

_WHOLE = 1 << 64
_log = logging.getLogger(__name__)


class Together(Protocol):
    """The champion's way to answer single requests; ``by`` stands in for it."""

    def __call__(self, asks: Sequence[Ask], by: Served | None = None) -> Answers:
        """Answer, with an error in place of an answer."""


class Fill(Protocol):
    """Puts a version's answers to some rows of a list in their places, and what is to be logged after ``told``."""

    def __call__(
        self,
        served: Served,
        received: Sequence[Any],
        places: Sequence[int],
        rows: Sequence[Row],
        answers: list[bytes],
        told: list[Told],
    ) -> None:
        """Answer."""


class Canary:
    """The challenger's version as it answers, under the strategy and the release that brought it.

    ``instead`` is the champion as it answers what the canary failed at: the same, but what it then does is
    not compared, for these requests are no fair sample of what it is asked.
    """

    def __init__(self, served: Served, strategy: Strategy, release: Release, metrics: Metrics) -> None:
        self.served = served
        self.strategy = strategy
        self.release = release
        self.instead: Served | None = None
        self._metrics = metrics
        self._salt = blake2b(f"{strategy.project} {strategy.version} ".encode(), digest_size=8)
        self._bound = round(strategy.share * _WHOLE)
        self._names = _spellings(served, strategy.by)
        self._said = ""

    def beside(self, champion: Served | None) -> None:
        """Say who answers what the canary fails at."""
        self.instead = copy.copy(champion) if champion is not None else None
        if self.instead is not None:
            self.instead.counts = Counts()

    def takes(self, caller: bytes, received: Mapping[str, Any]) -> bool:
        """Whether this is the canary's: by the strategy's field, the caller, or the request however it is spelled."""
        if self._names:
            value = next((received[name] for name in self._names if name in received), None)
            told = value.encode(errors="surrogatepass") if isinstance(value, str) else orjson.dumps(value)
        else:
            told = caller or orjson.dumps(received, option=orjson.OPT_SORT_KEYS)
        place = self._salt.copy()
        place.update(told)
        return int.from_bytes(place.digest(), "big") < self._bound

    def together(self, asks: Sequence[Ask], champion: Together, settle: Settle) -> Answers:
        """Answer single requests. What cannot be answered has the champion's error in place of the answer."""
        found: list[bytes | Exception | None] = [None] * len(asks)
        mine: list[int] = []
        rows: list[Row] = []
        fallen: list[int] = []
        for place, ask in enumerate(asks):
            row = self._row(ask.body, ask.caller)
            if isinstance(row, tuple):
                mine.append(place)
                rows.append(row)
            elif row:
                fallen.append(place)
        if rows:
            fallen += self._answer(mine, rows, asks, settle, found)
        if fallen:
            for place, one in zip(fallen, champion([asks[p] for p in fallen], self.instead), strict=True):
                found[place] = one
        rest = [place for place, one in enumerate(found) if one is None]
        if rest:
            for place, one in zip(rest, champion([asks[p] for p in rest]), strict=True):
                found[place] = one
        return found  # type: ignore[return-value]  # every place is filled

    def _row(self, body: bytes, caller: bytes) -> Row | bool:
        """The features of one of the canary's requests; True if it has none, False if it is not the canary's."""
        try:
            if caller and not self._names and not self.takes(caller, {}):
                return False
            received = parse(body)
            if not isinstance(received, dict) or not self.takes(caller, received):
                return False
        except (Refusal, ValueError, TypeError):  # no request for any version
            return False
        return self._features(received) or True

    def _features(self, received: Any, number: int | None = None) -> Row | None:
        try:
            return self.served.features(received, self._metrics, number)
        except Refusal:
            return None
        except Exception as error:  # noqa: BLE001 - counted; the champion answers
            self._say(error)
            return None

    def _answer(
        self,
        mine: Sequence[int],
        rows: Sequence[Row],
        asks: Sequence[Ask],
        settle: Settle,
        found: list[bytes | Exception | None],
    ) -> list[int]:
        """Answer rows with one call of the model; gives the places of those that have no answer."""
        try:
            requests = [logged(one_line(asks[place].body), asks[place].via) for place in mine]
            answers = settle(self.served, rows, requests)
        except Refusal as refusal:  # they could not be logged, nor could the champion's
            for place in mine:
                found[place] = refusal
            return []
        except Exception as error:  # noqa: BLE001 - counted; the champion answers
            self._say(error)
            return list(mine)
        for place, answer in zip(mine, answers, strict=True):
            found[place] = answer or None
        return [place for place in mine if found[place] is None]

    async def many(
        self, received: Sequence[Any], caller: bytes, fill: Fill, answers: list[bytes], told: list[Told]
    ) -> tuple[list[int], list[int]]:
        """Answer the canary's rows of a list; gives the places of the champion's, and of those it failed at."""
        rest: list[int] = []
        fallen: list[int] = []
        mine: list[int] = []
        rows: list[Row] = []
        for place, one in enumerate(received):
            if place % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
            if not isinstance(one, dict) or not self.takes(caller, one):
                rest.append(place)
                continue
            row = self._features(one, place)
            if row is None:
                fallen.append(place)
            else:
                mine.append(place)
                rows.append(row)
        for start in range(0, len(rows), CHUNK):
            chunk = slice(start, start + CHUNK)
            try:
                fill(self.served, received, mine[chunk], rows[chunk], answers, told)
            except Exception as error:  # noqa: BLE001 - counted; the champion answers
                self._say(error)
            await asyncio.sleep(0)
        return rest, fallen + [place for place in mine if not answers[place]]

    def _say(self, error: Exception) -> None:
        """Log a failure, once for each kind."""
        if type(error).__name__ != self._said:
            self._said = type(error).__name__
            _log.error(
                "%s", t("Version {version} fails as a canary.", version=self.strategy.version), exc_info=error
            )


def _spellings(served: Served, by: str) -> tuple[str, ...]:
    """The names under which a request may have the field; none when callers are told apart by key."""
    if not by:
        return ()
    field = served.package.request[by]
    return field.alias, field.name
