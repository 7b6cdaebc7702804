"""The manifest: what a package says of itself, parsed and audited before anything is built from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from relevo.contract import TYPES, Contract
from relevo.encoding import Encoder
from relevo.errors import PackageError
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1
READABLE = (1,)
"""Formats this version reads: its own and, in time, the two before."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a package says of itself. Every value is plain data; ``files`` has each other file's size and SHA-256."""

    format: int
    relevo: str
    project: str
    algorithm: str
    settings: Mapping[str, Any]
    request: Contract
    sql: str
    """The canonical feature SQL, for batches."""
    tree: Mapping[str, Any]
    """The same features as a typed expression tree, for one row at a time."""
    encoders: tuple[Encoder, ...]
    lookups: tuple[Mapping[str, Any], ...]
    """``name``, ``key``, ``columns`` and ``types`` of each look-up file."""
    positive: str
    negative: str
    calibration: Mapping[str, float]
    """Platt's ``a`` and ``b``: probability = 1 / (1 + exp(-(a · margin + b)))."""
    threshold: float
    metric: str
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    """Snapshots, rows and time range that were learned from."""
    libraries: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["request"] = self.request.to_json()
        plain["encoders"] = [encoder.to_json() for encoder in self.encoders]
        plain["lookups"] = [dict(lookup) for lookup in self.lookups]
        return plain


def parse(data: Any) -> Manifest:
    """Read a manifest; raises ``PackageError`` naming the first entry that is absent, foreign or malformed."""
    if not isinstance(data, dict) or "format" not in data:
        raise PackageError(t("manifest.json is not a Relevo manifest."))
    if type(data["format"]) is not int or data["format"] not in READABLE:
        raise PackageError(
            t(
                "This package has format {found}; this version reads {known}. Use the version that wrote it, or newer.",
                found=str(data["format"])[:20],
                known=", ".join(map(str, READABLE)),
            )
        )
    names = {field.name for field in fields(Manifest)}
    strange = sorted(set(data) ^ names)
    if strange:
        raise PackageError(
            t("manifest.json: the entry “{entry}” is absent or unknown.", entry=strange[0][:60])
        )
    for entry, check in _CHECKS.items():
        if not check(data[entry]):
            raise PackageError(t("manifest.json: the entry “{entry}” is malformed.", entry=entry))
    try:
        request = Contract.from_json(data["request"])
        encoders = tuple(Encoder.from_json(row) for row in data["encoders"])
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(
            t("manifest.json: the request or the encoders are malformed ({error}).", error=error)
        ) from error
    _audit_contract(request)
    return Manifest(**{**data, "request": request, "encoders": encoders, "lookups": tuple(data["lookups"])})


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 1_000_000  # noqa: PLR2004 - far beyond any real one


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number_or_null(value: Any) -> bool:
    return value is None or _number(value)


def _encoder(row: Any) -> bool:
    if not isinstance(row, dict) or set(row) != {"feature", "type", "levels", "unseen", "null"}:
        return False
    levels = row["levels"]
    if (row["type"] == "text") != isinstance(levels, dict):
        return False
    levels_fine = levels is None or all(isinstance(k, str) and _number(v) for k, v in levels.items())
    known = row["type"] in ("text", "boolean", "integer", "double") and isinstance(row["feature"], str)
    return levels_fine and known and _number_or_null(row["unseen"]) and _number_or_null(row["null"])


def _lookup(row: Any) -> bool:
    if not isinstance(row, dict) or set(row) != {"name", "file", "key", "columns", "types"}:
        return False
    listed = all(
        isinstance(row[part], list) and all(map(_text, row[part])) for part in ("key", "columns", "types")
    )
    return listed and len(row["types"]) == len(row["columns"]) and _text(row["name"]) and _text(row["file"])


def _file(row: Any) -> bool:
    return isinstance(row, dict) and set(row) == {"bytes", "sha256"} and isinstance(row["bytes"], int)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("relevo", "project", "algorithm", "sql", "positive", "negative", "metric"), _text),
    **dict.fromkeys(
        ("settings", "request", "tree", "metrics", "data", "libraries"), lambda v: isinstance(v, dict)
    ),
    "encoders": lambda v: isinstance(v, list) and bool(v) and all(map(_encoder, v)),
    "lookups": lambda v: isinstance(v, list) and all(map(_lookup, v)),
    "calibration": lambda v: isinstance(v, dict) and set(v) == {"a", "b"} and all(map(_number, v.values())),
    "threshold": lambda v: _number(v) and 0 <= v <= 1,
    "files": lambda v: isinstance(v, dict) and "model.onnx" in v and all(map(_file, v.values())),
}


def _audit_contract(request: Contract) -> None:
    kinds = set(TYPES.values())
    for field in request.fields:
        texts = (field.name, field.alias, field.description)
        if field.type not in kinds or not all(isinstance(text, str) for text in texts):
            raise PackageError(t("manifest.json: the entry “{entry}” is malformed.", entry="request"))
    if len({field.alias for field in request.fields}) != len(request.fields):
        raise PackageError(t("manifest.json: the entry “{entry}” is malformed.", entry="request"))
