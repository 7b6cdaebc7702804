"""``GET /v1/recommend/{id}``: the likeliest items for one value, scored by the one path of predictions.

Every item that the contract accepts is a request like a client's; the likeliest ``k`` are answered, and these
are logged. Other requests are answered in between.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
from pydantic_core import SchemaValidator, ValidationError

from relevo import defects, validation
from relevo.defects import Defect
from relevo.online import FeatureError
from relevo.package.values import to_json
from relevo.serving.problems import Refusal
from relevo.serving.reading import logged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relevo.contract import Field
    from relevo.package import ModelPackage
    from relevo.serving.predict import Predict
    from relevo.serving.served import Row, Served

MOST = 1000
_CHUNK = 64  # items between two turns of the event loop: about a millisecond
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_TRUTH = {"true": True, "false": False}


class Shelf(NamedTuple):
    """What a package recommends: the request's two fields, and the items that it accepts, in order."""

    package: ModelPackage
    by: Field
    item: Field
    k: int
    ask: SchemaValidator
    """Of the request without its item."""
    items: tuple[Any, ...]
    """As the validator gives them."""
    shown: tuple[bytes, ...]
    """The same as JSON."""


class Recommender:
    """The route, over what ``predict`` serves."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._shelf: Shelf | None = None

    async def __call__(self, identity: str, asked_k: str | None, via: bytes = b"") -> bytes:
        """Answer with the likeliest items for ``identity`` as JSON; raises ``Refusal``. ``via`` is a page's name.

        All of it is answered by the version and the histories that answered when the request came.
        """
        served = self._predict.serving()
        shelf = self._of(served)
        k = shelf.k if asked_k is None else _number(asked_k)
        row = _valid(shelf, _typed(identity, shelf.by))
        places, features = await self._features(served, shelf, row)
        found = await self._scores(served, features)
        order = np.argsort(-found, kind="stable")[:k]  # of equals the first item; NaN is last
        best = order[~np.isnan(found[order])].tolist()
        chosen = [places[place] for place in best]
        best_of = [features[place] for place in best]
        return self._answer(served, shelf, row[shelf.by.name], chosen, best_of, found[best].tolist(), via)

    def shelf(self) -> Shelf | None:
        """What the version that answers recommends; None when it recommends nothing."""
        served = self._predict.served
        return self._of(served) if served is not None and served.package.manifest.recommend else None

    def _of(self, served: Served) -> Shelf:
        package = served.package
        if self._shelf is None or self._shelf.package is not package:
            wanted = package.manifest.recommend
            if wanted is None:
                raise Refusal("no-recommend")
            self._shelf = _stocked(package, wanted)
        return self._shelf

    async def _features(
        self, served: Served, shelf: Shelf, row: Mapping[str, Any]
    ) -> tuple[list[int], list[Row]]:
        """Features of each item for which they have a value, with its place on the shelf."""
        places, rows = [], []
        asked, name = dict(row), shelf.item.name
        for place, item in enumerate(shelf.items):
            if place % _CHUNK == _CHUNK - 1:
                await asyncio.sleep(0)
            asked[name] = item
            try:
                rows.append(served.compute(asked))
            except FeatureError:
                continue
            places.append(place)
        return places, rows

    @staticmethod
    async def _scores(served: Served, rows: Sequence[Row]) -> Any:
        found = [np.empty(0)]
        for start in range(0, len(rows), 4 * _CHUNK):
            found.append(served.package.score(rows[start : start + 4 * _CHUNK]))
            await asyncio.sleep(0)
        return np.concatenate(found)

    def _answer(
        self,
        served: Served,
        shelf: Shelf,
        by: Any,
        chosen: Sequence[int],
        rows: Sequence[Row],
        found: Sequence[float],
        via: bytes,
    ) -> bytes:
        dumps = orjson.dumps
        by_name, item_name = dumps(shelf.by.alias), dumps(shelf.item.alias)
        whose = b"%b:%b" % (by_name, dumps(to_json(by)))
        entries = []
        if chosen:
            requests = [
                logged(b"{%b,%b:%b}" % (whose, item_name, shelf.shown[place]), via) for place in chosen
            ]
            answers = self._predict.logged(served, rows, found, requests, served.brief, served.chosen)
            entries = [
                b"{%b:%b,%b" % (item_name, shelf.shown[place], answer[1:])
                for place, answer in zip(chosen, answers, strict=True)
            ]
        version = dumps(served.version.version)
        return b'{%b,"version":%b,"recommendations":[%b]}' % (whose, version, b",".join(entries))


def _stocked(package: ModelPackage, wanted: Mapping[str, Any]) -> Shelf:
    request = package.request
    by, item = (request[str(wanted[part])] for part in ("by", "item"))
    rest = replace(request, fields=tuple(field for field in request.fields if field is not item))
    take = validation.build(replace(request, fields=(item,))).one.validate_python
    items = []
    for key in sorted(key for key in package.static[str(wanted["among"])] if key is not None):
        try:
            items.append(take({item.alias: key})[item.name])
        except ValidationError:
            continue  # the contract takes no request for it, nor does this
    shown = tuple(orjson.dumps(to_json(value)) for value in items)
    return Shelf(package, by, item, int(wanted["k"]), validation.build(rest).one, tuple(items), shown)


def _number(text: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise Refusal("contract", defects=[Defect(None, "k", "whole_number", {})])
    number = int(text)
    if number < 1:
        raise Refusal("contract", defects=[Defect(None, "k", "greater_than_equal", {"ge": 1})])
    if number > MOST:
        raise Refusal("contract", defects=[Defect(None, "k", "less_than_equal", {"le": MOST})])
    return number


def _typed(text: str, field: Field) -> Any:
    """Read a path's text as the field's type where the validator would not; it judges all else."""
    if field.type == "integer" and _WHOLE.fullmatch(text):
        return int(text)
    if field.type == "boolean":
        return _TRUTH.get(text, text)
    return text


def _valid(shelf: Shelf, value: Any) -> dict[str, Any]:
    """Validate all of a request but its item; raises ``Refusal`` naming the fields."""
    try:
        row: dict[str, Any] = shelf.ask.validate_python({shelf.by.alias: value})
    except ValidationError as error:
        raise Refusal("contract", defects=defects.of(error)) from None
    return row
