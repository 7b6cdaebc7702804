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

FORMAT = 3
READABLE = (1, 2, 3)
"""Formats this version reads: its own and the two before, as far as there are any."""
_SINCE_2: Mapping[str, Any] = {
    "histories": [],
    "nulls": [],
    "naive": None,
    "decision": {"rule": "best_threshold"},
    "recommend": None,
}
"""What format 1 did not have, as it stands for a package of that format."""
RULES: Mapping[str, tuple[str, ...]] = {
    "best_threshold": (),
    "expected_f1": (),
    "top_k": ("k", "by"),
    "costs": ("false_positive", "false_negative", "true_positive", "true_negative"),
}
"""The decision rules and what each says besides its name."""


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
    """``name``, ``file``, ``key``, ``columns`` (the key's first) and ``types`` of each look-up file."""
    histories: tuple[Mapping[str, Any], ...]
    """What is looked up as of the time of asking and lives beside the package: as ``lookups`` without ``file``,
    with ``known_at``, the ``sql`` that makes it from the clean tables, and ``shape``, the digest of its meaning."""
    nulls: tuple[str, ...]
    """Texts that mean null in files to be scored."""
    naive: str | None
    """The rule of thumb judged beside the model: a boolean over the features, as SQL."""
    decision: Mapping[str, Any]
    """The decision rule: ``rule``, one of ``RULES``, and what it says besides."""
    recommend: Mapping[str, Any] | None
    """``by``, ``item``, ``among`` and ``k`` of what is recommended."""
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
        for entry in ("lookups", "histories"):
            plain[entry] = [dict(row) for row in plain[entry]]
        plain["nulls"] = list(self.nulls)
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
    if data["format"] == 1:
        data = {**_SINCE_2, **data}
    names = {field.name for field in fields(Manifest)}
    strange = sorted(set(data) ^ names)
    if strange:
        raise PackageError(
            t("manifest.json: the entry “{entry}” is absent or unknown.", entry=strange[0][:60])
        )
    for entry, check in _CHECKS.items():
        if not _passes(check, data[entry]):
            raise malformed(entry)
    try:
        request = Contract.from_json(data["request"])
        encoders = tuple(Encoder.from_json(row) for row in data["encoders"])
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(
            t("manifest.json: the request or the encoders are malformed ({error}).", error=error)
        ) from error
    _audit_contract(request)
    listed = {entry: tuple(data[entry]) for entry in ("lookups", "histories", "nulls")}
    return Manifest(**{**data, **listed, "request": request, "encoders": encoders})


def malformed(entry: str) -> PackageError:
    """The error of an entry that is not as it should be."""
    return PackageError(t("manifest.json: the entry “{entry}” is malformed.", entry=entry))


def _passes(check: Callable[[Any], bool], value: Any) -> bool:
    try:
        return check(value)
    except (TypeError, ValueError):
        return False


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


def _lookup(row: Any, more: tuple[str, ...] = ("file",)) -> bool:
    if not isinstance(row, dict) or set(row) != {"name", "key", "columns", "types", *more}:
        return False
    listed = all(
        isinstance(row[part], list) and all(map(_text, row[part])) for part in ("key", "columns", "types")
    )
    typed = listed and len(row["types"]) == len(row["columns"]) and set(row["types"]) <= set(TYPES.values())
    return typed and all(_text(row[part]) for part in ("name", *more))


def _history(row: Any) -> bool:
    return _lookup(row, ("known_at", "sql", "shape"))


def _decision(row: Any) -> bool:
    if not isinstance(row, dict) or row.get("rule") not in RULES:
        return False
    more = RULES[row["rule"]]
    if set(row) != {"rule", *more}:
        return False
    return all(_text(row[name]) if name == "by" else _number(row[name]) for name in more)


def _recommend(row: Any) -> bool:
    if row is None:
        return True
    if not isinstance(row, dict) or set(row) != {"by", "item", "among", "k"}:
        return False
    return type(row["k"]) is int and row["k"] > 0 and all(_text(row[n]) for n in ("by", "item", "among"))


def _file(row: Any) -> bool:
    return isinstance(row, dict) and set(row) == {"bytes", "sha256"} and isinstance(row["bytes"], int)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("relevo", "project", "algorithm", "sql", "positive", "negative", "metric"), _text),
    **dict.fromkeys(
        ("settings", "request", "tree", "metrics", "data", "libraries"), lambda v: isinstance(v, dict)
    ),
    "encoders": lambda v: isinstance(v, list) and bool(v) and all(map(_encoder, v)),
    "lookups": lambda v: isinstance(v, list) and all(map(_lookup, v)),
    "histories": lambda v: isinstance(v, list) and all(map(_history, v)),
    "nulls": lambda v: isinstance(v, list) and all(map(_text, v)),
    "naive": lambda v: v is None or _text(v),
    "decision": _decision,
    "recommend": _recommend,
    "calibration": lambda v: isinstance(v, dict) and set(v) == {"a", "b"} and all(map(_number, v.values())),
    "threshold": lambda v: _number(v) and 0 <= v <= 1,
    "files": lambda v: isinstance(v, dict) and "model.onnx" in v and all(map(_file, v.values())),
}


def _audit_contract(request: Contract) -> None:
    kinds = set(TYPES.values())
    for field in request.fields:
        texts = (field.name, field.alias, field.description, field.unit)
        if not all(isinstance(text, str) for text in (*texts, field.type)) or field.type not in kinds:
            raise malformed("request")
    if len({field.alias for field in request.fields}) != len(request.fields):
        raise malformed("request")
