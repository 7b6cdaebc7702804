"""Records to rows of the ledger, and back."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relevo import digest as digests
from relevo.errors import LedgerError
from relevo.records import (
    ApiKey,
    Materialisation,
    ModelVersion,
    Reason,
    Release,
    Run,
    Snapshot,
    Step,
    Trial,
    Verdict,
)
from relevo.texts import t

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON = {"plan", "output", "settings", "files", "reasons", "metrics", "verdict", "scopes"}
_RELEASE = tuple(field.name for field in fields(Release))


def to_row(record: Run | Step | Trial | Snapshot | Materialisation | ModelVersion | ApiKey) -> dict[str, Any]:
    """Columns of a record. Numbers that JSON lacks (NaN, infinity) become null."""
    row = asdict(record)
    for name, value in row.items():
        if name in _JSON:
            row[name] = digests.canonical(_finite(value)).decode()
        elif isinstance(value, float) and not math.isfinite(value):
            row[name] = None
    return row


def run(row: Mapping[Any, Any]) -> Run:
    """Read a run back."""
    return Run(**{**row, "plan": json.loads(row["plan"])})


def step(row: Mapping[Any, Any]) -> Step:
    """Read a step back."""
    return Step(**{**_without(row, "number"), "output": json.loads(row["output"])})


def trial(row: Mapping[Any, Any]) -> Trial:
    """Read a trial back."""
    return Trial(**{**row, "settings": json.loads(row["settings"])})


def snapshot(row: Mapping[Any, Any]) -> Snapshot:
    """Read a snapshot back."""
    values = _without(row, "number", "project")
    values["files"] = tuple((path, digest) for path, digest in json.loads(row["files"]))
    return Snapshot(**{**values, "reasons": json.loads(row["reasons"])})


def api_key(row: Mapping[Any, Any]) -> ApiKey:
    """Read a key back."""
    return ApiKey(**{**row, "scopes": tuple(json.loads(row["scopes"]))})


def materialisation(row: Mapping[Any, Any]) -> Materialisation:
    """Read a materialisation back."""
    return Materialisation(**row)


def version(row: Mapping[Any, Any]) -> ModelVersion:
    """Read a version back; ``act`` may stand beside it."""
    verdict = json.loads(row["verdict"])
    values = _without(row, "number", "act") | {
        "metrics": json.loads(row["metrics"]),
        "verdict": Verdict(
            accepted=verdict["accepted"], reasons=tuple(Reason(**reason) for reason in verdict["reasons"])
        ),
    }
    return ModelVersion(**values)


def release(row: Mapping[Any, Any]) -> Release:
    """Read a release back."""
    facts = json.loads(row["facts"]) if row["facts"] else {}
    return Release(**{name: row[name] for name in _RELEASE} | {"facts": facts})


def facts_text(facts: Mapping[str, Any]) -> str:
    """Write a release's facts, empty when there are none."""
    return digests.canonical(_finite(facts)).decode() if facts else ""


def time_text(time: str | datetime) -> str:
    """Write a time as records do. Without a zone it is UTC; raises ``LedgerError`` when it is no time."""
    try:
        parsed = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError as error:
        raise LedgerError(
            t("“{time}” is not a time. Write it as 2026-01-31T23:30:00+00:00.", time=time)
        ) from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed.astimezone(UTC).isoformat(timespec="microseconds")


def _without(row: Mapping[Any, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
