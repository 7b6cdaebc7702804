"""What a request for a stream says beside its body: formats, offset, version, language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

from relevo.defects import Defect
from relevo.serving import problems
from relevo.serving.arrowing import ArrowBatches
from relevo.serving.incoming import Csv, JsonLines
from relevo.serving.outgoing import ArrowRows, CsvRows, JsonRows
from relevo.serving.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Scope

    from relevo.cells import Cells
    from relevo.contract import Contract
    from relevo.serving.incoming import Incoming
    from relevo.serving.outgoing import Outgoing


class Format(NamedTuple):
    """A format: what reads it, what writes it, and its name in an answer."""

    reads: Callable[[Contract, Cells], Incoming]
    writes: Callable[[str], Outgoing]
    named: str


_ARROW = "application/vnd.apache.arrow.stream"
FORMATS = {
    "text/csv": Format(Csv, CsvRows, "text/csv; charset=utf-8"),
    "application/jsonl": Format(JsonLines, JsonRows, "application/jsonl"),
    "application/x-ndjson": Format(JsonLines, JsonRows, "application/x-ndjson"),
    _ARROW: Format(ArrowBatches, ArrowRows, _ARROW),
}
_WHOLE = re.compile(r"[0-9]{1,18}")
_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*")
_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_MOST_QUERY = 10_000


class Asked(NamedTuple):
    """The request; ``offset`` rows are read and not scored."""

    reads: Format
    writes: Format
    offset: int
    language: str


def read(scope: Scope, version: str) -> Asked:
    """Read a request's head, while ``version`` answers; raises ``Refusal``."""
    headers: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    media = _media(headers)
    query = _query(scope.get("query_string", b""))
    _check_version(headers.get(b"if-match"), query.get("version"), version)
    return Asked(
        FORMATS[media],
        _written(headers.get(b"accept", ""), media),
        _offset(query.get("offset", ["0"])[-1]),
        problems.language(scope["headers"]),
    )


def _media(headers: Mapping[bytes, str]) -> str:
    media, _, parameters = headers.get(b"content-type", "").partition(";")
    media = media.strip().lower()
    options = [part.replace(" ", "").replace('"', "").lower() for part in parameters.split(";")]
    foreign = any(part.startswith("charset=") and part not in _CHARSETS for part in options)
    encoded = headers.get(b"content-encoding", "identity").strip().lower() != "identity"
    if media not in FORMATS or foreign or encoded or "header=absent" in options:
        raise Refusal("stream-type", formats=", ".join(FORMATS))
    return media


_CHARSETS = ("charset=utf-8", "charset=utf8", "charset=us-ascii")


def _query(raw: bytes) -> dict[str, list[str]]:
    if len(raw) > _MOST_QUERY:
        raise Refusal("contract", defects=[Defect(None, "query", "too_long_query", {})])
    return parse_qs(raw.decode("latin-1"), keep_blank_values=True, errors="replace")


def _check_version(match: str | None, wanted: list[str] | None, version: str) -> None:
    if wanted and wanted[-1] != version:
        raise Refusal("other-version", version=version)
    if match is not None and match.strip() != "*" and version not in _TAG.findall(match):
        raise Refusal("precondition", version=version)


def _offset(text: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise Refusal("contract", defects=[Defect(None, "offset", "whole_number", {})])
    return int(text)


def _written(accept: str, own: str) -> Format:
    """Choose the answer's format (RFC 9110, section 12.5.1); of equals the body's own, then the first."""
    ranges: dict[str, float] = {}
    for part in accept[:1000].split(","):
        media, *options = part.split(";")
        quality = next((found[1] for one in options if (found := _QUALITY.fullmatch(one))), "1")
        if media.strip():
            ranges[media.strip().lower()] = float(quality)
    if not ranges:
        return FORMATS[own]
    best, weight = own, 0.0
    for media in (own, *FORMATS):
        kinds = (media, media.partition("/")[0] + "/*", "*/*")
        quality_ = next((ranges[kind] for kind in kinds if kind in ranges), 0.0)
        if quality_ > weight:
            best, weight = media, quality_
    if not weight:
        raise Refusal("not-acceptable", formats=", ".join(FORMATS))
    return FORMATS[best]
