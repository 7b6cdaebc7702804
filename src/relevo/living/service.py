"""Asking a service over HTTP, as its users do, but for the log: ``log=false`` leaves no prediction behind."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from relevo import backoff, channels, reachable
from relevo.errors import RequestError, WorkspaceError
from relevo.living.asked import body
from relevo.living.outcome import Checked, Result
from relevo.texts import t

if TYPE_CHECKING:
    from pathlib import Path

    from relevo.definition import Definition
    from relevo.definition.cases import Case
    from relevo.workspace import Workspace

KEY = "RELEVO_CASES_KEY"
PATH = "/v1/predict?log=false"
TIMEOUT = 10.0
"""Seconds of silence after which a service does not answer."""
TRIES, PATIENCE = 3, 30.0
"""How often it is asked before it counts as one that does not answer, and the most seconds between two times."""
_LONGEST = 1 << 20
_OK, _REFUSED = 200, 422
_BUSY = frozenset({429, 503})
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens everywhere is asked here


class KeyWantedError(WorkspaceError):
    """The service does not let us ask."""


class _SilentError(Exception):
    """The service did not answer."""


@dataclass(frozen=True)
class Place:
    """Where a service listens, and the key to it; ``trusted`` is a certificate to trust in place of the machine's."""

    url: str
    key: str = field(default="", repr=False)
    trusted: Path | None = None


def at(url: str, key: str) -> Place:
    """The service at a URL; raises ``RequestError`` when it is none."""
    parts = urlsplit(url)
    try:
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or parts.username or parts.query or parts.fragment:
        problem = t("it is not the address of a service, such as https://models.example.org/flights.")
        raise RequestError([{"field": "url", "problem": problem}])
    if key and parts.scheme == "http" and not channels.loopback(str(parts.hostname)):
        problem = t("a key would travel in the clear; write https, or ask on this machine itself.")
        raise RequestError([{"field": "url", "problem": problem}])
    return Place(url.rstrip("/"), key)


def near(workspace: Workspace, key: str = "") -> Place | None:
    """The service of this workspace that listens now; None when there is none."""
    for note in reachable.services(workspace.own):
        parts = urlsplit(str(note.get("address", "")))
        if parts.hostname:
            host = _ANY.get(parts.hostname, parts.hostname)
            shown = f"[{host}]" if ":" in host else host
            certificate = workspace.settings.serve.below(workspace.project).certificate
            return Place(f"{parts.scheme}://{shown}:{parts.port}", key, certificate)
    return None


def ask(definition: Definition, place: Place) -> Checked:
    """Ask every case; raises ``KeyWantedError`` when the key is missing, or not good for it."""
    results: list[Result] = []
    try:
        with closing(_connection(place)) as connection:
            for case in definition.cases:
                status, answer = _post(connection, place, body(definition, case))
                results.append(_result(definition, case, status, answer))
    except _SilentError as error:
        return Checked(asked=place.url, version="", problem=str(error))
    version = next((one.version for one in reversed(results) if one.version), "")
    return Checked(asked=place.url, version=version, results=results)


def _connection(place: Place) -> http.client.HTTPConnection:
    parts = urlsplit(place.url)
    host = str(parts.hostname)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    context = ssl.create_default_context()
    if (
        place.trusted is not None
    ):  # the service's own certificate, which may be for another name than this machine's
        context = ssl.create_default_context(cafile=str(place.trusted))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
    return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=context)


def _post(connection: http.client.HTTPConnection, place: Place, request: dict[str, Any]) -> tuple[int, Any]:
    """Ask once and again while the service is busy or silent; raises ``_SilentError``, ``KeyWantedError``."""
    headers = {"content-type": "application/json", "user-agent": "relevo-cases"}
    if place.key:
        headers["authorization"] = f"Bearer {place.key}"
    path = urlsplit(place.url).path + PATH
    problem = ""
    for number in range(1, TRIES + 1):
        wait = backoff.wait(number)
        try:
            connection.request("POST", path, json.dumps(request).encode(), headers)
            response = connection.getresponse()
            text = response.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next try opens it anew
            problem = f"{type(error).__name__}: {error}"
        else:
            status = response.status
            if status in {401, 403}:
                raise KeyWantedError(_wanted(place, status))
            if status in {_OK, _REFUSED}:
                return status, _read(text)
            problem = t("It answers with status {status}: {text}", status=status, text=_said(text))
            if status in _BUSY:
                wait = max(wait, min(backoff.retry_after(response.headers.get("retry-after")), PATIENCE))
        if number < TRIES:
            time.sleep(wait)
    raise _SilentError(problem)


def _wanted(place: Place, status: int) -> str:
    asked = t(
        "Make one with `relevo keys create --scope predict --scope read`, and give it in {variable} or with"
        " --key-file.",
        variable=KEY,
    )
    if not place.key:
        return t("The service at {url} wants a key.", url=place.url) + " " + asked
    return t("The service at {url} refuses the key ({status}).", url=place.url, status=status) + " " + asked


def _read(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _SilentError(t("Its answer is not JSON: {text}", text=_said(text))) from error


def _said(text: bytes) -> str:
    return text[:200].decode(errors="replace").strip() or "-"


def _result(definition: Definition, case: Case, status: int, answer: Any) -> Result:
    target = definition.project.target
    expected = target.positive if case.expected else target.negative
    if status == _REFUSED or not isinstance(answer, dict) or "decision" not in answer:
        problem = str(answer.get("detail") or answer) if isinstance(answer, dict) else str(answer)
        return Result(
            name=case.name, expected=expected, answered="", version="", passed=False, problem=problem[:500]
        )
    return Result(
        name=case.name,
        expected=expected,
        answered=str(answer.get("label", "")),
        version=str(answer.get("version", "")),
        passed=answer["decision"] is case.expected,
    )
