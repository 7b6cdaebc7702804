"""Everything but predict, on FastAPI: what answers, whether it does, the metrics and the documentation."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from relevo import __version__, lookups
from relevo.serving import docs, entries, exposition, labelled, openapi, problems
from relevo.serving.collecting import backlog
from relevo.serving.door import PREDICT
from relevo.serving.inference import Inference
from relevo.serving.problems import Refusal
from relevo.serving.recommend import Recommender
from relevo.texts import speaking

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from relevo.service import ServiceSettings
    from relevo.serving.app import App
    from relevo.serving.guard import Tally
    from relevo.serving.served import Served

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
RECOMMEND = "/v1/recommend/{key:path}"
_WRONG_METHOD = 405


class Admin:
    """The routes, over the state of ``app``; ``logs`` is the journal's folder."""

    def __init__(self, app: App, logs: Path, project: str, alias: str, settings: ServiceSettings) -> None:
        self._app = app
        self._logs = logs
        self._project, self._alias = project, alias
        self._settings = settings
        self.rest = FastAPI(
            title=project,
            version=__version__,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,  # to wherever the Host header says, and of paths without a key too
        )
        for path in ("/health", "/ready", "/v1/model", "/metrics", "/openapi.json", "/docs"):
            endpoint = getattr(self, path.rpartition("/")[2].partition(".")[0])
            self.rest.add_api_route(path, endpoint, methods=["GET"], response_model=None)
        self._recommender = Recommender(app.predict)
        self.rest.add_api_route(RECOMMEND, self.recommend, methods=["GET"], response_model=None)
        inference = Inference(app.predict, project, settings, lambda: app.door.draining)
        for path, method, endpoint_ in inference.routes():
            self.rest.router.routes.append(_Raw(endpoint_).at(path, method))
        self.rest.add_exception_handler(HTTPException, self._unknown)
        self.rest.add_exception_handler(Refusal, self._refused)

    async def health(self) -> Response:
        """Whether the process lives."""
        return JSONResponse({"status": "ok"})

    async def ready(self) -> Response:
        """Whether there is a version that answers, and will go on answering."""
        if self._app.door.draining:
            raise Refusal("draining")
        served = self._app.predict.served
        if served is None:
            raise self._none(to_anyone=self._app.access.closed)
        return JSONResponse({"status": "ready", "version": served.version.version})

    async def model(self) -> Response:
        """Describe the version that answers."""
        served = self._app.predict.served
        if served is None:
            raise self._none()
        note = {"ledger": bool(self._app.metrics.ledger_up), "note": self._app.follower.note}
        card = {"alias": self._alias, **_card(served), **note, "challenger": self._challenger()}
        return Response(orjson.dumps(card), media_type="application/json")

    async def metrics(self) -> Response:
        """Prometheus' text."""
        served = self._app.predict.served
        created = datetime.fromisoformat(served.version.created_at).timestamp() if served else 0.0
        await self._app.counting.settle()
        total, processes = self._app.share.total()
        info = _info(served) if served else None
        seen = exposition.Seen(
            processes,
            info,
            created,
            backlog(self._logs),
            _histories(served),
            self._challenger(total.tally),
            served.live.bins if served else None,
        )
        text = exposition.text(total, seen)
        return Response(text, media_type=_METRICS)

    async def recommend(self, request: Request) -> Response:
        """Answer with the likeliest items of one value."""
        found = await self._recommender(
            request.path_params["key"], request.query_params.get("k"), request.scope.get("relevo.via", b"")
        )
        return Response(found, media_type="application/json")

    async def openapi(self, request: Request) -> Response:
        """FastAPI's document, with predict's entry and the summaries in the caller's language."""
        with speaking(_language(request)):
            return Response(orjson.dumps(self.document()), media_type="application/json")

    def document(self) -> dict[str, Any]:
        """The OpenAPI document in the language in force."""
        served = self._app.predict.served
        predict = openapi.predict_path(
            served, max_rows=self._settings.max_rows, max_body=self._settings.max_body
        )
        paths: dict[str, Any] = {
            PREDICT: predict,
            "/v1/explain": entries.explain_path(served, max_body=self._settings.max_body),
            "/v1/labels": labelled.labels_path(served, max_rows=self._settings.max_rows),
            **entries.score_path(served),
            **openapi.recommend_path(self._recommender.shelf()),
            **entries.inference_paths(served, self._project, max_rows=self._settings.max_rows),
            **openapi.other_paths(self.rest.openapi()["paths"]),
        }
        return {
            "openapi": "3.1.0",
            "servers": [{"url": self._settings.root_path or "/"}],
            "info": {"title": self._project, "version": served.version.version if served else "0"},
            "paths": entries.guarded(paths, needed=self._app.access.required),
            "components": {
                "schemas": {"Problem": openapi.problem_schema()},
                "securitySchemes": entries.schemes(),
            },
        }

    async def docs(self, request: Request) -> Response:
        """Answer with the page."""
        code = _language(request)
        with speaking(code):
            return HTMLResponse(docs.page(self._project, code), headers=docs.HEADERS)

    async def _unknown(self, request: Request, error: Exception) -> Response:
        wrong_method = isinstance(error, HTTPException) and error.status_code == _WRONG_METHOD
        if wrong_method or ("POST", request.scope["relevo.path"]) in self._app.door.raw:
            allowed = _allowed(error) if wrong_method else "POST"
            return await self._refused(request, Refusal("method", allowed=allowed))
        return await self._refused(request, Refusal("not-found"))

    async def _refused(self, request: Request, error: Exception) -> Response:
        told = self._app.door.problem(request.scope, error)
        answer = Response(told.body, told.status)
        answer.raw_headers = [*told.headers, (b"content-length", b"%d" % len(told.body))]
        return answer

    def _challenger(self, tally: Tally | None = None) -> dict[str, Any] | None:
        """What is tried beside the champion, with the counts of all processes."""
        challenger = self._app.follower.challenger
        if challenger is None:
            return None
        return challenger.described(tally or self._app.share.total()[0].tally)

    def _none(self, *, to_anyone: bool = False) -> Refusal:
        """What to say without a version; the reason names files and hosts, which is not for those without a key."""
        note = "" if to_anyone else self._app.follower.note
        return Refusal("no-model", project=self._project, alias=self._alias, reason=note)


