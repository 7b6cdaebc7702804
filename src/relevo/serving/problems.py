"""What the service answers when it cannot predict: RFC 9457 problem details, in the caller's language.

A ``Refusal`` carries facts; the sentences are made when it is answered. They quote nothing of the request
but the names of its fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from relevo.defects import entry
from relevo.texts import LANGUAGES, speaking, t

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from relevo.contract import Contract
    from relevo.defects import Defect

_LANGUAGE = re.compile(
    rb"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?"
)

_WHO = 401
_RETRY = {429: 1, 503: 5}  # seconds, where a refusal says nothing else
_ERRORS = {"bad-key": b', error="invalid_token"'}  # RFC 6750, section 3.1


class Refusal(Exception):  # noqa: N818 - not an error of ours: what the caller is told
    """A request that is not answered with a prediction; ``kind`` is a key of ``KINDS``."""

    def __init__(
        self, kind: str, *, defects: Iterable[Defect] = (), more: bool = False, **facts: object
    ) -> None:
        self.kind = kind
        self.facts = facts
        self.defects = tuple(defects)
        self.more = more
        super().__init__(kind)


class Kind(NamedTuple):
    """A kind of refusal: its status, and what makes its title and its detail."""

    status: int
    title: Callable[[], str]
    detail: Callable[[Mapping[str, Any]], str]


KINDS: dict[str, Kind] = {
    "not-http": Kind(
        400,
        lambda: t("This is not HTTP."),
        lambda _: t("The request cannot be read as HTTP/1.1 (RFC 9112)."),
    ),
    "not-json": Kind(
        400,
        lambda: t("The body is not JSON."),
        lambda f: t(
            "It stops being JSON (RFC 8259, UTF-8) at line {line}, column {column}. "
            "NaN, infinity and numbers beyond a double are not JSON.",
            **f,
        ),
    ),
    "too-deep": Kind(
        400,
        lambda: t("The body is nested too deeply."),
        lambda f: t("At most {limit} levels are read; a request is flat.", **f),
    ),
    "duplicate-field": Kind(
        400,
        lambda: t("A field is given twice."),
        lambda _: t("The body has an object that names a field twice; which one counts is not defined."),
    ),
    "no-key": Kind(
        401,
        lambda: t("A key is needed."),
        lambda _: t("Send the header Authorization: Bearer KEY; whoever runs the service makes one."),
    ),
    "bad-key": Kind(
        401,
        lambda: t("The key or token is not good."),
        lambda _: t("It is unknown, expired or revoked, or was changed on its way."),
    ),
    "scope": Kind(
        403,
        lambda: t("The key is not for this."),
        lambda f: t("It lacks the scope “{scope}”.", **f),
    ),
    "protocol": Kind(
        400,
        lambda: t("This is no request of the Open Inference Protocol."),
        lambda f: t("The reason: {what}.", **f),
    ),
    "unreadable": Kind(
        400,
        lambda: t("The body cannot be read."),
        lambda f: t("The reason: {reason}. The contract is at /docs.", **f),
    ),
    "not-found": Kind(
        404,
        lambda: t("There is nothing here."),
        lambda _: t("Predictions are asked for with POST /v1/predict; /docs shows all there is."),
    ),
    "no-such-model": Kind(
        404,
        lambda: t("There is no model of this name."),
        lambda f: t("The one that is served is {project}.", **f),
    ),
    "no-version": Kind(
        404,
        lambda: t("This version does not answer."),
        lambda f: t("The one that answers is {version}.", **f),
    ),
    "no-recommend": Kind(
        404,
        lambda: t("The model recommends nothing."),
        lambda _: t("Its project says what to recommend with Recommend(…) in project.py; this one does not."),
    ),
    "no-reference": Kind(
        404,
        lambda: t("The answer cannot be explained."),
        lambda _: t(
            "There is nothing to compare the request with: the package holds no row that the model answers"
            " for now. The next version that `relevo run` makes holds such rows."
        ),
    ),
    "method": Kind(
        405,
        lambda: t("This method is not for this path."),
        lambda f: t("Use {allowed}; /docs shows how.", **f),
    ),
    "timeout": Kind(
        408,
        lambda: t("The request took too long to come."),
        lambda f: t("It must be here within {seconds:g} seconds.", **f),
    ),
    "not-acceptable": Kind(
        406,
        lambda: t("The answer cannot be written so."),
        lambda f: t("Accept one of {formats}.", **f),
    ),
    "too-slow": Kind(
        408,
        lambda: t("The body did not come in time."),
        lambda f: t("Nothing came for {limit} seconds.", **f),
    ),
    "other-version": Kind(
        409,
        lambda: t("Another version answers now."),
        lambda f: t("It is {version}. Begin anew, so that the answers of two versions are not mixed.", **f),
    ),
    "precondition": Kind(
        412,
        lambda: t("Another version answers now."),
        lambda f: t("It is {version}. Begin anew, so that the answers of two versions are not mixed.", **f),
    ),
    "too-large": Kind(
        413,
        lambda: t("The body is too large."),
        lambda f: t("At most {limit} bytes are read. Send fewer rows at once.", **f),
    ),
    "too-many-rows": Kind(
        413,
        lambda: t("The list has too many rows."),
        lambda f: t("At most {limit} rows are answered at once. Send several lists.", **f),
    ),
    "binary-tensors": Kind(
        415,
        lambda: t("Binary tensors are not read or written."),
        lambda _: t("Send and ask for tensor data as JSON."),
    ),
    "content-type": Kind(
        415,
        lambda: t("The body is not declared to be JSON."),
        lambda _: t("Send the header Content-Type: application/json, and no Content-Encoding."),
    ),
    "stream-type": Kind(
        415,
        lambda: t("The body's format is none that is read."),
        lambda f: t("Send one of {formats}, in UTF-8 with a header, and no Content-Encoding.", **f),
    ),
    "contract": Kind(
        422,
        lambda: t("The request breaks the contract."),
        lambda _: t("Each problem is listed with its field; /docs shows the contract."),
    ),
    "rate": Kind(
        429,
        lambda: t("There are too many requests."),
        lambda f: t("The next may come in {retry} seconds.", **f),
    ),
    "concurrency": Kind(
        429,
        lambda: t("There are too many requests at once."),
        lambda f: t("At most {limit} may be under way. Wait for an answer.", **f),
    ),
    "head": Kind(
        431,
        lambda: t("The headers are too large."),
        lambda f: t("At most {limit} bytes are read.", **f),
    ),
    "internal": Kind(
        500,
        lambda: t("Something went wrong here."),
        lambda f: t("The service's log tells more under {id}.", **f),
    ),
    "busy": Kind(
        503,
        lambda: t("The service is busy."),
        lambda _: t("Try again in a moment."),
    ),
    "draining": Kind(
        503,
        lambda: t("The service is stopping."),
        lambda _: t("It answers what is under way and takes no new connections; ask another."),
    ),
    "no-model": Kind(
        503,
        lambda: t("There is no model to answer with."),
        lambda f: t(
            "No version of {project} is released as {alias}, or it cannot be loaded. Type: relevo run", **f
        ),
    ),
    "not-logged": Kind(
        503,
        lambda: t("The prediction cannot be logged."),
        lambda _: t(
            "No prediction is answered that is not in the log: its disk is full or cannot be written."
        ),
    ),
}


def language(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Choose the language by Accept-Language (RFC 9110, section 12.5.4): English unless another is preferred."""
    best, weight = "en", 0.0
    for name, value in headers:
        if name != b"accept-language":
            continue
        for part in value[:200].split(b","):
            found = _LANGUAGE.fullmatch(part)
            if found is None:
                continue
            code = found[1].decode().lower()
            quality = float(found[2] or b"1")
            if quality > weight and code in (*LANGUAGES, "*"):
                best, weight = ("en" if code == "*" else code), quality
    return best


