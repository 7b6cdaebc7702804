"""Replay: ask the logged predictions again, of another version, and say which decisions it would have changed.

Every request goes the way it went when it was asked: the version's contract, its features, its model. Histories are
looked up as they were known at the prediction's own time. Memory does not grow with the number of predictions.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from relevo import asof, validation
from relevo.bounds import interval
from relevo.errors import RequestError
from relevo.journal import PREDICTIONS, segments
from relevo.lake import explained
from relevo.online import FeatureError
from relevo.package.values import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

    from relevo.package import ModelPackage
    from relevo.workspace import Workspace

CHUNK = 10_000
COSTLIEST = 20
LEVELS = 1_000
"""Values of a field beyond which it is no category."""
SHOWN_LEVELS = 12
_REASONS = 1_000
_TO_NO, _TO_YES = 1, 2


class Logged(NamedTuple):
    """A prediction as it was answered; ``at`` is UTC."""

    id: str
    at: datetime
    version: str
    probability: float
    decision: bool
    request: Any
    """As the client wrote it; text of JSON, or parsed."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The predictions whose ``field`` is ``value``, and how many decisions change there; 95 % interval of the share."""

    field: str
    value: Any
    rows: int
    to_yes: int
    to_no: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What a version would have done. ``own`` predictions were its own and are left out, ``refused`` it cannot answer.

    ``share`` of the ``rows`` it answers would be decided otherwise, with its 95 % interval. ``costliest`` are
    the changes with the greatest ``stake``: ``by`` ``cost``, what the change costs on average if the
    probability answered then is right, or ``by`` ``probability``, how far that moves.
    """

    version: str
    since: str
    rows: int
    own: int
    refused: int
    reasons: Mapping[str, int]
    to_yes: int
    to_no: int
    share: float
    low: float
    high: float
    by: str
    costliest: Sequence[Mapping[str, Any]]
    slices: Sequence[Slice]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def replay(
    workspace: Workspace,
    package: ModelPackage,
    version: str,
    since: datetime,
    *,
    bind: Callable[[DuckDBPyConnection], None] | None = None,
) -> Replay:
    """Ask what was answered since ``since`` (UTC) again. ``bind`` makes the package's histories on a connection.

    Raises ``WorkspaceError`` when the lake cannot be read, ``DataError`` when a history cannot be made.
    """
    name = package.manifest.project
    with explained(workspace.lake.root), workspace.lake.connect() as connection:
        if bind is not None:
            bind(connection)
        sums = _Sums(package)
        with ExitStack() as held:
            for part in _chunks(_logged(workspace, connection, name, since, held)):
                others = [one for one in part if one.version != version]
                sums.own += len(part) - len(others)
                if others:
                    again = asked_again(connection, package, others, sums.refuse)
                    sums.add(again.logged, again.requests, again.probability)
    return sums.result(version, since)


def _logged(
    workspace: Workspace, connection: DuckDBPyConnection, project: str, since: datetime, held: ExitStack
) -> Iterator[Logged]:
    """What is in the lake, then what is still in the journal; none twice and none left out.

    Segments are opened before the lake is read at one version of it: one that is collected meanwhile is
    read from the file still open, one that was collected before is known to that version by its name.
    """
    opened = []
    for path in segments(workspace.logs):
        with suppress(FileNotFoundError):
            opened.append((path.stem, held.enter_context(path.open("rb"))))
    lake, version = workspace.lake, -1
    if lake.exists(PREDICTIONS):
        version = lake.version(PREDICTIONS)
        lake.bind(connection, PREDICTIONS, as_="_predictions", version=version)
        query = """select id, "at", version, probability, decision, request from _predictions
                   where project = ? and "at" >= ?"""
        rows = connection.cursor().execute(query, [project, since.replace(tzinfo=None)])
        while part := rows.fetchmany(CHUNK):
            yield from map(Logged._make, part)
    for name, file in opened:
        done = lake.done(PREDICTIONS, name) if version >= 0 else None
        if done is None or done > version:
            yield from _lines(file, os.fstat(file.fileno()).st_size, project, since)


def _lines(file: Any, size: int, project: str, since: datetime) -> Iterator[Logged]:
    begin = since.replace(tzinfo=None)
    while file.tell() < size and (line := file.readline()).endswith(b"\n"):
        try:
            row = orjson.loads(line)
            at = datetime.fromisoformat(row["at"]).astimezone(UTC).replace(tzinfo=None)
            if row["project"] == project and at >= begin:
                answered = float(row["probability"]), bool(row["decision"])
                yield Logged(str(row["id"]), at, str(row["version"]), *answered, row["request"])
        except (ValueError, KeyError, TypeError):
            continue  # `relevo collect` keeps it aside and says so


def _chunks(logged: Iterable[Logged]) -> Iterator[list[Logged]]:
    part: list[Logged] = []
    for one in logged:
        part.append(one)
        if len(part) == CHUNK:
            yield part
            part = []
    if part:
        yield part


class Again(NamedTuple):
    """n predictions that could be answered again: as they were logged, their requests and features, and the answers."""

    logged: list[Logged]
    requests: list[Mapping[str, Any]]
    rows: list[tuple[Any, ...]]
    probability: NDArray[np.float64]


def asked_again(
    connection: DuckDBPyConnection,
    package: ModelPackage,
    part: Sequence[Logged],
    refuse: Callable[[str, int], None],
) -> Again:
    """Answer what can be answered; ``refuse`` is told the field that is in the way, and of how many.

    The package's histories must be bound on the connection under their names.
    """
    valid: list[tuple[Logged, Mapping[str, Any]]] = []
    for one in part:
        try:
            read = orjson.loads(one.request) if isinstance(one.request, str) else one.request
            valid.append((one, validation.validate(package.validators, read)))
        except orjson.JSONDecodeError:
            refuse("body", 1)
        except RequestError as error:
            refuse(str(error.problems[0]["field"]), 1)
    seen: Sequence[asof.Asked] | None = None
    if package.histories:
        seen = asof.look_up(connection, package, [(request, _local(one.at)) for one, request in valid])
    found = Again([], [], [], np.empty(0))
    for place, (one, request) in enumerate(valid):
        try:
            found.rows.append(package.features(request, seen[place].histories if seen else None))
        except FeatureError as error:
            refuse(error.feature or "body", 1)
        else:
            found.logged.append(one)
            found.requests.append(request)
    probability = package.score(found.rows) if found.rows else np.empty(0)
    known = np.isfinite(probability)
    if known.all():
        return found._replace(probability=probability)
    refuse("body", int((~known).sum()))
    kept = np.flatnonzero(known).tolist()
    return Again(
        [found.logged[place] for place in kept],
        [found.requests[place] for place in kept],
        [found.rows[place] for place in kept],
        probability[known],
    )


def _local(at: datetime) -> datetime:
    """The clock on the wall here, as times in rows are."""
    return at.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


class _Sums:
    """What is counted while predictions pass by."""

    def __init__(self, package: ModelPackage) -> None:
        self.own = 0
        self._package = package
        self._reasons: Counter[str] = Counter()
        self._outcomes = np.zeros(3, np.int64)
        self._stake, self._by = _stakes(package)
        self._heap: list[tuple[float, str, dict[str, Any]]] = []
        self._levels: dict[str, Counter[tuple[Any, int]]] = {
            field.name: Counter()
            for field in package.request.fields
            if field.type in ("text", "boolean") or field.choices is not None
        }

    def refuse(self, field: str, count: int = 1) -> None:
        """Count requests that the version cannot answer, by the first field that is in the way."""
        self._reasons[field if len(self._reasons) < _REASONS else "…"] += count

    def add(
        self,
        logged: Sequence[Logged],
        requests: Sequence[Mapping[str, Any]],
        probability: NDArray[np.float64],
    ) -> None:
        """Count what the version says of some predictions."""
        yes = np.array([one.decision for one in logged], np.bool_)
        now = probability >= self._package.threshold
        outcome = np.where(yes == now, 0, np.where(yes, _TO_NO, _TO_YES))
        self._outcomes += np.bincount(outcome, minlength=3)
        codes = outcome.tolist()
        for name, counter in list(self._levels.items()):
            counter.update(zip((request[name] for request in requests), codes, strict=True))
            if len({value for value, _ in counter}) > LEVELS:
                del self._levels[name]
        for place in np.flatnonzero(outcome).tolist():
            self._keep(logged[place], requests[place], float(probability[place]))

    def _keep(self, one: Logged, request: Mapping[str, Any], probability: float) -> None:
        """Keep a changed decision if it is among the costliest so far."""
        before, decision = one.probability, not one.decision
        stake = self._stake(before, probability, decision)
        if len(self._heap) == COSTLIEST and stake <= self._heap[0][0]:
            return
        shown = {
            "id": one.id,
            "at": f"{one.at.isoformat(timespec='microseconds')}+00:00",
            "version": one.version,
            "probability_then": before,
            "decision_then": one.decision,
            "probability": probability,
            "decision": decision,
            "stake": stake,
            "request": {field: to_json(value) for field, value in request.items()},
        }
        heapq.heappush(self._heap, (stake, one.id, shown))
        if len(self._heap) > COSTLIEST:
            heapq.heappop(self._heap)

    def result(self, version: str, since: datetime) -> Replay:
        """All of it."""
        rows, to_no, to_yes = int(self._outcomes.sum()), *(int(n) for n in self._outcomes[1:])
        low, high = interval(to_no + to_yes, rows)
        return Replay(
            version=version,
            since=since.isoformat(timespec="seconds"),
            rows=rows,
            own=self.own,
            refused=self._reasons.total(),
            reasons=dict(self._reasons.most_common()),
            to_yes=to_yes,
            to_no=to_no,
            share=(to_no + to_yes) / rows if rows else 0.0,
            low=low,
            high=high,
            by=self._by,
            costliest=[shown for *_, shown in sorted(self._heap, key=lambda one: (-one[0], one[1]))],
            slices=[one for name, counter in self._levels.items() for one in _slices(name, counter)],
        )


def _slices(name: str, counter: Counter[tuple[Any, int]]) -> list[Slice]:
    """The most frequent values of a field."""
    rows: Counter[Any] = Counter()
    for (value, _), count in counter.items():
        rows[value] += count
    found = []
    for value, count in rows.most_common(SHOWN_LEVELS):
        to_no, to_yes = counter[value, _TO_NO], counter[value, _TO_YES]
        low, high = interval(to_no + to_yes, count)
        found.append(
            Slice(
                field=name,
                value=value,
                rows=count,
                to_yes=to_yes,
                to_no=to_no,
                share=(to_no + to_yes) / count,
                low=low,
                high=high,
            )
        )
    return found


def _stakes(package: ModelPackage) -> tuple[Callable[[float, float, bool], float], str]:
    """What a changed decision is worth, of the probabilities then and now and the decision now."""
    rule = package.manifest.decision
    if rule["rule"] != "costs":
        return (lambda before, probability, _: abs(probability - before)), "probability"

    def cost(before: float, _: float, decision: bool) -> float:  # noqa: FBT001 - one of three of a kind
        yes = before * rule["true_positive"] + (1 - before) * rule["false_positive"]
        no = before * rule["false_negative"] + (1 - before) * rule["true_negative"]
        return float(yes - no if decision else no - yes)

    return cost, "cost"
