"""Everything but predict, on FastAPI: what answers, whether it does, the metrics and the documentation."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from relevo import __version__, lookups
from relevo.serving import docs, openapi, problems
from relevo.serving.collecting import backlog
from relevo.serving.problems import Refusal
from relevo.serving.recommend import Recommender
from relevo.texts import speaking

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.serving.app import App
    from relevo.serving.served import Served

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_PREDICT = "/v1/predict"
RECOMMEND = "/v1/recommend/{key:path}"
_WRONG_METHOD, _UNAVAILABLE = 405, 503


class Admin:
    """The routes, over the state of ``app``; ``logs`` is the journal's folder."""

    def __init__(self, app: App, logs: Path, project: str, alias: str, limits: tuple[int, int]) -> None:
        self._app = app
        self._logs = logs
        self._project, self._alias = project, alias
        self._max_rows, self._max_body = limits
        self.rest = FastAPI(
            title=project, version=__version__, docs_url=None, redoc_url=None, openapi_url=None
        )
        for path in ("/health", "/ready", "/v1/model", "/metrics", "/openapi.json", "/docs"):
            endpoint = getattr(self, path.rpartition("/")[2].partition(".")[0])
            self.rest.add_api_route(path, endpoint, methods=["GET"], response_model=None)
        self._recommender = Recommender(app.predict)
        self.rest.add_api_route(RECOMMEND, self.recommend, methods=["GET"], response_model=None)
        self.rest.add_exception_handler(HTTPException, self._refused)

    async def health(self) -> Response:
        """Whether the process lives."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Whether there is a version that answers."""
        served = self._app.predict.served
        if served is None:
            return self._none(request)
        return JSONResponse({"status": "ready", "version": served.version.version})

    async def model(self, request: Request) -> Response:
        """Describe the version that answers."""
        served = self._app.predict.served
        if served is None:
            return self._none(request)
        note = {"ledger": bool(self._app.metrics.ledger_up), "note": self._app.follower.note}
        card = {"alias": self._alias, **_card(served), **note, "challenger": self._challenger()}
        return Response(orjson.dumps(card), media_type="application/json")

    async def metrics(self) -> Response:
        """Prometheus' text."""
        served = self._app.predict.served
        created = datetime.fromisoformat(served.version.created_at).timestamp() if served else 0.0
        info = _info(served) if served else None
        text = self._app.metrics.text(
            info,
            created=created,
            backlog=backlog(self._logs),
            lookups=_histories(served),
            challenger=self._challenger(),
            rollbacks=self._app.follower.guard.rollbacks if self._app.follower.guard else 0,
        )
        return Response(text, media_type=_METRICS)

    async def recommend(self, request: Request) -> Response:
        """Answer with the likeliest items of one value."""
        predict = self._app.predict
        try:
            found = await self._recommender(request.path_params["key"], request.query_params.get("k"))
        except Refusal as refusal:
            status, body = predict.refuse(refusal, request.scope)
        except Exception:  # noqa: BLE001 - logged with its traceback; the caller is told its number
            status, body = predict.fail(request.scope)
        else:
            return Response(found, media_type="application/json")
        return _told(status, body)

    async def openapi(self, request: Request) -> Response:
        """FastAPI's document, with predict's entry and the summaries in the caller's language."""
        with speaking(_language(request)):
            served = self._app.predict.served
            predict = openapi.predict_path(served, max_rows=self._max_rows, max_body=self._max_body)
            document = {
                "openapi": "3.1.0",
                "info": {"title": self._project, "version": served.version.version if served else "0"},
                "paths": {
                    _PREDICT: predict,
                    **openapi.recommend_path(self._recommender.shelf()),
                    **openapi.other_paths(self.rest.openapi()["paths"]),
                },
                "components": {"schemas": {"Problem": openapi.problem_schema()}},
            }
            return Response(orjson.dumps(document), media_type="application/json")

    async def docs(self, request: Request) -> Response:
        """Answer with the page."""
        code = _language(request)
        with speaking(code):
            return HTMLResponse(docs.page(self._project, code), headers=docs.HEADERS)

    async def _refused(self, request: Request, error: Exception) -> Response:
        wrong_method = isinstance(error, HTTPException) and error.status_code == _WRONG_METHOD
        if wrong_method or request.url.path == _PREDICT:
            allowed = "GET" if wrong_method else "POST"
            return _problem(Refusal("method", allowed=allowed), request, {"allow": allowed})
        return _problem(Refusal("not-found"), request)

    def _challenger(self) -> dict[str, Any] | None:
        challenger = self._app.follower.challenger
        return challenger.described() if challenger is not None else None

    def _none(self, request: Request) -> Response:
        note = self._app.follower.note
        return _problem(Refusal("no-model", project=self._project, alias=self._alias, reason=note), request)


def _language(request: Request) -> str:
    return problems.language(request.scope["headers"])


def _problem(refusal: Refusal, request: Request, headers: dict[str, str] | None = None) -> Response:
    status, body = problems.render(refusal, _language(request), None)
    return _told(status, body, headers)


def _told(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    if status == _UNAVAILABLE:
        headers = {"retry-after": "5"}
    return Response(body, status, headers, media_type="application/problem+json")


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
