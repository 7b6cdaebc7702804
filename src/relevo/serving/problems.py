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
    "not-found": Kind(
        404,
        lambda: t("There is nothing here."),
        lambda _: t("Predictions are asked for with POST /v1/predict; /docs shows all there is."),
    ),
    "no-recommend": Kind(
        404,
        lambda: t("The model recommends nothing."),
        lambda _: t("Its project says what to recommend with Recommend(…) in project.py; this one does not."),
    ),
    "method": Kind(
        405,
        lambda: t("This method is not for this path."),
        lambda f: t("Use {allowed}; /docs shows how.", **f),
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
    "content-type": Kind(
        415,
        lambda: t("The body is not declared to be JSON."),
        lambda _: t("Send the header Content-Type: application/json, and no Content-Encoding."),
    ),
    "contract": Kind(
        422,
        lambda: t("The request breaks the contract."),
        lambda _: t("Each problem is listed with its field; /docs shows the contract."),
    ),
    "internal": Kind(
        500,
        lambda: t("Something went wrong here."),
        lambda f: t("The service's log tells more under {id}.", **f),
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


def render(refusal: Refusal, code: str, contract: Contract | None) -> tuple[int, bytes]:
    """Write a refusal as problem+json in the language ``code``; returns its status and the body."""
    kind = KINDS[refusal.kind]
    with speaking(code):
        body: dict[str, Any] = {
            "type": f"/docs#{refusal.kind}",
            "title": kind.title(),
            "status": kind.status,
            "detail": kind.detail(refusal.facts),
        }
        if refusal.defects:
            body["problems"] = [entry(defect, contract) for defect in refusal.defects]
        if refusal.more:
            body["more"] = True
    for member in ("id", "reason"):
        if refusal.facts.get(member):
            body[member] = refusal.facts[member]
    return kind.status, orjson.dumps(body)