class _Raw:
    """An ASGI application as a route, which says that it is the one that answers."""

    def __init__(self, endpoint: ASGIApp) -> None:
        self._endpoint = endpoint
        self._route: Route | None = None

    def at(self, path: str, method: str) -> Route:
        """Give its route."""
        self._route = Route(path, self, methods=[method])
        return self._route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route
        await self._endpoint(scope, receive, send)


def _allowed(error: Exception) -> str:
    headers = getattr(error, "headers", None) or {}
    return str(headers.get("Allow", "GET"))


def _language(request: Request) -> str:
    return problems.language(request.scope["headers"])


def _info(served: Served) -> dict[str, object]:
    version = served.version
    return {
        "project": version.project,
        "version": version.version,
        "digest": version.digest,
        "algorithm": version.algorithm,
    }


def _card(served: Served) -> dict[str, Any]:
    manifest, release = served.package.manifest, served.release
    return {
        **_info(served),
        "created_at": served.version.created_at,
        "loaded_at": served.loaded_at,
        "released": {
            "at": release.released_at,
            "who": release.who,
            "why": release.why,
            "act": release.act,
            "previous": release.previous,
        },
        "labels": {"negative": manifest.negative, "positive": manifest.positive},
        "threshold": manifest.threshold,
        "metric": manifest.metric,
        "metrics": manifest.metrics,
        "features": [encoder.feature for encoder in manifest.encoders],
        "request": openapi.request_schema(manifest.request),
        "data": manifest.data,
        "histories": [
            {**shown, "missing": served.histories[shown["name"]].missing} for shown in _histories(served)
        ],
    }


def _histories(served: Served | None) -> list[dict[str, Any]]:
    return [lookups.described(made) for made in served.made.values()] if served else []
