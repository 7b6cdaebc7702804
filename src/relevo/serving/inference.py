"""The Open Inference Protocol, version 2, over the one path of predictions: ``/v2`` and what is below it.

The model is the project, its versions are the one that answers; a tensor is a field of the request. What is
refused is told in the protocol's own shape, an object with ``error``.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import orjson

from relevo import __version__
from relevo.defects import SHOWN, Defect
from relevo.serving import problems, tensors
from relevo.serving.bodies import json_body
from relevo.serving.posted import reply
from relevo.serving.problems import Refusal
from relevo.serving.reading import parse
from relevo.serving.turns import CHUNK
from relevo.texts import speaking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from relevo.service import ServiceSettings
    from relevo.serving.predict import Predict
    from relevo.serving.served import Row, Served

_TOLD = 5  # problems of a refused request that its one sentence names
_MODEL = "/v2/models/{name}"
_VERSION = _MODEL + "/versions/{version}"
_OK, _UNAVAILABLE = 200, 503
_RETRY = (b"retry-after", b"5")
Answer = tuple[int, bytes]


class Inference:
    """The routes, over what ``predict`` serves; ``project`` is the model's name, ``draining`` whether it is to end."""

    def __init__(
        self, predict: Predict, project: str, settings: ServiceSettings, draining: Callable[[], bool]
    ) -> None:
        self._predict, self._project = predict, project
        self._settings = settings
        self._draining = draining

    def routes(self) -> list[tuple[str, str, ASGIApp]]:
        """List paths as Starlette writes them, methods and what answers there."""
        found: list[tuple[str, str, Callable[[Scope, Receive], Awaitable[Answer]]]] = [
            ("/v2", "GET", self._server),
            ("/v2/", "GET", self._server),
            ("/v2/health/live", "GET", self._live),
            ("/v2/health/ready", "GET", self._ready),
        ]
        for path in (_MODEL, _VERSION):
            found += [
                (path, "GET", self._metadata),
                (f"{path}/ready", "GET", self._model_ready),
                (f"{path}/infer", "POST", self._infer),
            ]
        return [(path, method, self._asgi(answer)) for path, method, answer in found]

    def _asgi(self, answer: Callable[[Scope, Receive], Awaitable[Answer]]) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with speaking(problems.language(scope["headers"])):
                found = await answer(scope, receive)
            status, body = found
            await reply(send, body, status, *([_RETRY] if status == _UNAVAILABLE else []))

        return app

    async def _server(self, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002 - all take the same
        return _OK, orjson.dumps({"name": "relevo", "version": __version__, "extensions": []})

    async def _live(self, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002
        return _OK, b'{"live":true}'

    async def _ready(self, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002
        ready = self._is_ready()
        return _OK if ready else _UNAVAILABLE, orjson.dumps({"live": True, "ready": ready})

    async def _model_ready(self, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002
        self._check_name(scope["path_params"])
        ready = self._is_ready()
        if ready:
            self._served(scope["path_params"])
        return _OK if ready else _UNAVAILABLE, orjson.dumps({"name": self._project, "ready": ready})

    async def _metadata(self, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002
        served = self._served(scope["path_params"])
        inputs = [
            {"name": field.alias, "datatype": tensors.DATATYPES[field.type], "shape": [-1]}
            for field in served.package.request.fields
        ]
        outputs = [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in tensors.OUTPUTS.items()]
        return _OK, orjson.dumps(
            {
                "name": self._project,
                "versions": [served.version.version],
                "platform": "relevo",
                "inputs": inputs,
                "outputs": outputs,
            }
        )

    async def _infer(self, scope: Scope, receive: Receive) -> Answer:
        served = self._served(scope["path_params"])
        if any(name == b"inference-header-content-length" for name, _ in scope["headers"]):
            raise Refusal("binary-tensors")
        limit, seconds = self._settings.max_body, self._settings.timeout
        body = await json_body(scope["headers"], receive, limit=limit, seconds=seconds)
        try:
            received = parse(body)
            identity = tensors.identity(received)
            names = tensors.wanted(received)
            rows = tensors.rows(received, served.package.request, most=self._settings.max_rows)
        except Refusal:
            served.live.refused += 1
            raise
        answers = await self._answers(served, rows)
        found: dict[str, Any] = {"model_name": self._project, "model_version": served.version.version}
        if identity is not None:
            found["id"] = identity
        found["outputs"] = [tensors.tensor(name, (answer[name] for answer in answers)) for name in names]
        return _OK, orjson.dumps(found)

    async def _answers(self, served: Served, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answer all rows or none, letting other requests in between."""
        found: list[float] = []
        made: list[Row] = []
        for start in range(0, len(rows), CHUNK):
            part = self._features(served, rows, start)
            made += part
            found += served.score(part)
            await asyncio.sleep(0)
        lost = [Defect(n, "body", "probability", {}) for n, one in enumerate(found) if math.isnan(one)]
        if lost:
            served.live.failed += len(lost)
            raise Refusal("contract", defects=lost[:SHOWN], more=len(lost) > SHOWN)
        requests = [orjson.dumps(row) for row in rows]
        answers = self._predict.logged(served, made, found, requests, served.brief)
        await self._predict.counting.room()
        return [orjson.loads(answer) for answer in answers]

    def _features(self, served: Served, rows: Sequence[Mapping[str, Any]], start: int) -> list[Row]:
        made: list[Row] = []
        defects: list[Defect] = []
        for number, row in enumerate(rows[start : start + CHUNK], start):
            try:
                made.append(served.features(row, self._predict.metrics, number, aside=True))
            except Refusal as refusal:
                defects += refusal.defects
        if defects:
            raise Refusal("contract", defects=defects[:SHOWN], more=len(defects) > SHOWN)
        return made

    def _served(self, path: Mapping[str, str]) -> Served:
        """What answers, if the path names it; raises ``Refusal``."""
        self._check_name(path)
        served = self._predict.serving()
        if path.get("version", served.version.version) != served.version.version:
            raise Refusal("no-version", version=served.version.version)
        return served

    def _is_ready(self) -> bool:
        return self._predict.served is not None and not self._draining()

    def _check_name(self, path: Mapping[str, str]) -> None:
        if path["name"] != self._project:
            raise Refusal("no-such-model", project=self._project)


def shaped(body: bytes) -> bytes:
    """Give a problem in the protocol's shape."""
    problem = orjson.loads(body)
    entries = [
        f"{entry['field']}: {entry['problem']}" + (f" ({entry['row']})" if "row" in entry else "")
        for entry in problem.get("problems", [])[:_TOLD]
    ]
    sentences = [problem["title"], problem["detail"], problem.get("reason", ""), *entries]
    return orjson.dumps({"error": " ".join(filter(None, sentences))})