class Told(NamedTuple):
    """A refusal as HTTP says it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def render(
    refusal: Refusal,
    headers: Iterable[tuple[bytes, bytes]],
    identity: str,
    contract: Contract | None,
    root: str = "",
) -> Told:
    """Write a refusal as problem+json in the language that ``headers`` ask for.

    ``identity`` is the request's own, ``contract`` the one in force, ``root`` the path under which the service
    is shown.
    """
    kind = KINDS[refusal.kind]
    with speaking(language(headers)):
        body: dict[str, Any] = {
            "type": f"{root}/docs#{refusal.kind}",
            "title": kind.title(),
            "status": kind.status,
            "detail": kind.detail({**refusal.facts, "id": identity}),
            "id": identity,
        }
        if refusal.defects:
            body["problems"] = [entry(defect, contract) for defect in refusal.defects]
        if refusal.more:
            body["more"] = True
    if refusal.facts.get("reason"):
        body["reason"] = refusal.facts["reason"]
    told = [(b"content-type", b"application/problem+json")]
    retry = refusal.facts.get("retry", _RETRY.get(kind.status))
    if retry is not None:
        told.append((b"retry-after", str(retry).encode()))
    if kind.status == _WHO:
        told.append((b"www-authenticate", b'Bearer realm="relevo"' + _ERRORS.get(refusal.kind, b"")))
    if "allowed" in refusal.facts:
        told.append((b"allow", str(refusal.facts["allowed"]).encode()))
    return Told(kind.status, told, orjson.dumps(body))
