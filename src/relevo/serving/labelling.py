"""``POST /v1/labels``: what came true of predictions, checked, and in a journal of its own before the answer.

A label names its prediction by id, or by fields of the request and the time by which it was asked. The same
label twice has the same id and counts once; another outcome for the same prediction is a correction.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic_core import ValidationError

from relevo import clock, defects, validation
from relevo.defects import SHOWN, Defect
from relevo.errors import WorkspaceError
from relevo.package.values import to_json
from relevo.serving.problems import Refusal
from relevo.serving.reading import parse
from relevo.serving.turns import CHUNK

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator
    from starlette.types import Scope

    from relevo.contract import Field
    from relevo.journal import Journal
    from relevo.package import ModelPackage
    from relevo.serving.metrics import Metrics
    from relevo.serving.predict import Predict

FIELDS = ("id", "key", "time", "outcome", "at")
AHEAD = timedelta(seconds=60)
"""How far a caller's clock may be ahead."""
_LONGEST = 40  # characters of a moment
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""A prediction's id: UUIDv7."""
_log = logging.getLogger(__name__)


class _Rules(NamedTuple):
    """What labels of one package must look like: each field of the request by its spellings."""

    package: ModelPackage
    fields: dict[str, tuple[Field, SchemaValidator]]


class Labeller:
    """The route, for the project that ``predict`` serves."""

    def __init__(
        self, predict: Predict, journal: Journal, metrics: Metrics, project: str, *, max_rows: int
    ) -> None:
        self._predict, self._journal, self._metrics = predict, journal, metrics
        self._project, self._max_rows = project, max_rows
        self._rules: _Rules | None = None

    async def asked(self, body: bytes, _scope: Scope) -> bytes:
        """Keep one label or a list, all of them or none; raises ``Refusal``."""
        received = parse(body)
        rules = self._of(self._predict.serving().package)
        if isinstance(received, list):
            found = await self._many(rules, received)
        else:
            found = [_read(rules, received, None)]
            _refuse([defect for _, defects_ in found for defect in defects_])
        now = clock.now()
        kept = []
        for place, (label, _) in enumerate(found):
            if place % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
            # of two about one prediction the later in the list came later
            kept.append(self._entry(rules.package, label, now + timedelta(microseconds=place)))
        try:
            self._journal.write(b"".join(orjson.dumps(one) + b"\n" for one in kept))
        except WorkspaceError as error:
            _log.error("%s", error)
            raise Refusal("not-logged") from error
        for one in kept:
            self._metrics.labels[one["label"]] += 1
        shown = [{name: one[name] for name in ("id", "received_at", "outcome", "label")} for one in kept]
        return orjson.dumps(shown if isinstance(received, list) else shown[0])

    def _of(self, package: ModelPackage) -> _Rules:
        if self._rules is None or self._rules.package is not package:
            fields: dict[str, tuple[Field, SchemaValidator]] = {}
            for field in package.request.fields:
                one = validation.build(replace(package.request, fields=(field,))).one
                fields |= {field.name: (field, one), field.alias: (field, one)}
            self._rules = _Rules(package, fields)
        return self._rules

    async def _many(self, rules: _Rules, received: list[Any]) -> list[tuple[dict[str, Any], list[Defect]]]:
        if len(received) > self._max_rows:
            raise Refusal("too-many-rows", limit=self._max_rows)
        found, wrong = [], [] if received else [Defect(None, "body", "empty", {})]
        for number, one in enumerate(received):
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
            found.append(_read(rules, one, number))
            wrong += found[-1][1]
            if len(wrong) > SHOWN:
                break
        _refuse(wrong)
        return found

    def _entry(self, package: ModelPackage, label: dict[str, Any], now: datetime) -> dict[str, Any]:
        """A label as the journal has it; its id says what it says of what, not when it came."""
        identity = sha256(orjson.dumps([self._project, label])).hexdigest()[:32]
        return {
            "id": identity,
            "received_at": now.isoformat(timespec="microseconds"),
            "project": self._project,
            **label,
            "label": package.labels[label["outcome"]],
        }


def _refuse(wrong: list[Defect]) -> None:
    if wrong:
        raise Refusal("contract", defects=wrong[:SHOWN], more=len(wrong) > SHOWN)


def _read(rules: _Rules, received: Any, row: int | None) -> tuple[dict[str, Any], list[Defect]]:
    """Read one label; returns it with all that is wrong with it."""
    if not isinstance(received, dict):
        return {}, [Defect(row, "body", "label_object", {})]
    wrong: list[Defect] = []

    def refuse(field: str, kind: str, **limits: Any) -> None:
        wrong.append(Defect(row, field, kind, limits))

    for name in received:
        if name not in FIELDS:
            refuse(name, "label_field")
    label: dict[str, Any] = {"prediction": None, "key": None, "time": None}
    if "id" in received and not {"key", "time"} & received.keys():
        identity = received["id"]
        label["prediction"] = identity.lower() if isinstance(identity, str) else ""
        if not ID.fullmatch(label["prediction"]):
            refuse("id", "label_id")
    elif "id" not in received and {"key", "time"} <= received.keys():
        label["key"], found = _key(rules, received["key"], row)
        wrong += found
        label["time"] = _moment(received["time"], "time", refuse)
    else:
        refuse("id", "label_of")
    negative, positive = rules.package.labels
    outcome = received.get("outcome")
    label["outcome"] = outcome if isinstance(outcome, bool) else outcome == positive
    if not isinstance(outcome, bool) and outcome not in (negative, positive):
        refuse("outcome", "label_outcome", negative=negative, positive=positive)
    label["at"] = None if received.get("at") is None else _moment(received["at"], "at", refuse)
    return label, wrong


def _key(rules: _Rules, received: Any, row: int | None) -> tuple[dict[str, Any], list[Defect]]:
    """Read fields of a request, each as the contract has it, by their aliases in order."""
    if not isinstance(received, dict) or not received:
        return {}, [Defect(row, "key", "label_key", {})]
    found: dict[str, Any] = {}
    wrong: list[Defect] = []
    for name, value in received.items():
        if name not in rules.fields:
            wrong.append(Defect(row, name, "extra_forbidden", {}))
            continue
        field, one = rules.fields[name]
        if field.alias in found:
            wrong.append(Defect(row, name, "label_twice", {}))
            continue
        try:
            found[field.alias] = to_json(one.validate_python({field.alias: value})[field.name])
        except ValidationError as error:
            wrong += defects.of(error, row)
    return dict(sorted(found.items())), wrong


def _moment(received: Any, field: str, refuse: Any) -> str | None:
    """Read a moment that is not in the future, as UTC."""
    found = None
    if isinstance(received, str) and len(received) <= _LONGEST:
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(received)
            found = moment.astimezone(UTC) if moment.tzinfo else None
    if found is None:
        refuse(field, "label_moment")
        return None
    if found > clock.now() + AHEAD:
        refuse(field, "label_future")
        return None
    return found.isoformat(timespec="microseconds")
